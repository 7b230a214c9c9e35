package graph_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clipsearch/clipsearch/internal/graph"
)

func TestInspect(t *testing.T) {
	dims := func(d ...int64) []int64 { return d }
	for _, tt := range []struct {
		file string
		want graph.Graph
	}{
		{"tiny.onnx", graph.Graph{
			Inputs:  []graph.Port{{Name: "x", Type: "float32", Shape: dims(-1, 3)}, {Name: "ids", Type: "int64", Shape: dims(-1, 1)}},
			Outputs: []graph.Port{{Name: "y", Type: "float32", Shape: dims(-1, 2)}},
			Opset:   17,
		}},
		{"bytes.onnx", graph.Graph{
			Inputs:           []graph.Port{{Name: "x", Type: "float32", Shape: dims(-1, 3)}},
			Outputs:          []graph.Port{{Name: "q", Type: "uint8", Shape: dims(-1, 3)}},
			DynamicQuantized: true,
			Opset:            17,
		}},
		{"half.onnx", graph.Graph{
			Inputs:  []graph.Port{{Name: "x", Type: "float32", Shape: dims(-1)}, {Name: "h", Type: "float16", Shape: dims(-1)}},
			Outputs: []graph.Port{{Name: "y", Type: "float16", Shape: dims(-1)}, {Name: "z", Type: "float32", Shape: dims(-1)}},
			Opset:   17,
		}},
		{"nested.onnx", graph.Graph{
			Inputs:           []graph.Port{{Name: "flag", Type: "bool"}, {Name: "x", Type: "float32", Shape: dims(3)}},
			Outputs:          []graph.Port{{Name: "y", Type: "float32"}},
			DynamicQuantized: true,
			ExternalData:     []string{"far/weights.bin"},
			Producer:         "make.py 2",
			Opset:            17,
		}},
		{"external.onnx", graph.Graph{
			Inputs:       []graph.Port{{Name: "x", Type: "float32", Shape: dims(-1, 3)}},
			Outputs:      []graph.Port{{Name: "y", Type: "float32", Shape: dims(-1, 2)}},
			ExternalData: []string{"external.data"},
			Opset:        17,
		}},
	} {
		path := filepath.Join("../ort/testdata", tt.file)
		got, err := graph.InspectFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("InspectFile(%q) (-want +got):\n%s", tt.file, diff)
		}
		model, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := graph.Inspect(model); err != nil || cmp.Diff(tt.want, got) != "" {
			t.Errorf("Inspect(%s) = %v, %v, unlike InspectFile", tt.file, got, err)
		}
		for n := range model { // a model that was cut off anywhere is an error or a shorter graph, never a panic
			graph.Inspect(model[:n])
		}
	}
}

// message writes protobuf messages.
type message []byte

func (m *message) bytes(n protowire.Number, body []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, n, protowire.BytesType), body)
}

func TestInspectErrors(t *testing.T) {
	var model, deep message
	for range 100_000 { // a node with an attribute with a graph with a node …
		var attribute, node, inner message
		attribute.bytes(6, deep)
		if len(deep) > 1000 {
			break
		}
		node.bytes(5, attribute)
		inner.bytes(1, node)
		deep = inner
	}
	model.bytes(7, deep)
	for name, model := range map[string]string{
		"empty":                   "",
		"words":                   "this is no model",
		"a message without graph": "\x08\x08",
		"a body beyond the end":   "\x3a\x7f\x01",
		"a huge body":             "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"a graph in graphs":       string(model),
	} {
		if g, err := graph.Inspect([]byte(model)); err == nil {
			t.Errorf("%s: Inspect = %+v, no error", name, g)
		}
	}
	if g, err := graph.InspectFile("../ort/testdata"); err == nil {
		t.Errorf("InspectFile of a folder = %+v, no error", g)
	}
}

// TestInspectSkips: the graph of a model with large weights is read without
// reading the weights.
func TestInspectSkips(t *testing.T) {
	const weights = 256 << 20
	tiny, err := os.ReadFile("../ort/testdata/tiny.onnx")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "large.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// graph { initializer { raw_data: <zeros> } }, then the fields of tiny, whose graph is merged
	raw := binary.AppendUvarint([]byte{9<<3 | 2}, weights)
	head := binary.AppendUvarint([]byte{5<<3 | 2}, uint64(len(raw)+weights))
	all := binary.AppendUvarint([]byte{7<<3 | 2}, uint64(len(head)+len(raw)+weights))
	all = append(append(all, head...), raw...)
	if _, err := f.Write(all); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(tiny, int64(len(all))+weights); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	g, err := graph.InspectFile(f.Name())
	runtime.ReadMemStats(&after)
	if err != nil || len(g.Inputs) != 2 {
		t.Errorf("InspectFile = %+v, %v", g, err)
	}
	if read := after.TotalAlloc - before.TotalAlloc; read > 1<<20 {
		t.Errorf("InspectFile took %d bytes of memory", read)
	}
}

// TestInspectModels reads real graphs.
func TestInspectModels(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
	}{
		{"../../embed/builtin/model/visual.int8.onnx", []string{"pixel_values float32[-1 3 224 224]"}},
		{text, []string{"input_ids int64[-1 -1]", "attention_mask int64[-1 -1]"}},
	} {
		g, err := graph.InspectFile(tt.name)
		if os.IsNotExist(err) {
			t.Skip("the built-in model is not there")
		}
		if err != nil {
			t.Fatal(err)
		}
		var in []string
		for _, p := range g.Inputs {
			in = append(in, p.String())
		}
		if !slices.Equal(in, tt.in) || g.DynamicQuantized {
			t.Errorf("%s: %+v, want the inputs %v", tt.name, g, tt.in)
		}
	}
}

const text = "../../embed/builtin/model/textual.int8.onnx"

func BenchmarkInspect(b *testing.B) {
	model, err := os.ReadFile(text)
	if err != nil {
		b.Skip(err)
	}
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			if _, err := graph.Inspect(model); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			if _, err := graph.InspectFile(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func FuzzInspect(f *testing.F) {
	for _, name := range []string{"tiny", "bytes", "half", "nested", "external"} {
		model, err := os.ReadFile("../ort/testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(model)
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		g, err := graph.Inspect(model)
		if err == nil && len(g.Outputs) == 0 {
			t.Error("a graph without outputs, and no error")
		}
		if err != nil && bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("an error of several lines: %v", err)
		}
	})
}
