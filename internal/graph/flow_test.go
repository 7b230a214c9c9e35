package graph_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph"
	"github.com/clipsearch/clipsearch/internal/graph/graphtest"
)

func (m *message) number(n protowire.Number, v uint64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, n, protowire.VarintType), v)
}

// node is a NodeProto: "Op in in -> out out", perhaps with attributes.
func node(text string, attributes ...message) message {
	var m message
	to := protowire.Number(1)
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			domain, op, ok := strings.Cut(word, ".")
			if !ok {
				domain, op = "", word
			}
			m.bytes(4, []byte(op))
			m.bytes(7, []byte(domain))
		case word == "->":
			to = 2
		default:
			m.bytes(to, []byte(word))
		}
	}
	for _, a := range attributes {
		m.bytes(5, a)
	}
	return m
}

// of wraps a message as a field of another.
func of(n protowire.Number, m message) (wrapped message) {
	wrapped.bytes(n, m)
	return wrapped
}

// named is a message of a name, as field 1.
func named(name string) message { return of(1, message(name)) }

// inner is a GraphProto with these outputs.
func inner(outputs string, nodes ...message) (g message) {
	for _, n := range nodes {
		g.bytes(1, n)
	}
	for _, name := range strings.Fields(outputs) {
		g.bytes(12, named(name))
	}
	return g
}

// functionOf is a FunctionProto of domain f that takes a and makes b.
func functionOf(name string, nodes ...message) (f message) {
	f.bytes(1, []byte(name))
	f.bytes(4, []byte("a"))
	f.bytes(5, []byte("b"))
	for _, n := range nodes {
		f.bytes(7, n)
	}
	f.bytes(10, []byte("f"))
	return f
}

// modelOf takes x and makes y.
func modelOf(parts ...message) (model message) {
	g := inner("y")
	g.bytes(11, named("x"))
	model.bytes(7, g)
	for _, p := range parts {
		model = append(model, p...)
	}
	return model
}

// graphOf is a part of the model's graph: they add up.
func graphOf(nodes ...message) message { return of(7, inner("", nodes...)) }

func TestCircles(t *testing.T) {
	chain := func(n int, back bool) (nodes []message) {
		for i := range n {
			nodes = append(nodes, node(fmt.Sprintf("Relu v%d -> v%d", i, i+1)))
		}
		if back {
			return append(nodes, node(fmt.Sprintf("Relu v%d -> v0", n)), node("Relu v3 -> y"))
		}
		return append([]message{node(fmt.Sprintf("Relu v%d -> y", n))}, append(nodes, node("Relu x -> v0"))...)
	}
	branch := func(g message) message { return of(6, g) }
	for _, tt := range []struct {
		name  string
		model message
		fails string // empty: there is no circle
	}{
		{"none", modelOf(graphOf(node("Relu x -> y"))), ""},
		{"a long way, written backwards", modelOf(graphOf(chain(100_000, false)...)), ""},
		{"names that are left out", modelOf(graphOf(node("Clip x -> y"), of(1, nil))), ""},
		{"two nodes", modelOf(graphOf(node("Add x b -> a"), node("Relu a -> b"), node("Relu a -> y"))), "depends on itself"},
		{"itself", modelOf(graphOf(node("Add x y -> y"))), `"y" depends on itself`},
		{"beside the result", modelOf(graphOf(node("Relu x -> y"), node("Relu q -> p"), node("Relu p -> q"))), "depends on itself"},
		{"in front of what is named", modelOf(graphOf(node("Relu a -> z"), node("Relu z -> y"), node("Relu a -> a"))), `"a" depends on itself`},
		{"in two parts of the graph", modelOf(graphOf(node("Add x b -> a")), graphOf(node("Add a x -> b"))), "depends on itself"},
		{"a long circle", modelOf(graphOf(chain(100_000, true)...)), "depends on itself"},
		{"through a branch", modelOf(graphOf(node("If x -> y", branch(inner("o", node("Relu z -> o")))), node("Relu y -> z"))), "depends on itself"},
		{"through what a branch passes on", modelOf(graphOf(node("If x -> y", branch(inner("z"))), node("Relu y -> z"))), "depends on itself"},
		{"in a branch", modelOf(graphOf(node("If x -> y", branch(inner("o", node("Relu p -> o"), node("Relu o -> p")))))), "depends on itself"},
		{"a branch with a name from outside", modelOf(graphOf(node("If x -> y", branch(inner("z", node("Relu x -> z")))), node("Relu y -> z"))), ""},
		{"in a function", modelOf(of(25, functionOf("F", node("Relu c -> b"), node("Relu b -> c")))), "depends on itself"},
		{"functions", modelOf(graphOf(node("f.F x -> y")), of(25, functionOf("F", node("f.G a -> b"))), of(25, functionOf("G", node("Relu a -> b")))), ""},
		{"a function of an operator's name", modelOf(graphOf(node("f.Relu x -> y")), of(25, functionOf("Relu", node("Relu a -> b")))), ""},
		{"a function that calls itself", modelOf(of(25, functionOf("F", node("f.F a -> b"))), graphOf(node("f.F x -> y"))), "a function calls itself"},
		{"two functions", modelOf(graphOf(node("f.F x -> y")), of(25, functionOf("F", node("f.G a -> b"))), of(25, functionOf("G", node("If a -> b", branch(inner("o", node("f.F a -> o"))))))), "a function calls itself"},
	} {
		g, err := graph.Inspect(tt.model)
		switch {
		case tt.fails == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.fails == "" && len(g.Inputs) != 1:
			t.Errorf("%s: %+v", tt.name, g)
		case tt.fails != "" && (!errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), tt.fails)):
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.fails)
		}
	}
}

