package onnx

import (
	"math"
	"slices"
)

// multiHead is ONNX Runtime's MultiHeadAttention of what is projected already.
func (c *call) multiHead() *operand {
	q, k, v := c.arg(0), c.arg(1), c.arg(2)
	if c.opt(3) != nil { // the biases of all three, one behind another
		q, k, v = c.biased(q, 0, q), c.biased(k, 1, q), c.biased(v, 2, q)
	}
	var bias *operand
	if c.opt(4) != nil {
		bias = c.maskBias(c.arg(4))
	}
	if c.opt(5) != nil && bias != nil {
		bias = c.add(bias, c.arg(5))
	} else if c.opt(5) != nil {
		bias = c.arg(5)
	}
	if c.opt(6) != nil || c.opt(7) != nil {
		c.g.failf("attention with a past is not known here")
	}
	return c.attention(q, k, v, bias)
}

func (c *call) biased(x *operand, part int64, q *operand) *operand {
	bias := c.arg(3)
	if len(q.dims) != 3 || len(bias.dims) != 1 || bias.dims[0] != 3*q.dims[2] {
		c.g.failf("attention of %v with a bias of %v", q.dims, bias.dims)
	}
	return c.add(x, c.slice(bias, 0, part*q.dims[2], q.dims[2], 1))
}

// maskBias turns a mask [B,S], 1 where a token is, into what is added to scores.
func (c *call) maskBias(mask *operand) *operand {
	if len(mask.dims) != 2 || mask.typ != Int32 && mask.typ != Int64 {
		c.g.failf("attention with a mask %v%v", mask.typ, mask.dims)
	}
	seen := c.cast(c.reshape(mask, mask.dims[0], 1, 1, mask.dims[1]), Bool)
	return c.where(seen, c.scalarOf(Float, 0), c.scalarOf(Float, c.float("mask_filter_value", -10000)))
}

// attention is that of so many heads; scores are scaled otherwise than by the root of
// a head's width by way of q.
func (c *call) attention(q, k, v, bias *operand) *operand {
	heads := c.int("num_heads", 0)
	if len(q.dims) != 3 || heads < 1 || q.dims[2]%heads != 0 || q.dims[2] == 0 {
		c.g.failf("attention of %v with %d heads", q.dims, heads)
	}
	if scale := c.float("scale", 0); scale != 0 {
		q = c.times(q, float64(float32(scale*math.Sqrt(float64(q.dims[2]/heads)))))
	}
	var added *Value
	if bias != nil {
		scores := []int64{q.dims[0], heads, q.dims[1], k.dims[1]}
		if len(bias.dims) > 4 || !slices.Equal(c.broadcastDims(bias, &operand{dims: scores}), scores) {
			c.g.failf("attention of %v with scores of %v and a bias of %v", q.dims, scores, bias.dims)
		}
		if !c.g.training { // ONNX Runtime's kernel repeats it for batch and heads alone
			bias = c.expand(bias, []int64{1, 1, q.dims[1], k.dims[1]})
		}
		added = c.value(bias)
	}
	return c.from(c.g.Attention(c.value(q), c.value(k), c.value(v), added, int(heads), c.int("unidirectional", 0) != 0))
}

// packedAttention is ONNX Runtime's Attention: one matrix projects to queries, keys
// and values.
func (c *call) packedAttention() *operand {
	x, w := c.arg(0), c.arg(1)
	if len(x.dims) != 3 || len(w.dims) != 2 || w.dims[0] != x.dims[2] || w.dims[1]%3 != 0 || c.n.Attr("qkv_hidden_sizes") != nil {
		c.g.failf("attention of %v by %v", x.dims, w.dims)
	}
	if c.opt(4) != nil || c.opt(6) != nil || c.int("do_rotary", 0) != 0 {
		c.g.failf("attention with a past or with rotation is not known here")
	}
	all := c.product(c.rows(x), w, false, []int64{x.dims[0], x.dims[1], w.dims[1]})
	if c.opt(2) != nil {
		bias := c.arg(2)
		if len(bias.dims) != 1 || bias.dims[0] != w.dims[1] {
			c.g.failf("attention by %v with a bias of %v", w.dims, bias.dims)
		}
		all = c.emit(all.linear, c.value(bias))
	}
	var bias *operand
	if c.opt(3) != nil {
		bias = c.maskBias(c.arg(3))
	}
	if c.opt(5) != nil && bias != nil {
		bias = c.add(bias, c.arg(5))
	} else if c.opt(5) != nil {
		bias = c.arg(5)
	}
	d := w.dims[1] / 3
	return c.attention(c.slice(all, 2, 0, d, 1), c.slice(all, 2, d, d, 1), c.slice(all, 2, 2*d, d, 1), bias)
}

// rotary is RotaryEmbedding of neighbouring pairs, whose first place is 0.
func (c *call) rotary() *operand {
	x, cos, sin := c.arg(0), c.arg(2), c.arg(3)
	at := c.known(1)
	if len(at) != 1 || at[0] != 0 || c.int("interleaved", 0) != 1 || len(x.dims) != 3 || len(cos.dims) != 2 || len(sin.dims) != 2 {
		c.g.failf("RotaryEmbedding of %v: only of [B,L,D] in neighbouring pairs from place 0 on is known here", x.dims)
	}
	heads := c.int("num_heads", 0)
	if heads < 1 || heads > x.dims[2] || cos.dims[0] < x.dims[1] || sin.dims[0] < x.dims[1] {
		c.g.failf("RotaryEmbedding of %d heads of %v by %v", heads, x.dims, cos.dims)
	}
	cos, sin = c.slice(cos, 0, 0, x.dims[1], 1), c.slice(sin, 0, 0, x.dims[1], 1)
	return c.from(c.g.Rotate(c.value(x), c.value(cos), c.value(sin), int(heads)))
}
