//go:build unix && !linux

package ann

func wishHuge([]byte) {}
