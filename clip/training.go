package clip

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// Parameter is an initializer of a training graph that is a checkpoint's tensor, or
// the elements [From,To) of one: q, k or v of a layer that joins them.
type Parameter struct {
	Name     string // of the initializer: the tensor's, with "[from:to]" behind it where it is a part
	Tensor   string
	From, To int
}

// TrainingGraph returns the graph of a tower as it is trained, and the files that
// say what lies in its initializers ([onnx.External]). It computes in float32,
// whatever the model's precision.
//
// Of a checkpoint it is the graph of [Model.BuildGraph], but nothing that is trained
// is folded with another: each of its tensors is an initializer of its name
// ([Model.Parameters]), and what else is constant has another name. Tensors that are
// float32 in a file are not read. Other models are ONNX files, whose graphs are
// returned as they are.
func (m Model) TrainingGraph(side Side) (*onnx.Model, fs.FS, error) {
	m = m.Side(side)
	if !m.Built() {
		if m.Precision != "fp32" {
			return nil, nil, fmt.Errorf("model %s is %s, which is not trained: take its float32 files: %w", m.Name, m.Precision, clipsearch.ErrInvalid)
		}
		graph, err := m.ReadGraph(side)
		return graph, m.fsys, err
	}
	b, w, err := m.openBuild()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	graph, _, err := m.apartSide(b, w, side, "fp32")
	return graph, m.fsys, err
}

// Parameters lists what of a tower's training graph is the checkpoint's: what can be
// trained and written back. Of a model that is ONNX files it lists nothing.
func (m Model) Parameters(side Side) ([]Parameter, error) {
	m = m.Side(side)
	if !m.Built() {
		return nil, nil
	}
	b, w, err := m.openBuild()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	_, list, err := m.apartSide(b, w, side, "shapes")
	return list, err
}

// apartSide builds a tower's training graph; with the precision "shapes" no tensor
// is read.
func (m Model) apartSide(b builder, w *Weights, side Side, precision string) (*onnx.Model, []Parameter, error) {
	var p *params
	graph, err := m.build(b, side, func(g *onnx.Graph) *params {
		p = newParams(g, w, precision, true)
		p.apart = true
		return p
	})
	if err != nil {
		return nil, nil, err
	}
	return graph, p.parts, disjoint(p.parts)
}

// disjoint reports an element that is in two parameters: trained apart, they would no
// longer be one.
func disjoint(parts []Parameter) error {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b Parameter) int { return cmp.Or(cmp.Compare(a.Tensor, b.Tensor), cmp.Compare(a.From, b.From)) })
	for i, b := range parts[min(1, len(parts)):] {
		if a := parts[i]; a.Tensor == b.Tensor && b.From < a.To {
			return fmt.Errorf("tensor %s is used as %s and as %s, which share numbers: it cannot be trained: %w", a.Tensor, a.Name, b.Name, clipsearch.ErrInvalid)
		}
	}
	return nil
}
