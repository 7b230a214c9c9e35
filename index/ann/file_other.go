//go:build !unix

package ann

const filesAreMapped = false

// newFile keeps whole numbers in memory: files are mapped only on Unix.
func newFile(string) (place, error) { return inMemory{}, nil }

func openFile(string) (place, error) { return nil, ErrStale }

func release([]byte) {}
