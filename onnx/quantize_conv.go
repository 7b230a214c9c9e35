package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Convolutions take fixed ranges: a pair of QuantizeLinear and DequantizeLinear
// follows what they read and give, and ONNX Runtime makes one int8 operator of what
// lies between two pairs. Scales that are taken when the graph runs have no fast
// kernel there.

// Range is what a value was seen to be: its least and its largest element, and, of
// what a convolution reads, the mean of each channel.
type Range struct {
	Low, High float32
	Mean      []float32
}

// Observed is a value whose range Quantize needs, of so many channels if their means
// matter.
type Observed struct {
	Name     string
	Channels int
}

// Width is how many numbers [Model.Observe] gives of a value.
func (o Observed) Width() int { return 2 + o.Channels }

// convolutions is what a rewriter knows of them.
type convolutions struct {
	whole map[*Node]bool    // those that become int8
	sums  map[*Node]bool    // additions of two values that are in int8
	pairs map[string]string // from a value to the one that comes out of its pair
	given map[string]bool   // values that come out of int8 operators
	zero  map[string]uint8
	scale map[string]float64
}

// Observed returns the values whose ranges Quantize needs.
func (m *Model) Observed() []Observed {
	r := newRewriter(m, Quantizing{})
	r.planConvolutions()
	channels := map[string]int{}
	for n := range r.conv.whole {
		channels[n.Inputs[0]] = int(r.consts[n.Inputs[1]].Dims[1]) * groupsOf(n)
	}
	var list []Observed
	for name := range r.conv.pairs {
		list = append(list, Observed{name, channels[name]})
	}
	slices.SortFunc(list, func(a, b Observed) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func groupsOf(n *Node) int {
	groups, _ := n.Attr("group").(int64)
	return max(1, int(groups))
}

// Observe returns the graph of m with one output in place of all others, float32: of
// each value the least and the largest element, and the means of its channels.
func (m *Model) Observe(values []Observed) (*Model, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("no value of graph %s is named", m.Name)
	}
	r := newRewriter(m, Quantizing{})
	g := r.g
	g.m.Nodes = slices.Clone(m.Nodes)
	var all []*Value
	for _, o := range values {
		v := g.values[o.Name]
		if v == nil {
			return nil, fmt.Errorf("graph %s has no value %s", m.Name, o.Name)
		}
		for _, op := range []string{"ReduceMin", "ReduceMax"} {
			all = append(all, g.node("Reshape", Float, Of(1), []*Value{g.node(op, Float, nil, []*Value{v}), g.Int64s(1)}))
		}
		if o.Channels > 0 {
			x := &Value{g: g, name: v.name, typ: Float, shape: make(Shape, 4)}
			mean := g.ReduceMean(x, false, 0, 2, 3)
			all = append(all, g.node("Reshape", Float, Of(int64(o.Channels)), []*Value{mean, g.Int64s(int64(o.Channels))}))
		}
	}
	out := g.Concat(0, all...)
	g.m.Outputs, g.m.Info = []Port{{out.name, Float, out.shape}}, nil
	return &g.m, nil
}

// largeKernel is the size from which a convolution is taken to cut patches: a
// transformer's whole input comes out of it, and would have a range for all channels.
const largeKernel = 8

// planConvolutions decides which convolutions become int8: those whose weight is
// known and, when ranges are given, all whose values have one.
func (r *rewriter) planConvolutions() {
	c := &r.conv
	*c = convolutions{map[*Node]bool{}, map[*Node]bool{}, map[string]string{}, map[string]bool{}, map[string]uint8{}, map[string]float64{}}
	for _, n := range r.nodes {
		switch n.Op {
		case "Conv":
			if len(n.Inputs) < 2 || r.consts[n.Inputs[1]] == nil || len(r.consts[n.Inputs[1]].Dims) != 4 {
				continue
			}
			if len(n.Inputs) > 2 && n.Inputs[2] != "" && r.consts[n.Inputs[2]] == nil {
				continue
			}
			if _, ok := r.patches(n); ok || r.consts[n.Inputs[1]].Dims[2] >= largeKernel {
				continue
			}
			if in, out := n.Inputs[0], r.activated(n.Outputs[0]); r.ranged(in) && r.ranged(out) {
				c.whole[n] = true
				r.pair(in)
				r.pair(out)
				c.given[out] = true
			}
		case "Add":
			if len(n.Inputs) != 2 || !c.given[n.Inputs[0]] || !c.given[n.Inputs[1]] {
				continue
			}
			if out := r.activated(n.Outputs[0]); r.ranged(out) {
				c.sums[n] = true
				r.pair(out)
				c.given[out] = true
			}
		}
	}
}

// activated is the value that an activation makes of another one, if nothing else
// reads it: the kernels do both.
func (r *rewriter) activated(name string) string {
	if r.readBy[name] != 1 {
		return name
	}
	if n := r.reader[name]; n != nil && (n.Op == "Relu" || n.Op == "Clip") && n.Inputs[0] == name && len(n.Outputs) == 1 {
		return n.Outputs[0]
	}
	return name
}

func (r *rewriter) ranged(name string) bool {
	if r.consts[name] != nil {
		return false
	}
	if r.o.Ranges == nil {
		return true
	}
	x, ok := r.o.Ranges[name]
	return ok && x.Low <= x.High && !math.IsInf(float64(x.High), 0) && !math.IsInf(float64(x.Low), 0)
}

// pair takes note that a value goes through int8, and in which steps.
func (r *rewriter) pair(name string) {
	if r.conv.pairs[name] != "" {
		return
	}
	x := r.o.Ranges[name]
	low, high := math.Min(float64(x.Low), 0), math.Max(float64(x.High), 0)
	// A step that is a hair too short keeps the range within an activation's, which
	// can be left out then.
	scale := max((high-low)/255*(1-1e-6), smallestScale)
	r.conv.scale[name] = float64(float32(scale))
	r.conv.zero[name] = uint8(min(255, math.RoundToEven(-low/scale)))
	r.conv.pairs[name] = "int8/pair/" + name
}

// givePair writes a value's pair, once it is there.
func (r *rewriter) givePair(name string) {
	out := r.conv.pairs[name]
	if out == "" {
		return
	}
	g := r.g
	scale := g.Const(Floats("int8/pair/scale/"+name, []float32{float32(r.conv.scale[name])}))
	zero := g.Const(Uint8s("int8/pair/zero/"+name, []uint8{r.conv.zero[name]}))
	q := g.node("QuantizeLinear", Uint8, nil, []*Value{g.values[name], scale, zero})
	g.add(&Node{Op: "DequantizeLinear", Inputs: names([]*Value{q, scale, zero})}, out, Float, nil)
}

// reads is the name under which n reads a value: through its pair where n works in
// int8, and where what made the value does, since nothing else comes out of it.
func (r *rewriter) reads(n *Node, name string) string {
	c := &r.conv
	if c.pairs[name] == "" || !c.given[name] && !c.whole[n] && !c.sums[n] {
		return name
	}
	return c.pairs[name]
}

// convolution writes one whose weight is int8, each output channel with a scale.
func (r *rewriter) convolution(n *Node) (bool, error) {
	if p, ok := r.patches(n); ok {
		return true, r.writePatches(n, p)
	}
	if !r.conv.whole[n] {
		return false, nil
	}
	q, err := r.kernel(n)
	if err != nil {
		return false, err
	}
	g, t := r.g, r.consts[n.Inputs[1]]
	o := t.Dims[0]
	scale := g.Const(Floats("", q.Scale, o))
	w := g.node("DequantizeLinear", Float, nil, []*Value{g.Const(Int8s("", q.Q, t.Dims...)), scale, g.Const(Int8s("", make([]int8, o), o))}, Attr{"axis", int64(0)})
	same := *n
	same.Inputs = []string{r.reads(n, n.Inputs[0]), w.name}
	steps := make([]float32, o)
	for i := range steps {
		steps[i] = float32(r.conv.scale[n.Inputs[0]]) * q.Scale[i]
	}
	b := g.node("DequantizeLinear", Float, nil, []*Value{g.Const(int32s(q.bias)), g.Const(Floats("", steps, o)), g.Const(int32s(make([]int32, o)))}, Attr{"axis", int64(0)})
	same.Inputs = append(same.Inputs, b.name)
	g.m.Nodes = append(g.m.Nodes, &same)
	return true, nil
}

// kernel is a convolution's weight and bias; the bias counts in products of the
// input's and the weight's steps.
type kernel struct {
	QuantizedWeight
	bias []int32
}

// mostBias is what a bias may count at most, so that it does not fill 32 bits.
const mostBias = 1 << 30

func (r *rewriter) kernel(n *Node) (kernel, error) {
	var k kernel
	t := r.consts[n.Inputs[1]]
	w, err := t.load(r.o.FS)
	if err != nil {
		return k, err
	}
	o := int(t.Dims[0])
	if k.QuantizedWeight, err = quantizeKernel(w, t.Dims); err != nil {
		return k, fmt.Errorf("weight %s: %w", n.Inputs[1], err)
	}
	bias := make([]float32, o)
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		if bias, err = r.consts[n.Inputs[2]].load(r.o.FS); err != nil {
			return k, err
		}
	}
	if len(bias) != o {
		return k, fmt.Errorf("bias %s has %d numbers, not %d", n.Inputs[2], len(bias), o)
	}
	k.bias = make([]int32, o)
	step := r.conv.scale[n.Inputs[0]]
	for i := range bias {
		b := float64(bias[i])
		if least := math.Abs(b) / step / mostBias; !(float64(k.Scale[i]) >= least) {
			if math.IsNaN(least) || math.IsInf(least, 0) {
				return k, fmt.Errorf("bias %s: a number is not finite", n.Inputs[2])
			}
			k.coarsen(w, i, float32(least)*(1+1e-6)) // such a channel is hardly more than its bias
		}
		b += k.shift(w, i, t.Dims, r.o.Ranges[n.Inputs[0]].Mean, groupsOf(n))
		k.bias[i] = int32(min(max(math.RoundToEven(b/(step*float64(k.Scale[i]))), -math.MaxInt32), math.MaxInt32))
	}
	return k, nil
}

