package ort

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/internal/graph"
)

// TestFollow: weights behind links are named by where they lie; others, and those
// that would lead out of the folder by their names, stay as they are.
func TestFollow(t *testing.T) {
	data, err := os.ReadFile("testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Inspect(data)
	if err != nil {
		t.Fatal(err)
	}
	name := g.ExternalData[0]
	for _, tt := range []struct {
		what  string
		place func(dir string) // puts the weights beside or behind dir/snapshots/c
		named string           // the file as the graph names it, before
		want  string           // and after, from the folder that ONNX Runtime is given
		in    string           // below dir
	}{
		{"a file", func(dir string) { write(t, filepath.Join(dir, "snapshots", "c", name)) }, name, name, "snapshots/c"},
		{"a link", func(dir string) {
			write(t, filepath.Join(dir, "blobs", "0123"))
			link(t, filepath.Join("..", "..", "blobs", "0123"), filepath.Join(dir, "snapshots", "c", name))
		}, name, "blobs/0123", "."},
		{"nothing", func(string) {}, name, name, "snapshots/c"},
		{"up and out", func(dir string) { write(t, filepath.Join(dir, "secret")) }, "../../secret", "../../secret", "snapshots/c"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(dir, "snapshots", "c"), 0o755); err != nil {
				t.Fatal(err)
			}
			tt.place(dir)
			named, err := graph.Relocate(data, map[string]string{name: tt.named})
			if err != nil {
				t.Fatal(err)
			}
			got, folder, err := follow(named, []string{tt.named}, filepath.Join(dir, "snapshots", "c"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := graph.Relocate(data, map[string]string{name: tt.want})
			if err != nil || !bytes.Equal(got, want) || folder != filepath.Join(dir, filepath.FromSlash(tt.in)) {
				t.Errorf("the graph has %d bytes and its weights are in %s, %v; want %q in %s", len(got), folder, err, tt.want, tt.in)
			}
		})
	}
}

func write(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Skipf("no links can be made here: %v", err)
	}
}
