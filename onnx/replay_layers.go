package onnx

import (
	"slices"
)

// replayedLayers are the operators with weights, and what goes with them.
var replayedLayers = map[string]func(*call) *operand{
	"Gemm":                             (*call).gemm,
	"MatMul":                           func(c *call) *operand { return c.matMul(c.arg(0), c.arg(1)) },
	"Conv":                             (*call).conv,
	"AveragePool":                      func(c *call) *operand { return c.pool() },
	"MaxPool":                          func(c *call) *operand { return c.pool() },
	"GlobalAveragePool":                func(c *call) *operand { return c.reduce("ReduceMean", c.arg(0), true, c.spatial()) },
	"GlobalMaxPool":                    func(c *call) *operand { return c.reduce("ReduceMax", c.arg(0), true, c.spatial()) },
	"BatchNormalization":               (*call).batchNorm,
	"LayerNormalization":               (*call).layerNorm,
	"LpNormalization":                  (*call).unit,
	"Softmax":                          (*call).softmax,
	"LogSoftmax":                       func(c *call) *operand { return c.unary("Log", c.softmax()) },
	"com.microsoft.FusedMatMul":        (*call).fusedMatMul,
	"com.microsoft.MultiHeadAttention": (*call).multiHead,
	"com.microsoft.Attention":          (*call).packedAttention,
	"com.microsoft.RotaryEmbedding":    (*call).rotary,
}

// linear is a product of rows with a matrix that is not in the graph yet.
type linear struct {
	x, w *operand // x [M,K]; w [K,N], or [N,K] where wT
	wT   bool
	dims []int64
}

// product is x·w, its rows in the dimensions dims: lazy, because a bias may follow.
func (r *replay) product(x, w *operand, wT bool, dims []int64) *operand {
	if w.flip != nil && w.value == nil {
		w, wT = w.flip, !wT
	}
	l := &linear{x, w, wT, dims}
	return &operand{typ: x.typ, dims: dims, linear: l, lazy: func() *Value { return r.value(r.emit(l, nil)) }}
}

// emit adds the product to the graph.
func (r *replay) emit(l *linear, bias *Value) *operand {
	return r.reshape(r.from(r.g.Gemm(r.value(l.x), r.value(l.w), bias, l.wT)), l.dims...)
}

// rows is x [...,K] as [M,K].
func (r *replay) rows(x *operand) *operand {
	if len(x.dims) == 2 || x.value == nil && x.lazy == nil {
		return r.reshape(x, rowsOf(x.dims)...)
	}
	v := r.g.once("rows "+r.value(x).name, func() *Value { return r.g.Reshape(x.value, Of(rowsOf(x.dims)...)...) })
	return r.from(v)
}

func rowsOf(dims []int64) []int64 {
	last := len(dims) - 1
	n, _ := elementsOf(dims[:last])
	return []int64{n, dims[last]}
}

// sum is Add; where one side is a product that nothing else reads and the other a
// vector, that is its bias.
func (c *call) sum() *operand {
	a, b := c.arg(0), c.arg(1)
	for i, l := range []*operand{a, b} {
		bias := []*operand{b, a}[i]
		if l.linear != nil && l.value == nil && c.uses[c.n.Inputs[i]] == 1 && len(bias.dims) == 1 &&
			bias.dims[0] == l.dims[len(l.dims)-1] && bias.typ == l.typ {
			return c.emit(l.linear, c.value(bias))
		}
	}
	return c.add(a, b)
}

// matMul is MatMul. With a matrix on the right it is a Gemm over the rows of a.
func (r *replay) matMul(a, b *operand) *operand {
	m, n := len(a.dims), len(b.dims)
	if m == 0 || n == 0 || m == 1 && n == 1 {
		r.g.failf("MatMul of %v and %v", a.dims, b.dims)
	}
	switch {
	case m == 1:
		out := r.matMul(r.reshape(a, 1, a.dims[0]), b)
		return r.reshape(out, slices.Delete(slices.Clone(out.dims), len(out.dims)-2, len(out.dims)-1)...)
	case n == 1:
		out := r.matMul(a, r.reshape(b, b.dims[0], 1))
		return r.reshape(out, out.dims[:len(out.dims)-1]...)
	case n > 2 || a.typ != Float || b.typ != Float:
		return r.from(r.g.MatMul(r.value(a), r.value(b)))
	case a.dims[m-1] != b.dims[0]:
		r.g.failf("MatMul of %v and %v", a.dims, b.dims)
	}
	return r.product(r.rows(a), b, false, append(slices.Clone(a.dims[:m-1]), b.dims[1]))
}

// gemm is alpha·a·b + beta·bias.
func (c *call) gemm() *operand {
	a, b := c.arg(0), c.arg(1)
	if len(a.dims) != 2 || len(b.dims) != 2 {
		c.g.failf("Gemm of %v and %v", a.dims, b.dims)
	}
	if c.int("transA", 0) != 0 {
		a = c.transpose(a, []int{1, 0})
	}
	wT := c.int("transB", 0) != 0
	k, n := 0, 1
	if wT {
		k, n = 1, 0
	}
	if a.dims[1] != b.dims[k] {
		c.g.failf("Gemm of %v and %v", a.dims, b.dims)
	}
	out := c.product(a, b, wT, []int64{a.dims[0], b.dims[n]})
	if alpha := c.float("alpha", 1); alpha != 1 {
		out = c.times(out, alpha)
	}
	beta := c.float("beta", 1)
	if c.opt(2) == nil || beta == 0 {
		return out
	}
	bias := c.times(c.arg(2), beta)
	if len(bias.dims) == 2 && bias.dims[0] == 1 && bias.dims[1] == out.dims[1] {
		bias = c.reshape(bias, bias.dims[1])
	}
	if out.linear != nil && len(bias.dims) == 1 && bias.dims[0] == out.dims[1] {
		return c.emit(out.linear, c.value(bias))
	}
	return c.add(out, bias)
}

