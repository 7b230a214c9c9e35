package engine

import (
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// Frozen runs a graph of which nothing is trained.
type Frozen struct{ session *ort.Session }

// OpenFrozen loads a graph with one input; files is where those of its tensors lie that
// are not in memory.
func OpenFrozen(m *onnx.Model, files fs.FS, threads int, provider string) (*Frozen, error) {
	own, tw := *m, tower{m, files}
	in := tw.inputs()
	if len(in) != 1 || len(m.Outputs) != 1 {
		return nil, fmt.Errorf("a graph of %d inputs and %d outputs, and one of each is run", len(in), len(m.Outputs))
	}
	own.Inputs, own.Initializers = in, nil
	for _, t := range m.Initializers {
		loaded, err := tw.loaded(t)
		if err != nil {
			return nil, err
		}
		own.Initializers = append(own.Initializers, loaded)
	}
	graph, err := own.Marshal()
	if err != nil {
		return nil, err
	}
	s, err := ort.Open(graph, []string{in[0].Name}, []string{m.Outputs[0].Name}, ort.Options{Threads: threads, Varying: true, Provider: provider})
	return &Frozen{s}, err
}

// Run returns what the graph makes of its input.
func (f *Frozen) Run(in Tensor) (Tensor, error) {
	out, err := f.session.Run(in)
	if err != nil {
		return Tensor{}, err
	}
	return out[0], nil
}

// Close frees the session.
func (f *Frozen) Close() error { return f.session.Close() }
