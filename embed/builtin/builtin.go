//go:build !nomodel

package builtin

import (
	"embed"
	"io/fs"

	"github.com/clipsearch/clipsearch/clip"
)

//go:embed model
var files embed.FS

// Model returns the embedded model.
func Model() (clip.Model, error) {
	sub, err := fs.Sub(files, "model")
	if err != nil {
		return clip.Model{}, err
	}
	return clip.ReadModelFS(sub, "")
}