// Thirty functions, each of which calls the next one twice, are a billion nodes to
// whoever runs the graph.
func TestFunctionsThatGrow(t *testing.T) {
	doubled := func(n int) message {
		model := modelOf(graphOf(node("f.F0 x -> y")), of(25, functionOf(fmt.Sprint("F", n), node("Relu a -> b"))))
		for i := range n {
			call := fmt.Sprintf("f.F%d ", i+1)
			model = append(model, of(25, functionOf(fmt.Sprint("F", i), node(call+"a -> c"), node(call+"c -> b")))...)
		}
		return model
	}
	if _, err := graph.Inspect(doubled(30)); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "become more than 131072 nodes") {
		t.Errorf("2 to the 30th nodes: %v", err)
	}
	if _, err := graph.Inspect(doubled(10)); err != nil {
		t.Errorf("2 to the 10th nodes: %v", err)
	}
	deep := modelOf(graphOf(node("f.F0 x -> y")))
	for i := range 16_000 {
		deep = append(deep, of(25, functionOf(fmt.Sprint("F", i), node(fmt.Sprintf("f.F%d a -> b", i+1))))...)
	}
	if _, err := graph.Inspect(deep); err != nil {
		t.Errorf("16,000 functions that call the next: %v", err)
	}
}

// outside is a TensorProto whose elements lie in a file.
func outside(location string) (tensor message) {
	var entry message
	entry.bytes(1, []byte("location"))
	entry.bytes(2, []byte(location))
	tensor.bytes(8, []byte("w"))
	tensor.bytes(13, entry)
	tensor.number(14, 1)
	return tensor
}

