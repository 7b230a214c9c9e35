package onnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
)

// Quantizing says how the float32 of a graph becomes int8.
type Quantizing struct {
	// FS has the files in which tensors of the graph lie.
	FS fs.FS
	// Size of the pictures that the graph is given, where it takes any; or 0.
	Size int
	// Ranges of the values around convolutions, by name, as [Model.Observe] finds
	// them. A convolution without them stays float32.
	Ranges map[string]Range
}

// The sizes below which quantizing a layer or a table gains nothing.
const (
	smallestLayer = 1 << 10
	smallestTable = 1 << 14
)

// oldestOpset is the first that has what the quantized graph needs.
const oldestOpset = 11

// Quantize returns the graph of m, which was read, with int8 in it: linear layers by
// rows ([Graph.MatMulInt8]), large tables that rows are looked up in, and
// convolutions by fixed ranges. The last linear layer before an output stays as it
// is. How many operators became int8 is returned. m keeps its tensors and is not to
// be used afterwards.
func (m *Model) Quantize(o Quantizing) (quantized *Model, layers int, err error) {
	r := newRewriter(m, o)
	defer func() {
		if e := recover(); e != nil {
			wrong, ok := e.(misfit)
			if !ok {
				panic(e)
			}
			quantized, err = nil, fmt.Errorf("quantize graph %s: %w", m.Name, wrong.error)
		}
	}()
	if r.g.opset < oldestOpset {
		return nil, 0, fmt.Errorf("quantize graph %s: its operators are of set %d, older than %d: export it anew", m.Name, r.g.opset, oldestOpset)
	}
	r.planConvolutions()
	for _, p := range m.Inputs {
		r.givePair(p.Name)
	}
	for _, n := range m.Nodes {
		if err := r.node(n); err != nil {
			return nil, 0, fmt.Errorf("quantize graph %s: %s %s: %w", m.Name, n.Op, n.Name, err)
		}
	}
	r.dropUnused()
	return &r.g.m, r.layers, nil
}

// rewriter writes a graph anew, node by node.
type rewriter struct {
	o      Quantizing
	g      *Graph
	nodes  []*Node            // as they were
	consts map[string]*Tensor // float32
	exact  map[*Node]bool     // the last layers
	made   map[string]*Node   // by their results
	readBy map[string]int     // how often a value is read
	reader map[string]*Node   // the last to read it
	rows   map[string]Int8Rows
	weight map[string][2]*Value // and its scales
	layers int
	conv   convolutions
}

func newRewriter(m *Model, o Quantizing) *rewriter {
	g := &Graph{m: *m, values: map[string]*Value{}, shared: map[string]*Value{}, scope: "int8/"}
	r := &rewriter{
		o: o, g: g, nodes: m.Nodes, reader: map[string]*Node{}, consts: map[string]*Tensor{}, exact: map[*Node]bool{}, made: map[string]*Node{}, readBy: map[string]int{},
		rows: map[string]Int8Rows{}, weight: map[string][2]*Value{},
	}
	g.m.Nodes, g.m.Initializers, g.m.Opsets = nil, slices.Clone(m.Initializers), slices.Clone(m.Opsets)
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			g.opset = o.Version
		}
	}
	if !slices.ContainsFunc(m.Opsets, func(o Opset) bool { return o.Domain == microsoft }) {
		g.m.Opsets = append(g.m.Opsets, Opset{microsoft, 1})
	}
	for _, t := range m.Initializers {
		r.constant(t.Name, t)
	}
	for _, p := range m.Inputs {
		g.values[p.Name] = &Value{g: g, name: p.Name}
		delete(r.consts, p.Name) // its value may be replaced
	}
	for _, n := range m.Nodes {
		for _, out := range n.Outputs {
			g.values[out] = &Value{g: g, name: out}
			r.made[out] = n
		}
		for _, in := range n.Inputs {
			r.readBy[in]++
			r.reader[in] = n
		}
		if t, ok := n.Attr("value").(*Tensor); ok && n.Op == "Constant" && len(n.Outputs) == 1 {
			r.constant(n.Outputs[0], t)
		}
	}
	for _, p := range m.Outputs {
		r.readBy[p.Name] += 2 // it must stay what it is
		r.keepLast(p.Name)
	}
	return r
}

func (r *rewriter) constant(name string, t *Tensor) {
	r.g.values[name] = &Value{g: r.g, name: name}
	if n, err := t.Len(); err == nil && t.Type == Float && n > 0 {
		r.consts[name] = t
	}
}

// keepLast finds the linear layer that makes an output, if only what shapes, adds a
// constant or normalizes comes after it.
func (r *rewriter) keepLast(name string) {
	for range 32 {
		n := r.made[name]
		if n == nil || len(n.Inputs) == 0 {
			return
		}
		switch n.Op {
		case "MatMul", "Gemm":
			r.exact[n] = true
			return
		case "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Div", "Cast", "LpNormalization":
		case "Add":
			if r.consts[n.Inputs[0]] != nil && len(n.Inputs) == 2 {
				name = n.Inputs[1]
				continue
			}
			if r.consts[n.Inputs[len(n.Inputs)-1]] == nil {
				return
			}
		default:
			return
		}
		name = n.Inputs[0]
	}
}

