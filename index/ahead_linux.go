package index

import (
	"os"

	"golang.org/x/sys/unix"
)

// ahead has the system read n bytes of f from some place on, which will be wanted
// soon. It does not wait for them.
func ahead(f *os.File, from, n int64) {
	_ = unix.Fadvise(int(f.Fd()), max(0, from), n, unix.FADV_WILLNEED) // only a wish
}
