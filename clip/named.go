package clip

import (
	"crypto/sha256"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// vectorsLayout is the layout of a model without files.
const vectorsLayout = "vectors"

// Named returns a model that is known by its name and its vectors alone: they were
// made elsewhere, and it cannot be run. Its space follows from name and dim, so
// that the same two always mean the same space.
func Named(name string, dim int) Model {
	return Model{Version: manifestVersion, Name: name, Dim: dim, Layout: vectorsLayout}
}

// Runs reports whether there are files to run m with.
func (m Model) Runs() bool { return m.Image != "" || m.Text != "" }

func namedSpace(name string, dim int) clipsearch.Space {
	return sha256.Sum256(fmt.Appendf(nil, "clipsearch vectors made elsewhere\n%d\n%s", dim, name))
}
