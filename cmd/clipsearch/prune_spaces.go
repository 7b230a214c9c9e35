package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/clipsearch/clipsearch/index"
)

// runPruneSpaces drops the spaces that neither answer nor are to answer.
func runPruneSpaces(ctx context.Context, a *app, dryRun bool) error {
	lib, err := a.openIndex(ctx, openOptions{anyModel: true})
	if err != nil {
		return err
	}
	var n int
	var bytes int64
	if dryRun {
		n, bytes, err = a.unusedSpaces(ctx, lib)
	} else {
		n, bytes, err = lib.DropSpaces(ctx)
	}
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"files": 0, "images": 0, "bytes": bytes, "spaces": n})
	}
	_, err = fmt.Fprintf(a.stdout, "%d spaces that do not answer, about %s\n", n, humanize.Bytes(uint64(bytes)))
	return err
}

// unusedSpaces counts what runPruneSpaces would drop; of its bytes those of the
// pictures' vectors and of the models.
func (a *app) unusedSpaces(ctx context.Context, lib *collection) (n int, bytes int64, err error) {
	st, err := lib.Stats(ctx)
	for _, s := range st.Spaces {
		if s.Active || s.Next {
			continue
		}
		n++
		bytes += int64(s.Images) * int64(4*s.Dim)
		_ = filepath.WalkDir(index.ModelDir(a.options.index, s.Digest), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					bytes += info.Size()
				}
			}
			return nil
		})
	}
	return n, bytes, err
}