// node writes n, or what stands for it.
func (r *rewriter) node(n *Node) error {
	var err error
	done := false
	switch {
	case n.Domain != "" && n.Domain != "ai.onnx" || len(n.Outputs) != 1 || r.exact[n]:
	case n.Op == "MatMul" && len(n.Inputs) == 2:
		done, err = r.linear(n, false)
	case n.Op == "Gemm" && len(n.Inputs) >= 2 && plainGemm(n):
		transposed, _ := n.Attr("transB").(int64)
		done, err = r.linear(n, transposed == 1)
	case n.Op == "Gather" && len(n.Inputs) == 2:
		done, err = r.gather(n)
	case n.Op == "Conv":
		done, err = r.convolution(n)
	}
	if err != nil {
		return err
	}
	if !done {
		r.keep(n)
	} else {
		r.layers++
	}
	for _, out := range n.Outputs {
		r.givePair(out)
	}
	return nil
}

// keep writes n as it is, but for what it reads.
func (r *rewriter) keep(n *Node) {
	same := *n
	same.Inputs = slices.Clone(n.Inputs)
	for i, in := range same.Inputs {
		same.Inputs[i] = r.reads(n, in)
	}
	r.g.m.Nodes = append(r.g.m.Nodes, &same)
}

// plainGemm reports whether n is x·w + bias.
func plainGemm(n *Node) bool {
	one := func(name string) bool {
		v, given := n.Attr(name).(float32)
		return !given || v == 1
	}
	turned, _ := n.Attr("transA").(int64)
	return one("alpha") && one("beta") && turned == 0
}

// matrix returns the constant of that name, if it has two dimensions.
func (r *rewriter) matrix(name string, smallest int64) (*Tensor, bool) {
	t := r.consts[name]
	if t == nil || len(t.Dims) != 2 || t.Dims[0]*t.Dims[1] < smallest {
		return nil, false
	}
	return t, true
}

// linear writes a linear layer by rows, whatever the rank of what it reads.
func (r *rewriter) linear(n *Node, transposed bool) (bool, error) {
	t, ok := r.matrix(n.Inputs[1], smallestLayer)
	if !ok || r.consts[n.Inputs[0]] != nil {
		return false, nil
	}
	k, width := int(t.Dims[0]), int(t.Dims[1])
	if transposed {
		k, width = width, k
	}
	w, scale, err := r.weights(n.Inputs[1], t, k, width, transposed)
	if err != nil {
		return false, err
	}
	y := r.g.MatMulInt8(r.rowsOf(n.Inputs[0], k), w, scale)
	out := n.Outputs[0]
	delete(r.g.values, out)
	if n.Op == "MatMul" {
		in := r.g.values[n.Inputs[0]]
		target := r.g.once(fmt.Sprint("target", in.name, width), func() *Value {
			lead := r.g.node("Slice", Int64, Shape{Sym("rank")}, []*Value{r.shapeOf(in), r.g.Int64s(0), r.g.Int64s(-1), r.g.Int64s(0)})
			return r.g.node("Concat", Int64, Shape{Sym("rank")}, []*Value{lead, r.g.Int64s(int64(width))}, Attr{"axis", int64(0)})
		})
		r.g.add(&Node{Op: "Reshape", Inputs: names([]*Value{y, target})}, out, Float, nil)
		return true, nil
	}
	if len(n.Inputs) == 3 && n.Inputs[2] != "" {
		r.g.add(&Node{Op: "Add", Inputs: []string{y.name, n.Inputs[2]}}, out, Float, nil)
	} else {
		r.g.add(&Node{Op: "Identity", Inputs: []string{y.name}}, out, Float, nil)
	}
	return true, nil
}

func (r *rewriter) shapeOf(v *Value) *Value {
	return r.g.once("shape of "+v.name, func() *Value {
		return r.g.node("Shape", Int64, Shape{Sym("rank")}, []*Value{v})
	})
}

// rowsOf quantizes a value's rows of k, once for all layers that read it.
func (r *rewriter) rowsOf(name string, k int) Int8Rows {
	key := fmt.Sprint(name, " ", k)
	if q, ok := r.rows[key]; ok {
		return q
	}
	in := r.g.values[name]
	x := r.g.node("Reshape", Float, Shape{Sym("rows of " + name), N(k)}, []*Value{in, r.g.Int64s(-1, int64(k))})
	var q Int8Rows
	if depth, bounded := r.depth(name); bounded {
		q = r.g.QuantizeRowsAbove(x, depth)
	} else {
		q = r.g.QuantizeRows(x)
	}
	r.rows[key] = q
	return q
}

