package compose

import (
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
)

// WithDropout returns a graph in which a share of what some nodes make is dropped when
// it is trained; where it is run, nothing changes. m is not changed.
func WithDropout(m *onnx.Model, ratio float64, after func(*onnx.Node) bool) *onnx.Model {
	out := *m
	out.Nodes, out.Initializers = nil, append(slices.Clone(m.Initializers), onnx.Floats("dropout.ratio", []float32{float32(ratio)}))
	whole := map[string]string{} // from a value to the one that its share is left of
	for _, n := range m.Nodes {
		own := *n
		own.Inputs = slices.Clone(n.Inputs)
		for i, in := range own.Inputs {
			if to, ok := whole[in]; ok {
				own.Inputs[i] = to
			}
		}
		out.Nodes = append(out.Nodes, &own)
		if len(n.Outputs) != 1 || !after(n) || slices.ContainsFunc(m.Outputs, func(p onnx.Port) bool { return p.Name == n.Outputs[0] }) {
			continue
		}
		name := fmt.Sprintf("%s/dropout", n.Outputs[0])
		out.Nodes = append(out.Nodes, &onnx.Node{Name: name, Op: "Dropout", Inputs: []string{n.Outputs[0], "dropout.ratio"}, Outputs: []string{name}})
		whole[n.Outputs[0]] = name
	}
	return &out
}
