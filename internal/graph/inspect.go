package graph

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clipsearch/clipsearch"
)

// Graph is what a model file says of itself, read from its protobuf without
// building a session.
type Graph struct {
	Inputs, Outputs []Port
	// DynamicQuantized graphs take quantization scales from the whole batch: a
	// result depends on what shares it.
	DynamicQuantized bool
	// ExternalData names the files beside the model that hold weights of it, as
	// the model has them, each once and sorted.
	ExternalData []string
	Producer     string // name and version of the program that wrote the file
	Opset        int    // of ONNX's own operators; 0 if the file does not tell
}

// Port is an input or output of a graph.
type Port struct {
	Name  string
	Type  string  // "float32", "uint8", "int32", "int64", another type's name, or "" if the file does not tell
	Shape []int64 // -1 where a dimension is free
}

func (p Port) String() string { return fmt.Sprintf("%s %s%v", p.Name, p.Type, p.Shape) }

// InspectFile reads the graph of an .onnx file. It skips the weights, so its cost
// does not grow with them.
func InspectFile(path string) (Graph, error) {
	return InspectFS(os.DirFS(filepath.Dir(path)), filepath.Base(path))
}

// InspectFS is InspectFile for a file of a file system.
func InspectFS(fsys fs.FS, name string) (Graph, error) {
	st, err := fs.Stat(fsys, name) // before it is opened: a named pipe would wait
	if err != nil {
		return Graph{}, err
	}
	if !st.Mode().IsRegular() {
		return Graph{}, fmt.Errorf("%s is no file, let alone an ONNX model: %w", name, clipsearch.ErrInvalid)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return Graph{}, err
	}
	defer f.Close()
	if r, ok := f.(io.ReaderAt); ok {
		return inspect(r, st.Size())
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return Graph{}, err
	}
	return Inspect(data)
}

// Inspect reads the graph of a model that is in memory.
func Inspect(model []byte) (Graph, error) {
	return inspect(bytes.NewReader(model), int64(len(model)))
}

func inspect(r io.ReaderAt, size int64) (Graph, error) {
	g := grapher{skimmer: skimmer{r: r}, main: newFlow(), files: map[string]bool{}, functions: map[string]*function{}}
	main := &function{calls: map[string]int64{}}
	var found bool
	var version string
	err := g.each(span{0, size}, func(f field) (err error) {
		switch f.number { // ModelProto; these numbers and those below are of onnx.proto3
		case 2:
			g.Producer, err = g.text(f.body)
		case 3:
			version, err = g.text(f.body)
		case 7:
			found, g.body = true, main
			err = g.graph(f.body)
		case 8:
			err = g.opset(f.body)
		case 25:
			err = g.function(f.body)
		}
		return err
	})
	if err == nil {
		_, err = g.main.outside()
	}
	if err == nil {
		_, err = expanded(main, g.functions)
	}
	if err == nil && (!found || len(g.Outputs) == 0) {
		err = errors.New("it holds no graph")
	}
	switch {
	case errors.Is(err, clipsearch.ErrInvalid):
		return Graph{}, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Graph{}, fmt.Errorf("this is no ONNX model, or it is cut off: get it again: %w", clipsearch.ErrInvalid)
	case err != nil:
		return Graph{}, fmt.Errorf("this is no ONNX model: %w: %w", err, clipsearch.ErrInvalid)
	}
	g.Producer = strings.TrimSpace(g.Producer + " " + version)
	weights := g.main.given
	g.Inputs = slices.DeleteFunc(g.Inputs, func(p Port) bool { return weights[p.Name] }) // old files list them twice
	slices.Sort(g.ExternalData)
	return g.Graph, nil
}

// grapher fills in a Graph.
type grapher struct {
	skimmer
	Graph
	main      *flow
	body      *function // that the nodes which are read belong to
	functions map[string]*function
	files     map[string]bool // of ExternalData
	nodes     int
	values    int
}

// maxDepth bounds graphs within the nodes of graphs; real ones have two or three.
const maxDepth = 16

// graph reads the model's GraphProto, or a part of it: parts add up.
func (g *grapher) graph(m span) error {
	return g.each(m, func(f field) error {
		if f.number != 11 && f.number != 12 {
			return g.part(g.main, f, 1)
		}
		p, err := g.port(f.body)
		list := &g.Inputs
		if f.number == 12 {
			list = &g.Outputs
		}
		if *list = append(*list, p); len(*list) > maxPorts {
			return fmt.Errorf("more than %d inputs or outputs", maxPorts)
		}
		return err
	})
}