// depth says how far a value goes below zero, where that is known.
func (r *rewriter) depth(name string) (float64, bool) {
	if n := r.made[name]; n != nil {
		switch n.Op {
		case "Relu", "Sigmoid", "Softmax":
			return 0, true
		case "Gelu", "FastGelu", "BiasGelu", "QuickGelu":
			return 0.1702, true
		}
	}
	return 0, false
}

// weights returns a weight in int8 and its scales, the same for all that read it.
func (r *rewriter) weights(name string, t *Tensor, k, n int, transposed bool) (w, scale *Value, err error) {
	key := fmt.Sprint(name, transposed)
	if v, ok := r.weight[key]; ok {
		return v[0], v[1], nil
	}
	numbers, err := t.load(r.o.FS)
	if err != nil {
		return nil, nil, err
	}
	q, err := QuantizeWeight(numbers, k, n, transposed)
	if err != nil {
		return nil, nil, fmt.Errorf("weight %s: %w", name, err)
	}
	w, scale = r.g.Const(Int8s("int8/"+name, q.Q, int64(k), int64(n))), r.g.Const(Floats("int8/scale/"+name, q.Scale, int64(n)))
	r.weight[key] = [2]*Value{w, scale}
	return w, scale, nil
}

// gather looks up rows of a large table.
func (r *rewriter) gather(n *Node) (bool, error) {
	t, ok := r.matrix(n.Inputs[0], smallestTable)
	if axis, _ := n.Attr("axis").(int64); !ok || axis != 0 || r.consts[n.Inputs[1]] != nil {
		return false, nil
	}
	name := n.Inputs[0]
	if _, done := r.weight[name]; !done {
		numbers, err := t.load(r.o.FS)
		if err != nil {
			return false, err
		}
		q, scale, err := QuantizeTable(numbers, int(t.Dims[1]))
		if err != nil {
			return false, fmt.Errorf("table %s: %w", name, err)
		}
		r.weight[name] = [2]*Value{r.g.Const(Int8s("int8/"+name, q, t.Dims...)), r.g.Const(Floats("int8/scale/"+name, scale, t.Dims[0], 1))}
	}
	v, ids, any := r.weight[name], r.g.values[n.Inputs[1]], Shape{Sym("any")}
	if ids == nil {
		return false, nil
	}
	steps := r.g.node("Cast", Float, any, []*Value{r.g.node("Gather", Int8, any, []*Value{v[0], ids})}, Attr{"to", int64(Float)})
	scale := r.g.node("Gather", Float, any, []*Value{v[1], ids})
	delete(r.g.values, n.Outputs[0])
	r.g.add(&Node{Op: "Mul", Inputs: []string{steps.name, scale.name}}, n.Outputs[0], Float, nil)
	return true, nil
}

// dropUnused leaves out the constants that nothing reads any more.
func (r *rewriter) dropUnused() {
	m, used := &r.g.m, map[string]bool{}
	var inner [][]byte // graphs within nodes may read any
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			used[in] = true
		}
		for _, a := range n.Attrs {
			if raw, ok := a.Value.(rawAttr); ok {
				inner = append(inner, raw)
			}
		}
	}
	for _, p := range m.Outputs {
		used[p.Name] = true
	}
	unused := func(name string) bool {
		return !used[name] && !slices.ContainsFunc(inner, func(raw []byte) bool { return bytes.Contains(raw, []byte(name)) })
	}
	m.Initializers = slices.DeleteFunc(m.Initializers, func(t *Tensor) bool { return unused(t.Name) })
	m.Nodes = slices.DeleteFunc(m.Nodes, func(n *Node) bool { return n.Op == "Constant" && len(n.Outputs) == 1 && unused(n.Outputs[0]) })
	m.Info = nil
}

// load returns the elements of a float32 tensor, from wherever they lie.
func (t *Tensor) load(fsys fs.FS) ([]float32, error) {
	n, err := t.Len()
	switch {
	case err != nil:
		return nil, err
	case t.External == nil:
		return t.Float32s()
	case t.Type != Float || t.External.Length != 0 && t.External.Length != 4*n:
		return nil, fmt.Errorf("tensor %s of %v%v has %d bytes", t.Name, t.Type, t.Dims, t.External.Length)
	}
	whole := *t.External
	whole.Length = 4 * n
	r, err := whole.open(fsys)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	numbers, err := readFloats(r, n)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	return numbers, nil
}

// readFloats reads n numbers. It asks for no more memory than what is there.
func readFloats(r io.Reader, n int64) ([]float32, error) {
	const chunk = 1 << 18
	var numbers []float32
	buf := make([]byte, 4*min(chunk, n))
	for left := n; left > 0; {
		part := buf[:4*min(chunk, left)]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, fmt.Errorf("its file is cut off: %w", err)
		}
		for ; len(part) > 0; part = part[4:] {
			numbers = append(numbers, math.Float32frombits(binary.LittleEndian.Uint32(part)))
		}
		left -= min(chunk, left)
	}
	return numbers, nil
}