func TestWeightsOutside(t *testing.T) {
	for _, name := range []string{"../w.bin", "/etc/passwd", "a/../../w.bin", `..\w.bin`, `C:\w.bin`, "C:w.bin", `\\host\w.bin`, "", ".", "..", "a/..", "*/_ORT_MEM_ADDR_/*", "a\x00b"} {
		for where, part := range map[string]message{
			"weight":           of(7, of(5, outside(name))),
			"sparse weight":    of(7, of(15, of(1, outside(name)))),
			"sparse places":    of(7, of(15, of(2, outside(name)))),
			"attribute":        graphOf(node("Constant -> c", of(5, outside(name)))),
			"attribute's list": graphOf(node("Constant -> c", of(10, outside(name)))),
			"sparse attribute": graphOf(node("Constant -> c", of(22, of(1, outside(name))))),
			"branch":           graphOf(node("If x -> c", of(6, of(5, outside(name))))),
			"function":         of(25, functionOf("F", node("Constant -> b", of(5, outside(name))))),
			"default":          of(25, of(11, of(5, outside(name)))),
		} {
			_, err := graph.Inspect(modelOf(part))
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("it keeps weights in %q", name)) {
				t.Errorf("%s in %q: %v", where, name, err)
			}
		}
	}
	var parts message
	want := []string{"./here.data", "onnx::MatMul_12", "w.bin", "weights/w.bin"}
	for _, name := range append([]string{"w.bin", "w.bin"}, want...) {
		parts = append(parts, of(7, of(5, outside(name)))...)
	}
	var inside, entry message // it says where it would be, if it were outside
	entry.bytes(1, []byte("location"))
	entry.bytes(2, []byte("../old.bin"))
	inside.bytes(13, entry)
	g, err := graph.Inspect(modelOf(parts, of(7, of(5, inside))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, g.ExternalData); diff != "" {
		t.Errorf("ExternalData (-want +got):\n%s", diff)
	}
}

// Files that are large in number: each is refused, or read within bounds.
func TestInspectMemory(t *testing.T) {
	many := func(n int, part string) message { return message(strings.Repeat(part, n)) }
	files := make(message, 0, 1<<20)
	for i := range 5000 {
		files = append(files, of(5, outside(fmt.Sprint("w", i)))...)
	}
	dims := of(2, of(1, of(2, many(1000, "\x0a\x00"))))
	functions := make(message, 0, 1<<20)
	for i := range 20_000 {
		functions = append(functions, of(25, functionOf(fmt.Sprint("F", i)))...)
	}
	for _, tt := range []struct {
		name  string
		model message
		fails string
	}{
		{"inputs", modelOf(of(7, many(10_000_000, "\x5a\x00"))), "more than 65536 inputs"},
		{"outputs", modelOf(of(7, many(10_000_000, "\x62\x00"))), "more than 65536 inputs or outputs"},
		{"dimensions", modelOf(of(7, of(11, dims))), "more than 64 dimensions"},
		{"nodes", modelOf(of(7, many(10_000_000, "\x0a\x00"))), "more than 131072 nodes"},
		{"values", modelOf(of(7, of(1, many(10_000_000, "\x0a\x00")))), "more than 4194304 values"},
		{"weights", modelOf(of(7, many(10_000_000, "\x2a\x00"))), "more than 4194304 values"},
		{"files of weights", modelOf(of(7, files)), "in more than 4096 files"},
		{"functions", modelOf(functions), "more than 16384 functions"},
		{"fields", modelOf(many(20_000_000, "\x08\x01")), "more than 16777216 fields"},
		{"a long name", modelOf(graphOf(node("Relu x -> " + strings.Repeat("y", 10_000)))), "a name of 10000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := graph.Inspect(tt.model)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), tt.fails) {
				t.Errorf("error %v does not say %q", err, tt.fails)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 || took > time.Minute {
				t.Errorf("took %v and %d MB", took, used>>20)
			}
		})
	}
}

func TestInspectCutOff(t *testing.T) {
	model := graphtest.Model{
		Inputs: []graphtest.Port{{Name: "x", Type: graphtest.Float32}}, Outputs: []graphtest.Port{{Name: "y", Type: graphtest.Float32}},
		Nodes: []graphtest.Node{{Op: "Relu", In: []string{"x"}, Out: []string{"y"}}},
	}.Bytes()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, model[:len(model)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := graph.InspectFile(path); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "cut off: get it again") {
		t.Errorf("half a model: %v", err)
	}
}
