package graph

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
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
	f, err := os.Open(path)
	if err != nil {
		return Graph{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Graph{}, err
	}
	if !st.Mode().IsRegular() {
		return Graph{}, fmt.Errorf("%s is no file, let alone an ONNX model", path)
	}
	return inspect(f, st.Size())
}

// InspectFS is InspectFile for a file of a file system.
func InspectFS(fsys fs.FS, name string) (Graph, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Graph{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Graph{}, err
	}
	if r, ok := f.(io.ReaderAt); ok && st.Mode().IsRegular() {
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
	g := grapher{skimmer: skimmer{r: r}}
	var found bool
	var version string
	err := g.each(span{0, size}, func(f field) (err error) {
		switch f.number { // ModelProto; these numbers and those below are of onnx.proto3
		case 2:
			g.Producer, err = g.text(f.body)
		case 3:
			version, err = g.text(f.body)
		case 7:
			found = true
			err = g.graph(f.body)
		case 8:
			err = g.opset(f.body)
		case 25: // functions
			err = g.each(f.body, func(f field) error {
				if f.number == 7 {
					return g.node(f.body, 1)
				}
				return nil
			})
		}
		return err
	})
	if err != nil {
		return Graph{}, fmt.Errorf("this is no ONNX model: %w", err)
	}
	if !found || len(g.Outputs) == 0 {
		return Graph{}, errors.New("this is no ONNX model: it holds no graph")
	}
	g.Producer = strings.TrimSpace(g.Producer + " " + version)
	slices.Sort(g.ExternalData)
	g.ExternalData = slices.Compact(g.ExternalData)
	return g.Graph, nil
}

// grapher fills in a Graph.
type grapher struct {
	skimmer
	Graph
}

// maxDepth bounds graphs within the nodes of graphs; real ones have two or three.
const maxDepth = 16

// graph reads the model's GraphProto.
func (g *grapher) graph(m span) error {
	weights := map[string]bool{}
	err := g.each(m, func(f field) error {
		switch f.number {
		case 1:
			return g.node(f.body, 1)
		case 5:
			name, err := g.weight(f.body)
			weights[name] = true
			return err
		case 11, 12:
			p, err := g.port(f.body)
			if f.number == 11 {
				g.Inputs = append(g.Inputs, p)
			} else {
				g.Outputs = append(g.Outputs, p)
			}
			return err
		}
		return nil
	})
	g.Inputs = slices.DeleteFunc(g.Inputs, func(p Port) bool { return weights[p.Name] }) // old files list them twice
	return err
}

// inner reads a GraphProto within a node.
func (g *grapher) inner(m span, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	return g.each(m, func(f field) error {
		switch f.number {
		case 1:
			return g.node(f.body, depth)
		case 5:
			_, err := g.weight(f.body)
			return err
		}
		return nil
	})
}

// node reads a NodeProto, and the graphs and weights in its attributes.
func (g *grapher) node(m span, depth int) error {
	return g.each(m, func(f field) error {
		switch f.number {
		case 4:
			op, err := g.text(f.body)
			// …Linear, …MatMul and …LSTM: all take the scale of what they are given.
			g.DynamicQuantized = g.DynamicQuantized || strings.HasPrefix(op, "DynamicQuantize")
			return err
		case 5:
			return g.each(f.body, func(f field) error { // AttributeProto
				switch f.number {
				case 5, 10: // tensors
					_, err := g.weight(f.body)
					return err
				case 6, 11: // graphs
					return g.inner(f.body, depth+1)
				}
				return nil
			})
		}
		return nil
	})
}

// weight reads the name of a TensorProto and the file that it may lie in.
func (g *grapher) weight(m span) (name string, err error) {
	err = g.each(m, func(f field) (err error) {
		switch f.number {
		case 8:
			name, err = g.text(f.body)
		case 13: // external_data
			var key, value string
			key, value, err = g.entry(f.body)
			if key == "location" {
				g.ExternalData = append(g.ExternalData, value)
			}
		}
		return err
	})
	return name, err
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

// port reads a ValueInfoProto.
func (g *grapher) port(m span) (Port, error) {
	var p Port
	err := g.each(m, func(f field) (err error) {
		switch f.number {
		case 1:
			p.Name, err = g.text(f.body)
		case 2:
			err = g.each(f.body, func(f field) error { // TypeProto
				if f.number == 1 {
					return g.tensorType(&p, f.body)
				}
				p.Type = "no tensor"
				return nil
			})
		}
		return err
	})
	return p, err
}

func (g *grapher) tensorType(p *Port, m span) error {
	return g.each(m, func(f field) error {
		switch f.number {
		case 1:
			p.Type = elementType(f.value)
		case 2: // TensorShapeProto
			return g.each(f.body, func(dim field) error {
				n := int64(-1)
				err := g.each(dim.body, func(f field) error {
					if f.number == 1 && int64(f.value) > 0 { // dim_value; a free dimension has a name instead
						n = int64(f.value)
					}
					return nil
				})
				p.Shape = append(p.Shape, n)
				return err
			})
		}
		return nil
	})
}

// elementType names a TensorProto.DataType.
func elementType(n uint64) string {
	names := [...]string{1: "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64", "uint32", "uint64", 16: "bfloat16"}
	if n < uint64(len(names)) && names[n] != "" {
		return names[n]
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("type %d", n)
}
