package onnx

import (
	"math"
	"slices"
)

// replayed says how each operator is added to a graph: domain.op, by the names of the
// format's specification.
var replayed map[string]func(*call) []*operand

func init() {
	replayed = map[string]func(*call) []*operand{
		"Identity": func(c *call) []*operand { return one(c.arg(0)) },
		"Constant": func(c *call) []*operand { return one(c.literal()) },
		"Cast":     func(c *call) []*operand { return one(c.cast(c.arg(0), Type(c.int("to", 0)))) },
		"CastLike": func(c *call) []*operand { return one(c.cast(c.arg(0), c.arg(1).typ)) },
		"Where":    func(c *call) []*operand { return one(c.where(c.arg(0), c.arg(1), c.arg(2))) },
		"Pow":      func(c *call) []*operand { return one(c.power(c.arg(0), c.arg(1))) },
		"Add":      func(c *call) []*operand { return one(c.sum()) },
		"Clip":     func(c *call) []*operand { return one(c.clipped()) },
		"Dropout":  func(c *call) []*operand { return one(c.dropout()) },
	}
	for _, op := range []string{"Sub", "Mul", "Div", "Mod", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"} {
		replayed[op] = func(c *call) []*operand { return one(c.binary(op, c.arg(0), c.arg(1))) }
	}
	for _, op := range []string{"Relu", "Sigmoid", "Tanh", "Sqrt", "Abs", "Round", "Exp", "Log", "Neg", "Erf", "Floor", "Ceil", "Reciprocal", "Sign", "Sin", "Cos", "IsNaN", "Not"} {
		replayed[op] = func(c *call) []*operand { return one(c.unary(op, c.arg(0))) }
	}
	for op, binary := range map[string]string{"Max": "Max", "Min": "Min", "Sum": "Add"} {
		replayed[op] = func(c *call) []*operand { return one(c.chain(binary)) }
	}
	for _, table := range []map[string]func(*call) *operand{replayedShapes, replayedLayers, replayedActivations} {
		for op, f := range table {
			replayed[op] = func(c *call) []*operand { return one(f(c)) }
		}
	}
	replayed["Split"] = (*call).split
	replayed["com.microsoft.SkipLayerNormalization"] = (*call).skipLayerNorm
}

// literal is the value of a Constant node.
func (c *call) literal() *operand {
	for _, a := range c.n.Attrs {
		switch v := a.Value.(type) {
		case *Tensor:
			if _, ok := elementsOf(v.Dims); !ok || v.External == nil && v.Type.Size() == 0 {
				c.g.failf("a constant of %v%v", v.Type, v.Dims)
			}
			return c.constant(v)
		case int64:
			return c.folded(&array{typ: Int64, ints: []int64{v}})
		case float32:
			return c.scalarOf(Float, float64(v))
		case []int64:
			return c.folded(intArray(v...))
		case []float32:
			out := newArray(Float, []int64{int64(len(v))})
			for i, x := range v {
				out.floats[i] = float64(x)
			}
			return c.folded(out)
		}
	}
	c.g.failf("a Constant node without a value that is known here")
	return nil
}

// chain applies an operator to all operands, from the left.
func (c *call) chain(op string) *operand {
	out := c.arg(0)
	for i := range c.in[1:] {
		out = c.binary(op, out, c.arg(i+1))
	}
	return out
}

// clipped is Clip: the bounds are attributes or operands.
func (c *call) clipped() *operand {
	x := c.arg(0)
	low, high := c.float("min", math.Inf(-1)), c.float("max", math.Inf(1))
	for i, bound := range []*float64{&low, &high} {
		if c.opt(i+1) == nil {
			continue
		}
		v, ok := c.arg(i + 1).scalar()
		if !ok {
			c.g.failf("the bound %s of Clip must be a constant", c.n.Inputs[i+1])
		}
		*bound = v
	}
	return c.clip(x, low, high)
}

// dropout is Dropout, whose ratio is an attribute or an operand; what asks for its
// second result, the mask, asks for what there is none of.
func (c *call) dropout() *operand {
	ratio := c.float("ratio", 0.5)
	if c.opt(1) != nil {
		var ok bool
		if ratio, ok = c.arg(1).scalar(); !ok {
			c.g.failf("the ratio %s of Dropout must be a constant", c.n.Inputs[1])
		}
	}
	if !c.g.training {
		return c.arg(0)
	}
	return c.from(c.g.Dropout(c.value(c.arg(0)), ratio))
}

