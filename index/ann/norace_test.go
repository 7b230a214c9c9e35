//go:build !race

package ann

const raced = false
