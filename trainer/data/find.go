package data

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
)

// roots are the folders that the pictures of a list lie below: the list's own, and the
// one that the user names. A list may be a stranger's, and has no say over others.
type roots struct {
	dir, images string
	all         []string // whole paths of them, also as they are without links
}

func rootsOf(dir, images string) roots {
	r := roots{dir: dir, images: images}
	for _, root := range []string{images, dir} {
		if root == "" {
			continue
		}
		if whole, err := filepath.Abs(root); err == nil {
			r.all = append(r.all, whole)
		}
		if real, err := filepath.EvalSymlinks(root); err == nil {
			if real, err = filepath.Abs(real); err == nil {
				r.all = append(r.all, real)
			}
		}
	}
	return r
}

// has reports whether a whole path lies below one of the folders.
func (r roots) has(path string) bool {
	for _, root := range r.all {
		if rest, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rest) {
			return true
		}
	}
	return false
}

// find returns where a picture lies, or "" if it is missing. It is an error if its path
// leads out of the folders. A path that begins at the root, or goes up from the list, may
// name a file below them.
func (r roots) find(p picture) (string, error) {
	whole := filepath.Join(p.Folder, p.Name)
	if filepath.IsAbs(p.Name) {
		whole = p.Name
	}
	strays := !stays(p.Folder) || !stays(p.Name)
	if strays || filepath.IsAbs(p.Name) {
		if at, found := r.whole(whole); found {
			return at, nil
		}
	}
	if strays {
		return "", r.outside(p)
	}
	at := p.Find(r.dir, r.images)
	if at == "" && filepath.IsAbs(p.Name) {
		return "", r.outside(p)
	}
	return at, nil
}

// whole returns where the file of a path from the root, or from the list, lies, and
// whether that is below the folders. The file may be missing.
func (r roots) whole(path string) (at string, found bool) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	path, err := filepath.Abs(path)
	if err != nil || !r.has(path) {
		return "", false
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", true
	}
	return path, true
}

// stays reports whether a path leads to below the folder that it is joined to.
func stays(path string) bool {
	path = strings.TrimLeft(filepath.ToSlash(path[len(filepath.VolumeName(path)):]), "/")
	return path == "" || filepath.IsLocal(path)
}

func (r roots) outside(p picture) error {
	where := "the folder of the list, " + cmp.Or(r.dir, ".")
	if r.images != "" {
		where = "--images " + r.images + " and of " + where
	}
	return invalid("%s %d names %s, which lies outside of %s: name a folder that all pictures lie below with --images, and paths within it", p.named.unit, p.named.number, filepath.Join(p.Folder, p.Name), where)
}