// replayedActivations are those that are put together from others.
var replayedActivations = map[string]func(*call) *operand{
	"Gelu": func(c *call) *operand { return c.gelu(c.arg(0), c.text("approximate", "none") == "tanh") },
	"HardSigmoid": func(c *call) *operand {
		return c.hardSigmoid(c.arg(0), c.float("alpha", 0.2), c.float("beta", 0.5))
	},
	"HardSwish": func(c *call) *operand { return c.mul(c.arg(0), c.hardSigmoid(c.arg(0), 1.0/6, 0.5)) },
	"Swish": func(c *call) *operand {
		return c.mul(c.arg(0), c.unary("Sigmoid", c.times(c.arg(0), c.float("alpha", 1))))
	},
	"LeakyRelu": func(c *call) *operand {
		x, below := c.arg(0), c.unary("Relu", c.unary("Neg", c.arg(0)))
		return c.binary("Sub", c.unary("Relu", x), c.times(below, c.float("alpha", 0.01)))
	},
	"Softplus": func(c *call) *operand { // log(1+exp(x)), without overflow
		x := c.arg(0)
		small := c.unary("Log", c.add(c.unary("Exp", c.unary("Neg", c.unary("Abs", x))), c.scalarOf(x.typ, 1)))
		return c.add(c.unary("Relu", x), small)
	},
	"com.microsoft.Gelu":     func(c *call) *operand { return c.gelu(c.arg(0), false) },
	"com.microsoft.BiasGelu": func(c *call) *operand { return c.gelu(c.add(c.arg(0), c.arg(1)), false) },
	"com.microsoft.FastGelu": func(c *call) *operand {
		if c.opt(1) != nil {
			return c.gelu(c.add(c.arg(0), c.arg(1)), true)
		}
		return c.gelu(c.arg(0), true)
	},
	"com.microsoft.QuickGelu": func(c *call) *operand {
		x, alpha := c.arg(0), c.float("alpha", 1.702)
		if float32(alpha) == 1.702 {
			return c.from(c.g.QuickGelu(c.value(x)))
		}
		return c.mul(x, c.unary("Sigmoid", c.times(x, alpha)))
	},
}

func (r *replay) gelu(x *operand, tanh bool) *operand {
	if tanh {
		return r.from(r.g.GeluTanh(r.value(x)))
	}
	return r.from(r.g.Gelu(r.value(x)))
}

func (r *replay) hardSigmoid(x *operand, alpha, beta float64) *operand {
	return r.clip(r.add(r.times(x, alpha), r.scalarOf(x.typ, beta)), 0, 1)
}

// replayedShapes are the operators that move elements and count them.
var replayedShapes = map[string]func(*call) *operand{
	"Shape":     (*call).shape,
	"Size":      func(c *call) *operand { return c.size() },
	"Reshape":   (*call).reshaped,
	"Flatten":   (*call).flattened,
	"Squeeze":   (*call).squeezed,
	"Unsqueeze": (*call).unsqueezed,
	"Transpose": (*call).transposed,
	"Concat":    func(c *call) *operand { return c.joined() },
	"Slice":     (*call).sliced,
	"Gather": func(c *call) *operand {
		return c.gather(c.arg(0), c.axis(c.int("axis", 0), len(c.arg(0).dims)), c.arg(1))
	},
	"GatherND":        (*call).gatheredND,
	"Expand":          func(c *call) *operand { return c.expand(c.arg(0), c.known(1)) },
	"Tile":            (*call).tiled,
	"Pad":             (*call).padded,
	"Range":           (*call).ranged,
	"ConstantOfShape": (*call).filled,
	"Trilu":           (*call).triangle,
	"CumSum":          (*call).cumulated,
	"ArgMax":          (*call).argMax,
	"ReduceL2":        func(c *call) *operand { return c.unary("Sqrt", c.reduced("ReduceSum", c.squared())) },
	"ReduceSumSquare": func(c *call) *operand { return c.reduced("ReduceSum", c.squared()) },
	"ReduceL1":        func(c *call) *operand { return c.reduced("ReduceSum", c.unary("Abs", c.arg(0))) },
	"ReduceMean":      func(c *call) *operand { return c.reduced("ReduceMean", c.arg(0)) },
	"ReduceSum":       func(c *call) *operand { return c.reduced("ReduceSum", c.arg(0)) },
	"ReduceMax":       func(c *call) *operand { return c.reduced("ReduceMax", c.arg(0)) },
	"ReduceMin":       func(c *call) *operand { return c.reduced("ReduceMin", c.arg(0)) },
	"ReduceProd":      func(c *call) *operand { return c.reduced("ReduceProd", c.arg(0)) },
}

func (c *call) squared() *operand { return c.mul(c.arg(0), c.arg(0)) }

// shape is Shape, of some of the dimensions.
func (c *call) shape() *operand {
	dims := c.arg(0).dims
	from, to := c.n.part(int64(len(dims)))
	return c.folded(intArray(slices.Clone(dims[from:to])...))
}

// part returns which of n dimensions a Shape node asks for.
func (n *Node) part(rank int64) (from, to int64) {
	from, _ = n.Attr("start").(int64)
	to, given := n.Attr("end").(int64)
	if !given {
		to = rank
	}
	if from < 0 {
		from += rank
	}
	if to < 0 {
		to += rank
	}
	from, to = min(max(from, 0), rank), min(max(to, 0), rank)
	return from, max(from, to)
}

func (c *call) size() *operand {
	n, _ := elementsOf(c.arg(0).dims)
	return c.folded(&array{typ: Int64, ints: []int64{n}})
}
