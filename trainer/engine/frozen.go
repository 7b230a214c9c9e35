package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// Frozen runs the part of a network that no step changes ([onnx.Model.Split]).
type Frozen struct {
	model   *onnx.Model
	session *ort.Session
	in, out []string
	digest  string
}

// NewFrozen loads a graph whose tensors lie in memory or in files.
func NewFrozen(m *onnx.Model, files fs.FS, threads int, provider string) (*Frozen, error) {
	own, tw := *m, tower{m, files}
	own.Inputs, own.Initializers = tw.inputs(), nil
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
	digest, err := digestOf(own)
	if err != nil {
		return nil, err
	}
	f := &Frozen{model: m, digest: digest}
	for _, p := range own.Inputs {
		f.in = append(f.in, p.Name)
	}
	for _, p := range own.Outputs {
		f.out = append(f.out, p.Name)
	}
	f.session, err = ort.Open(graph, f.in, f.out, ort.Options{Threads: threads, Varying: true, Provider: provider})
	return f, err
}

// digestOf hashes what a graph computes: what it is called, and the sets of operators
// that only other parts of the network need, do not count.
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

// Digest names the graph with its weights.
func (f *Frozen) Digest() string { return f.digest }

// Outputs are the values that it makes.
func (f *Frozen) Outputs() []onnx.Port { return slices.Clone(f.model.Outputs) }

// Run returns the outputs, by their names.
func (f *Frozen) Run(in map[string]Tensor) (map[string]Tensor, error) {
	given := make([]Tensor, len(f.in))
	for i, name := range f.in {
		t, ok := in[name]
		if !ok {
			return nil, fmt.Errorf("the frozen part is not given %s", name)
		}
		given[i] = t
	}
	made, err := f.session.Run(given...)
	if err != nil {
		return nil, fmt.Errorf("the frozen part: %w", err)
	}
	out := map[string]Tensor{}
	for i, name := range f.out {
		out[name] = made[i]
	}
	return out, nil
}

// Close frees the session.
func (f *Frozen) Close() error { return f.session.Close() }