// fusedMatMul is alpha·a·b, either with its last two dimensions swapped.
func (c *call) fusedMatMul() *operand {
	c.only("transBatchA", 0)
	c.only("transBatchB", 0)
	sides := []*operand{c.arg(0), c.arg(1)}
	for i, name := range []string{"transA", "transB"} {
		if rank := len(sides[i].dims); c.int(name, 0) != 0 && rank > 1 {
			order := make([]int, rank)
			for d := range order {
				order[d] = d
			}
			order[rank-1], order[rank-2] = rank-2, rank-1
			sides[i] = c.transpose(sides[i], order)
		}
	}
	return c.times(c.matMul(sides[0], sides[1]), c.float("alpha", 1))
}

// spatial is the dimensions of x after its channels.
func (c *call) spatial() []int {
	rank := len(c.arg(0).dims)
	if rank < 3 {
		c.g.failf("%s of %v", c.n.Op, c.arg(0).dims)
	}
	var axes []int
	for i := 2; i < rank; i++ {
		axes = append(axes, i)
	}
	return axes
}

// softmax is Softmax; before operator set 13 over all dimensions from axis on.
func (c *call) softmax() *operand {
	x := c.arg(0)
	if c.opset >= 13 {
		return c.from(c.g.Softmax(c.value(x), c.axis(c.int("axis", -1), len(x.dims))))
	}
	axis := c.axis(c.int("axis", 1), len(x.dims))
	if axis == len(x.dims)-1 {
		return c.from(c.g.Softmax(c.value(x), axis))
	}
	outer, _ := elementsOf(x.dims[:axis])
	inner, _ := elementsOf(x.dims[axis:])
	flat := c.reshape(x, outer, inner)
	return c.reshape(c.from(c.g.Softmax(c.value(flat), 1)), x.dims...)
}

// batchNorm is BatchNormalization as it is once trained: a factor and an addend for
// each channel.
func (c *call) batchNorm() *operand {
	x, scale, bias, mean, variance := c.arg(0), c.arg(1), c.arg(2), c.arg(3), c.arg(4)
	c.only("training_mode", 0)
	if len(x.dims) < 2 {
		c.g.failf("BatchNormalization of %v", x.dims)
	}
	for _, o := range []*operand{scale, bias, mean, variance} {
		if len(o.dims) != 1 || o.dims[0] != x.dims[1] {
			c.g.failf("BatchNormalization of %v with %v", x.dims, o.dims)
		}
	}
	deviation := c.unary("Sqrt", c.add(variance, c.scalarOf(variance.typ, c.float("epsilon", 1e-5))))
	factor := c.binary("Div", scale, deviation)
	addend := c.binary("Sub", bias, c.mul(mean, factor))
	channels := slices.Repeat([]int64{1}, len(x.dims)-1)
	channels[0] = x.dims[1]
	return c.add(c.mul(x, c.reshape(factor, channels...)), c.reshape(addend, channels...))
}

// layerNorm is LayerNormalization over the last dimension.
func (c *call) layerNorm() *operand {
	x := c.arg(0)
	if len(x.dims) == 0 || c.axis(c.int("axis", -1), len(x.dims)) != len(x.dims)-1 || c.int("stash_type", 1) != 1 {
		c.g.failf("LayerNormalization of %v from dimension %d on: only of the last is known here", x.dims, c.int("axis", -1))
	}
	return c.normalized(x, c.opt(2))
}

func (c *call) normalized(x, bias *operand) *operand {
	var shift *Value
	if bias != nil {
		shift = c.value(bias)
	}
	return c.from(c.g.LayerNorm(c.value(x), c.value(c.arg(1)), shift, c.float("epsilon", 1e-5)))
}

// skipLayerNorm is the layer normalization of a sum, which is the fourth result.
func (c *call) skipLayerNorm() []*operand {
	sum := c.add(c.arg(0), c.arg(1))
	if c.opt(4) != nil {
		sum = c.add(sum, c.arg(4))
	}
	if len(sum.dims) == 0 {
		c.g.failf("SkipLayerNormalization of one number")
	}
	scale, bias := c.arg(2), c.opt(3)
	c.in = []*operand{sum, scale}
	epsilon := c.float("epsilon", 1e-12)
	var shift *Value
	if bias != nil {
		shift = c.value(bias)
	}
	out := c.from(c.g.LayerNorm(c.value(sum), c.value(scale), shift, epsilon))
	return []*operand{out, nil, nil, sum}
}

// unit is LpNormalization: each vector along a dimension by its length.
func (c *call) unit() *operand {
	x := c.arg(0)
	c.only("p", 2)
	axis := c.axis(c.int("axis", -1), len(x.dims))
	return c.binary("Div", x, c.unary("Sqrt", c.reduce("ReduceSum", c.mul(x, x), true, []int{axis})))
}
