package data

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
)

// Digest tells one set from another: by names, captions and the sizes of the files,
// wherever they lie.
func (s *Set) Digest(ctx context.Context) ([32]byte, error) {
	h := sha256.New()
	for _, it := range s.Items {
		if err := ctx.Err(); err != nil {
			return [32]byte{}, err
		}
		size := it.size
		if !it.inside {
			info, err := os.Stat(it.file)
			if err != nil {
				return [32]byte{}, err
			}
			size = info.Size()
		}
		fmt.Fprintf(h, "%q %d %q\n", it.Name, size, it.Captions)
	}
	return [32]byte(h.Sum(nil)), nil
}
