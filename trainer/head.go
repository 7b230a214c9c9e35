package trainer

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/clipsearch/clipsearch/onnx"
)

// Names of a head's weights.
const (
	headWeight = "head.weight" // [out, in]
	headBias   = "head.bias"
)

// withHead returns a tower with a linear layer behind its embedding, of dim numbers. Its
// first weights are a function of the seed.
func withHead(m *onnx.Model, output string, dim int, seed uint64) (*onnx.Model, error) {
	if len(m.Outputs) != 1 || len(m.Outputs[0].Shape) != 2 {
		return nil, fmt.Errorf("a head stands on an embedding [batch, numbers], and the tower makes %v", m.Outputs)
	}
	in, known := m.Outputs[0].Shape[1].Known()
	if !known {
		return nil, fmt.Errorf("a head needs to know how many numbers the tower makes, and its graph does not say it: %v", m.Outputs[0])
	}
	random := rand.New(rand.NewPCG(seed, 0x68656164))
	w := make([]float32, int64(dim)*in)
	for i := range w {
		w[i] = float32(random.NormFloat64() / math.Sqrt(float64(in)))
	}
	p, old := *m, m.Outputs[0]
	name := output
	if name == old.Name {
		name += "/head"
	}
	p.Initializers = append(p.Initializers[:len(p.Initializers):len(p.Initializers)], onnx.Floats(headWeight, w, int64(dim), in), onnx.Floats(headBias, make([]float32, dim), int64(dim)))
	p.Nodes = append(p.Nodes[:len(p.Nodes):len(p.Nodes)], &onnx.Node{
		Name: "head", Op: "Gemm", Inputs: []string{old.Name, headWeight, headBias}, Outputs: []string{name}, Attrs: []onnx.Attr{{Name: "transB", Value: int64(1)}},
	})
	p.Outputs = []onnx.Port{{Name: name, Type: onnx.Float, Shape: onnx.Shape{old.Shape[0], onnx.N(dim)}}}
	return &p, nil
}

// passing is a tower that hands its input on: that of features which are embeddings.
func passing(in onnx.Port) (*onnx.Model, error) {
	return onnx.Build("features", func(g *onnx.Graph) {
		g.Output("embedding", g.Identity(g.Input(in.Name, in.Type, in.Shape...)))
	})
}

// filled returns the graph with the numbers that values has for its initializers.
func filled(m *onnx.Model, values map[string][]float32) *onnx.Model {
	p := *m
	p.Initializers = make([]*onnx.Tensor, len(m.Initializers))
	for i, t := range m.Initializers {
		own := *t
		if x := values[t.Name]; x != nil {
			own.External, own.Raw = nil, make([]byte, 0, 4*len(x))
			for _, v := range x {
				own.Raw = binary.LittleEndian.AppendUint32(own.Raw, math.Float32bits(v))
			}
		}
		p.Initializers[i] = &own
	}
	return &p
}
