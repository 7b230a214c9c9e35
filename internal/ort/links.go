package ort

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/clipsearch/clipsearch/internal/graph"
)

// follow names the files that a graph in memory keeps its weights in by where they
// really lie, and returns it with the folder that holds them all. A folder of links, as
// the cache of the Hugging Face hub has them, leads elsewhere, and ONNX Runtime reads
// nothing beyond the folder that it is given. What is no link, or is not there, is left
// to ONNX Runtime to judge.
func follow(model []byte, names []string, folder string) ([]byte, string, error) {
	home, err := filepath.EvalSymlinks(folder)
	if err == nil {
		home, err = filepath.Abs(home)
	}
	if err != nil || len(names) == 0 {
		return model, folder, err
	}
	shared, moved := home, map[string]string{}
	for _, name := range names {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return model, folder, nil
		}
		to, err := filepath.EvalSymlinks(filepath.Join(home, filepath.FromSlash(name)))
		if err != nil {
			return model, folder, nil
		}
		moved[name] = to
		shared = ancestor(shared, filepath.Dir(to))
	}
	if shared == home {
		return model, folder, nil
	}
	for name, to := range moved {
		if to, err = filepath.Rel(shared, to); err != nil {
			return model, folder, err
		}
		moved[name] = filepath.ToSlash(to)
	}
	model, err = graph.Relocate(model, moved)
	return model, shared, err
}

// ancestor is the innermost folder that a and b, both clean and absolute, lie in.
func ancestor(a, b string) string {
	for a != filepath.Dir(a) {
		rel, err := filepath.Rel(a, b)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator)) {
			break
		}
		a = filepath.Dir(a)
	}
	return a
}
