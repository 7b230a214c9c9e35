package ingest

import (
	"context"
	"fmt"
	"os"

	"github.com/clipsearch/clipsearch"
)

// prune forgets the files below the roots that are gone from disk, and no others.
func (r *run) prune(ctx context.Context) error {
	files, err := r.Store.Files(ctx)
	if err != nil {
		return fmt.Errorf("list the files of the index: %w", err)
	}
	var gone []string
	archives := map[string]map[string]bool{}
	for _, root := range r.roots {
		lost, err := r.lost(ctx, root, files, archives)
		if err != nil {
			return err
		}
		gone = append(gone, lost...)
	}
	gone = distinct(gone)
	if len(gone) > 0 && !r.DryRun {
		if _, err := r.Store.Forget(ctx, gone); err != nil {
			return fmt.Errorf("forget %d paths: %w", len(gone), err)
		}
	}
	r.sum.Pruned = len(gone)
	return nil
}

// lost returns the paths of files below root that no longer exist. A root that has
// become empty looks like a disk that is not mounted, and nothing is lost then.
func (r *run) lost(ctx context.Context, root root, files []clipsearch.File, archives map[string]map[string]bool) ([]string, error) {
	var gone []string
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		archive, name, packed := splitMember(f.Path)
		switch {
		case !within(f.Path, root.path) && archive != root.path:
		case Gone(f.Path), packed && !memberExists(archive, name, archives):
			gone = append(gone, f.Path)
		}
	}
	if len(gone) == 0 || !root.info.IsDir() {
		return gone, nil
	}
	if entries, err := os.ReadDir(root.path); err != nil || len(entries) == 0 {
		return nil, fmt.Errorf("prune %q: the folder is empty or cannot be read, and %d files were there: is its disk mounted? nothing was forgotten", root.path, len(gone))
	}
	return gone, nil
}

// memberExists looks into an archive once; one that cannot be read has lost nothing.
func memberExists(archive, name string, archives map[string]map[string]bool) bool {
	names, ok := archives[archive]
	if !ok {
		names = memberNames(archive)
		archives[archive] = names
	}
	return names == nil || names[name]
}

func memberNames(archive string) map[string]bool {
	info, err := os.Stat(archive)
	if err != nil {
		return nil
	}
	names := map[string]bool{}
	err = members(root{archive, info}, func(m member) error {
		names[m.cleanName()] = true
		return nil
	})
	if err != nil {
		return nil
	}
	return names
}
