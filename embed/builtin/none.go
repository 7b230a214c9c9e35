//go:build nomodel

package builtin

import (
	"fmt"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

// Model fails: the program was built without a model.
func Model() (clip.Model, error) {
	return clip.Model{}, fmt.Errorf("this clipsearch was built without a model (-tags nomodel): name one with --model DIR, or make one with `clipsearch model import DIR --out DIR`: %w", clipsearch.ErrInvalid)
}