// coarsen quantizes output channel i anew by a larger scale.
func (k *kernel) coarsen(w []float32, i int, scale float32) {
	k.Scale[i] = scale
	each := len(w) / len(k.Scale)
	for j := i * each; j < (i+1)*each; j++ {
		k.Q[j] = int8(math.RoundToEven(float64(w[j]) / float64(scale)))
	}
}

// shift is by how much less output channel i is on average for its weights' having
// been rounded, when its input has these means (Nagel et al. 2019, Data-Free
// Quantization, section 4.2). It matters where kernels are small and many follow each
// other: EfficientNet-Lite0's features go from a cosine of 0.994 to 0.997.
func (k *kernel) shift(w []float32, i int, dims []int64, mean []float32, groups int) (sum float64) {
	o, c, area := int(dims[0]), int(dims[1]), int(dims[2]*dims[3])
	if len(mean) != c*groups {
		return 0
	}
	first := i / max(1, o/groups) * c
	for j := range c {
		for p := range area {
			at := (i*c+j)*area + p
			sum += (float64(w[at]) - float64(k.Q[at])*float64(k.Scale[i])) * float64(mean[first+j])
		}
	}
	return sum
}

// quantizeKernel quantizes w [O,C,kh,kw] by output channels. Neighbours are what
// they are to the runtime, which works with channels last; a convolution of single
// channels has kernels in which no pair saturates.
func quantizeKernel(w []float32, dims []int64) (QuantizedWeight, error) {
	o, c, area := int(dims[0]), int(dims[1]), int(dims[2]*dims[3])
	if c == 1 {
		q, scale, err := QuantizeTable(w, area)
		return QuantizedWeight{q, scale}, err
	}
	last := make([]float32, len(w))
	at := func(i, j, p int) (first, second int) { return (i*c+j)*area + p, (i*area+p)*c + j }
	for i := range o {
		for j := range c {
			for p := range area {
				a, b := at(i, j, p)
				last[b] = w[a]
			}
		}
	}
	q, err := QuantizeWeight(last, c*area, o, true)
	if err != nil {
		return q, err
	}
	back := make([]int8, len(w))
	for i := range o {
		for j := range c {
			for p := range area {
				a, b := at(i, j, p)
				back[a] = q.Q[(b-i*c*area)*o+i]
			}
		}
	}
	q.Q = back
	return q, nil
}

