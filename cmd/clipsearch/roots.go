package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// An index remembers the folders that were ingested, so that the server knows
// from where it may hand out originals: one small file each, named by a digest,
// in its folder "roots". Two ingests at once cannot lose each other's.

// rememberRoots notes what is ingested: folders, and the folders of files.
func (a *app) rememberRoots(roots []string) error {
	dir := filepath.Join(a.options.index, "roots")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("note the folders ingested: %w", err)
	}
	noted := map[string]bool{}
	for _, root := range roots {
		abs, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		if st, err := os.Stat(abs); err == nil && !st.IsDir() {
			abs = filepath.Dir(abs)
		}
		sum := sha256.Sum256([]byte(abs))
		name := filepath.Join(dir, hex.EncodeToString(sum[:16]))
		if noted[name] || exists(name) {
			continue
		}
		noted[name] = true
		if err := writeAtomic(name, []byte(abs)); err != nil {
			return fmt.Errorf("note the folders ingested: %w", err)
		}
	}
	return nil
}

// allowedRoots are those of --allow-roots, or what was ingested so far.
func (a *app) allowedRoots(o serveOptions) []string {
	if o.allowRoots != "" {
		return splitRoots(o.allowRoots)
	}
	roots := []string{filepath.Join(a.options.index, "uploads")}
	names, _ := filepath.Glob(filepath.Join(a.options.index, "roots", "[0-9a-f]*"))
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && filepath.IsAbs(string(data)) {
			roots = append(roots, string(data))
		}
	}
	return roots
}
