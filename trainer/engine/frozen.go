package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// Frozen runs a graph of which nothing is trained.
type Frozen struct {
	session *ort.Session
	in, out []string
	digest  string
}

// OpenFrozen loads a graph of one output; files is where those of its tensors lie that
// are not in memory.
func OpenFrozen(m *onnx.Model, files fs.FS, threads int, provider string) (*Frozen, error) {
	own, tw := *m, tower{m, files}
	own.Inputs, own.Initializers = tw.inputs(), nil
	if len(m.Outputs) != 1 || len(own.Inputs) == 0 {
		return nil, fmt.Errorf("a graph of %d inputs and %d outputs: it must have inputs and one output", len(own.Inputs), len(m.Outputs))
	}
	f := &Frozen{out: []string{m.Outputs[0].Name}}
	for _, p := range own.Inputs {
		f.in = append(f.in, p.Name)
	}
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
	if f.digest, err = digestOf(own); err != nil {
		return nil, err
	}
	f.session, err = ort.Open(graph, f.in, f.out, ort.Options{Threads: threads, Varying: true, Provider: provider})
	return f, err
}

// digestOf hashes what a graph computes: what it is called, and the sets of operators
// that other parts of a network need, do not count.
func digestOf(m onnx.Model) (string, error) {
	bare := onnx.Model{IR: m.IR, Inputs: m.Inputs, Outputs: m.Outputs, Nodes: m.Nodes, Initializers: m.Initializers}
	for _, o := range m.Opsets {
		if o.Domain == "" {
			bare.Opsets = []onnx.Opset{o}
		}
	}
	raw, err := bare.Marshal()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// Digest names what the graph computes, its weights included.
func (f *Frozen) Digest() string { return f.digest }

// Run returns what the graph makes of its inputs, by their names.
func (f *Frozen) Run(in map[string]Tensor) (Tensor, error) {
	given := make([]Tensor, len(f.in))
	for i, name := range f.in {
		t, ok := in[name]
		if !ok {
			return Tensor{}, fmt.Errorf("the graph is not given %s", name)
		}
		given[i] = t
	}
	out, err := f.session.Run(given...)
	if err != nil {
		return Tensor{}, err
	}
	return out[0], nil
}

// RunOne is Run for a graph of one input.
func (f *Frozen) RunOne(in Tensor) (Tensor, error) { return f.Run(map[string]Tensor{f.in[0]: in}) }

// Close frees the session.
func (f *Frozen) Close() error { return f.session.Close() }
