package clip

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// Side names one of a model's two towers.
type Side string

const (
	ImageSide Side = "image"
	TextSide  Side = "text"
)

// The ports of graphs that are built here.
const (
	PixelsPort    = "pixel_values"   // float32 [batch,3,S,S]
	IDsPort       = "input_ids"      // int64 [batch,length]
	MaskPort      = "attention_mask" // int64 [batch,length], only where the tower asks for one
	ImageFeatures = "image_embeds"   // float32 [batch,D], before normalization
	TextFeatures  = "text_embeds"
)

// builder writes the graphs of the checkpoints of one origin. A side that the
// checkpoint does not have is nil.
type builder struct {
	image, text func(*params) *onnx.Value // its features, [batch,D]
	ignored     []string                  // beginnings of the names of tensors that no feature depends on
	beside      []string                  // more files of weights
}

// Built reports whether the model's graphs are built from its weights; otherwise
// they are files of their own.
func (m Model) Built() bool { return m.Build != "" }

// BuildGraph builds the graph of a tower from the model's weights, in the model's
// precision. Tensors that are float32 in a file on disk are not read: the graph
// says in which of the model's files they lie.
func (m Model) BuildGraph(side Side) (*onnx.Model, error) {
	m = m.Side(side)
	b, w, err := m.openBuild()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return m.buildSide(b, w, side, m.dir != "")
}

func (m Model) openBuild() (builder, *Weights, error) {
	b, err := m.builder()
	if err != nil {
		return b, nil, err
	}
	w, err := OpenWeights(m.fsys, append([]string{m.Weights}, b.beside...)...)
	return b, w, err
}

// builder finds the rules that m.Build names.
func (m Model) builder() (builder, error) {
	for _, o := range origins {
		if o.build == m.Build {
			return o.builder(m.fsys)
		}
	}
	return builder{}, fmt.Errorf("model %s is built as %q, which is not known here: take a newer program: %w", m.Name, m.Build, clipsearch.ErrInvalid)
}

func (b builder) tower(side Side) func(*params) *onnx.Value {
	if side == TextSide {
		return b.text
	}
	return b.image
}

func (m Model) buildSide(b builder, w *Weights, side Side, outside bool) (*onnx.Model, error) {
	return m.build(b, side, func(g *onnx.Graph) *params { return newParams(g, w, m.Precision, outside) })
}

// build builds a tower of what open returns.
func (m Model) build(b builder, side Side, open func(*onnx.Graph) *params) (*onnx.Model, error) {
	f, out := b.tower(side), ImageFeatures
	if side == TextSide {
		out = TextFeatures
	}
	if f == nil {
		return nil, fmt.Errorf("model %s has no %s tower: %w", m.Name, side, clipsearch.ErrInvalid)
	}
	graph, err := onnx.Build(string(side), func(g *onnx.Graph) {
		g.Output(out, f(open(g)))
	})
	if err != nil {
		return nil, fmt.Errorf("weights %s: %w: %w", m.Weights, err, clipsearch.ErrInvalid)
	}
	return graph, nil
}

// prove builds both towers, to learn the dimension of their features and that the
// weights hold what the architecture needs and nothing that it does not know.
func (m Model) prove() (dim int, err error) {
	b, w, err := m.openBuild()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	used := map[string]bool{}
	for _, side := range []Side{ImageSide, TextSide} {
		if b.tower(side) == nil {
			continue
		}
		n, names, err := b.shapes(side, w)
		if err != nil {
			return 0, fmt.Errorf("weights %s: %w: %w", m.Weights, err, clipsearch.ErrInvalid)
		}
		if dim != 0 && n != dim {
			return 0, fmt.Errorf("weights %s: the image tower's features have %d numbers, the text tower's %d: %w", m.Weights, dim, n, clipsearch.ErrInvalid)
		}
		dim = n
		maps.Copy(used, names)
	}
	if left := b.unknown(w, used); len(left) > 0 {
		return 0, fmt.Errorf("weights %s: %d tensors such as %s are not known to belong to %s: this variant cannot be built here: %w",
			m.Weights, len(left), left[0], m.Build, clipsearch.ErrInvalid)
	}
	return dim, nil
}

// shapes builds a tower without reading a tensor, and returns the dimension of its
// features and the names of the tensors that it is made of.
func (b builder) shapes(side Side, w *Weights) (dim int, used map[string]bool, err error) {
	_, err = onnx.Build(string(side), func(g *onnx.Graph) {
		p := newParams(g, w, "shapes", true)
		v := b.tower(side)(p)
		g.Output("features", v)
		n, _ := v.Shape()[1].Known()
		dim, used = int(n), p.used
	})
	return dim, used, err
}

// unknown lists the tensors that nothing was built from.
func (b builder) unknown(w *Weights, used map[string]bool) []string {
	return slices.DeleteFunc(w.Names(), func(name string) bool {
		return used[name] || strings.HasSuffix(name, "position_ids") || strings.HasSuffix(name, "num_batches_tracked") ||
			slices.ContainsFunc(b.ignored, func(s string) bool { return strings.HasPrefix(name, s) })
	})
}