// inner reads a GraphProto within a node and returns the values that it takes from
// outside.
func (g *grapher) inner(m span, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	inside := newFlow()
	err := g.each(m, func(f field) error {
		if f.number != 11 && f.number != 12 {
			return g.part(inside, f, depth)
		}
		name, err := g.value(f.body, 1)
		if f.number == 11 {
			inside.given[name] = true
		} else {
			inside.used = append(inside.used, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return inside.outside()
}

// part reads a field of a GraphProto, except for inputs and outputs.
func (g *grapher) part(to *flow, f field, depth int) error {
	switch f.number {
	case 1:
		n, err := g.node(f.body, depth)
		to.nodes = append(to.nodes, n)
		return err
	case 5:
		name, err := g.weight(f.body)
		to.given[name] = true
		return err
	case 15:
		name, err := g.sparse(f.body)
		to.given[name] = true
		return err
	}
	return nil
}

// function reads a FunctionProto.
func (g *grapher) function(m span) error {
	var name, domain, overload string
	g.body = &function{calls: map[string]int64{}}
	inside := newFlow()
	err := g.each(m, func(f field) (err error) {
		switch f.number {
		case 1:
			name, err = g.text(f.body)
		case 7:
			var n step
			n, err = g.node(f.body, 1)
			inside.nodes = append(inside.nodes, n)
		case 10:
			domain, err = g.text(f.body)
		case 11:
			_, err = g.attribute(f.body, 1)
		case 13:
			overload, err = g.text(f.body)
		}
		return err
	})
	g.functions[functionName(domain, name, overload)] = g.body
	if err == nil {
		_, err = inside.outside()
	}
	if err == nil && len(g.functions) > maxFunctions {
		err = fmt.Errorf("more than %d functions", maxFunctions)
	}
	return err
}

// node reads a NodeProto, and the graphs and weights in its attributes.
func (g *grapher) node(m span, depth int) (n step, err error) {
	if g.nodes++; g.nodes > maxNodes {
		return n, fmt.Errorf("more than %d nodes", maxNodes)
	}
	var op, domain, overload string
	err = g.each(m, func(f field) (err error) {
		var name string
		switch f.number {
		case 1, 2:
			name, err = g.value(f.body, 0)
			if f.number == 1 && name != "" {
				n.takes = append(n.takes, name)
			} else if name != "" {
				n.makes = append(n.makes, name)
			}
		case 4:
			op, err = g.text(f.body)
		case 5:
			var outside []string
			outside, err = g.attribute(f.body, depth)
			n.takes = append(n.takes, outside...)
		case 7:
			domain, err = g.text(f.body)
		case 8:
			overload, err = g.text(f.body)
		}
		return err
	})
	// …Linear, …MatMul and …LSTM: all take the scale of what they are given.
	g.DynamicQuantized = g.DynamicQuantized || strings.HasPrefix(op, "DynamicQuantize")
	g.body.nodes++
	if domain != "" {
		g.body.calls[functionName(domain, op, overload)]++
	}
	return n, err
}

// value reads the name of a value, which is a field of a message, or the message
// itself with 0.
func (g *grapher) value(m span, number protowire.Number) (name string, err error) {
	if g.values++; g.values > maxValues {
		return "", fmt.Errorf("more than %d values", maxValues)
	}
	if number == 0 {
		return g.text(m)
	}
	err = g.each(m, func(f field) (err error) {
		if f.number == number {
			name, err = g.text(f.body)
		}
		return err
	})
	return name, err
}

// attribute reads an AttributeProto and returns the values that graphs in it take
// from outside.
func (g *grapher) attribute(m span, depth int) (outside []string, err error) {
	err = g.each(m, func(f field) (err error) {
		switch f.number {
		case 5, 10: // tensors
			_, err = g.weight(f.body)
		case 6, 11: // graphs
			var names []string
			names, err = g.inner(f.body, depth+1)
			outside = append(outside, names...)
		case 22, 23: // sparse tensors
			_, err = g.sparse(f.body)
		}
		return err
	})
	return outside, err
}

// sparse reads the name of a SparseTensorProto and the files that it may lie in.
func (g *grapher) sparse(m span) (name string, err error) {
	err = g.each(m, func(f field) (err error) {
		switch f.number {
		case 1: // its values, which have the name
			name, err = g.weight(f.body)
		case 2: // their places
			_, err = g.weight(f.body)
		}
		return err
	})
	return name, err
}

// weight reads the name of a TensorProto and the file that it may lie in.
func (g *grapher) weight(m span) (name string, err error) {
	if g.values++; g.values > maxValues {
		return "", fmt.Errorf("more than %d values", maxValues)
	}
	location, elsewhere := "", false
	err = g.each(m, func(f field) (err error) {
		switch f.number {
		case 8:
			name, err = g.text(f.body)
		case 13: // external_data
			var key, value string
			key, value, err = g.entry(f.body)
			if key == "location" {
				location = value
			}
		case 14: // data_location
			elsewhere = f.value == 1
		}
		return err
	})
	if err != nil || !elsewhere || g.files[location] {
		return name, err
	}
	g.files[location] = true
	if g.ExternalData = append(g.ExternalData, location); len(g.files) > maxFiles {
		return name, fmt.Errorf("its weights are in more than %d files", maxFiles)
	}
	return name, checkFile(location)
}

// entry reads a StringStringEntryProto.
func (g *grapher) entry(m span) (key, value string, err error) {
	err = g.each(m, func(f field) (err error) {
		switch f.number {
		case 1:
			key, err = g.text(f.body)
		case 2:
			value, err = g.text(f.body)
		}
		return err
	})
	return key, value, err
}

// opset reads an OperatorSetIdProto.
func (g *grapher) opset(m span) error {
	var domain string
	var version uint64
	err := g.each(m, func(f field) (err error) {
		switch f.number {
		case 1:
			domain, err = g.text(f.body)
		case 2:
			version = f.value
		}
		return err
	})
	if domain == "" || domain == "ai.onnx" {
		g.Opset = int(version)
	}
	return err
}
