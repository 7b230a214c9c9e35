//go:build !nomodel

package builtin

import (
	"bytes"
	"embed"
	"io/fs"
	"time"

	"github.com/clipsearch/clipsearch/clip"
)

// The towers are slices, not files of an embed.FS: ONNX Runtime reads them where
// they are in the program, and a search from the shell does not copy 24 MB first.
var (
	//go:embed model/visual.int8.onnx
	visual []byte
	//go:embed model/textual.int8.onnx
	textual []byte
	//go:embed model/*.json model/*.md model/LICENSE* model/NOTICE
	rest embed.FS
)

// Model returns the embedded model.
func Model() (clip.Model, error) {
	sub, err := fs.Sub(rest, "model")
	if err != nil {
		return clip.Model{}, err
	}
	return clip.ReadModelFS(modelFS{sub, map[string][]byte{"visual.int8.onnx": visual, "textual.int8.onnx": textual}}, "")
}

// modelFS is the model's directory.
type modelFS struct {
	fs.FS
	towers map[string][]byte
}

// ReadFile returns a tower itself, not a copy: whoever reads it must not write.
func (m modelFS) ReadFile(name string) ([]byte, error) {
	if data, ok := m.towers[name]; ok {
		return data, nil
	}
	return fs.ReadFile(m.FS, name)
}

// Open opens a tower, or a file of the rest.
func (m modelFS) Open(name string) (fs.File, error) {
	data, ok := m.towers[name]
	if !ok {
		return m.FS.Open(name)
	}
	return &tower{bytes.NewReader(data), name}, nil
}

// tower is an open tower, and what Stat says of it.
type tower struct {
	*bytes.Reader
	name string
}

func (t *tower) Stat() (fs.FileInfo, error) { return t, nil }
func (t *tower) Close() error               { return nil }
func (t *tower) Name() string               { return t.name }
func (t *tower) Mode() fs.FileMode          { return 0o444 }
func (t *tower) ModTime() time.Time         { return time.Time{} }
func (t *tower) IsDir() bool                { return false }
func (t *tower) Sys() any                   { return nil }