func int32s(values []int32) *Tensor {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = append(raw, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return &Tensor{Type: Int32, Dims: []int64{int64(len(values))}, Raw: raw}
}

// patches is a convolution that cuts pictures into patches, as vision transformers
// begin with: pictures of size × size pixels, and patches of side × side.
type patches struct{ channels, size, side int }

// patches reports whether n is one, of what the graph is given.
func (r *rewriter) patches(n *Node) (patches, bool) {
	i := slices.IndexFunc(r.g.m.Inputs, func(p Port) bool { return len(n.Inputs) > 0 && p.Name == n.Inputs[0] })
	if i < 0 || len(n.Inputs) < 2 || r.consts[n.Inputs[1]] == nil || len(r.consts[n.Inputs[1]].Dims) != 4 || len(r.g.m.Inputs[i].Shape) != 4 {
		return patches{}, false
	}
	w := r.consts[n.Inputs[1]].Dims
	p := patches{int(w[1]), r.o.Size, int(w[2])}
	if h, known := r.g.m.Inputs[i].Shape[2].Known(); known {
		p.size = int(h)
	}
	strides, _ := n.Attr("strides").([]int64)
	pads, _ := n.Attr("pads").([]int64)
	groups, _ := n.Attr("group").(int64)
	auto, _ := n.Attr("auto_pad").(string)
	fits := p.side > 1 && w[2] == w[3] && slices.Equal(strides, w[2:]) && p.size > 0 && p.size%p.side == 0 &&
		!slices.ContainsFunc(pads, func(x int64) bool { return x != 0 }) && groups <= 1 && (auto == "" || auto == "NOTSET" || auto == "VALID")
	return p, fits && w[0]*w[1]*w[2]*w[3] >= smallestLayer
}

// writePatches makes the product by rows of it that it is.
func (r *rewriter) writePatches(n *Node, p patches) error {
	g, t := r.g, r.consts[n.Inputs[1]]
	k, out, grid := p.channels*p.side*p.side, int(t.Dims[0]), p.size/p.side
	w, scale, err := r.weights(n.Inputs[1], t, k, out, true)
	if err != nil {
		return err
	}
	b, c, s, e := Sym("batch"), N(p.channels), N(p.side), N(grid)
	x := &Value{g: g, name: n.Inputs[0], typ: Float, shape: Shape{b, c, N(p.size), N(p.size)}}
	x = g.Transpose(g.Reshape(x, b, c, e, s, e, s), 0, 2, 4, 1, 3, 5)
	y := g.MatMulInt8(g.QuantizeRows(g.Reshape(x, b.Times(N(grid*grid)), N(k))), w, scale)
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		y = g.node("Add", Float, y.shape, []*Value{y, g.values[n.Inputs[2]]})
	}
	y = g.Reshape(y, b, e, e, N(out))
	delete(g.values, n.Outputs[0])
	g.add(&Node{Op: "Transpose", Inputs: []string{y.name}, Attrs: []Attr{{"perm", []int64{0, 3, 1, 2}}}}, n.Outputs[0], Float, nil)
	return nil
}
