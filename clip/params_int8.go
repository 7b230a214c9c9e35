package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// What is kept in int8, where a model's precision is that: the weights of linear
// layers over rows, from patches to the last block, and large tables of embeddings.
// The last projection, normalizations, positions and biases stay float32: they are
// little work, and what they lose nothing makes good.

const (
	smallestInt8  = 1 << 10 // weights that a layer must have to be worth quantizing
	smallestTable = 1 << 14 // numbers that a table of embeddings must have
)

// gemmInt8 is x times the transpose of rows [from,to) of t, [out,in], by int8.
func (p *params) gemmInt8(x *onnx.Value, t Tensor, from, to int, bias *onnx.Value) *onnx.Value {
	in := t.Shape[1]
	key := fmt.Sprint("int8", t.Name, from, to)
	if p.made[key] == nil {
		q, err := onnx.QuantizeWeight(p.read(t)[from*in:to*in], in, to-from, true)
		if err != nil {
			p.g.Fail(fmt.Errorf("tensor %s in int8: %w", t.Name, err))
		}
		p.made[key] = p.g.Const(onnx.Int8s(key, q.Q, int64(in), int64(to-from)))
		p.made[key+"scale"] = p.g.Const(onnx.Floats(key+"scale", q.Scale, int64(to-from)))
	}
	y := p.g.MatMulInt8(p.quantized(x), p.made[key], p.made[key+"scale"])
	if bias == nil {
		return y
	}
	return p.g.Add(y, bias)
}

// quantized quantizes the rows of x, once for all layers that read it.
func (p *params) quantized(x *onnx.Value) onnx.Int8Rows {
	q, ok := p.rowwise[x]
	if ok {
		return q
	}
	if depth, bounded := p.depth[x]; bounded {
		q = p.g.QuantizeRowsAbove(x, depth)
	} else {
		q = p.g.QuantizeRows(x)
	}
	p.rowwise[x] = q
	return q
}

// geluDepth is how far below zero the GELUs go, of whatever kind: to −0.17.
const geluDepth = 0.1702

// table looks up rows of a table of embeddings [V,D]. In int8 each of its rows has a
// scale: that of SigLIP 2, 256,000 × 768, has 0.2 instead of 0.8 GB. It is read bit by
// bit, never as a whole. One that stays in its file as it is has no need of that: only
// the rows that are looked up are ever in memory.
func (p *params) table(name string, d int, ids *onnx.Value) *onnx.Value {
	t := p.find(name, anyDim, d)
	if !p.int8 || elements(t.Shape) < smallestTable || p.stays(t) {
		return p.g.Rows(p.value(name), ids)
	}
	v := t.Shape[0]
	q, scale := make([]int8, 0, v*d), make([]float32, 0, v)
	const chunk = 4096
	for from := 0; from < v; from += chunk {
		part := make([]float32, min(chunk, v-from)*d)
		err := p.w.ReadFloat32s(t, from*d, part)
		if err != nil {
			p.g.Fail(err)
		}
		steps, scales, err := onnx.QuantizeTable(part, d)
		if err != nil {
			p.g.Fail(fmt.Errorf("tensor %s in int8, from row %d: %w", name, from, err))
		}
		q, scale = append(q, steps...), append(scale, scales...)
	}
	steps := p.g.Cast(p.g.Rows(p.g.Const(onnx.Int8s("int8"+name, q, int64(v), int64(d))), ids), onnx.Float)
	return p.g.Mul(steps, p.g.Rows(p.g.Const(onnx.Floats("scale"+name, scale, int64(v), 1)), ids))
}

// afterAttention is the projection of attention's result. In int8 the layer that
// made the values had its bias left out: the weights of a row's attention add up to
// 1, so that W·(a + b) + c is W·a + (W·b + c), and the sum is made here.
func (p *params) afterAttention(a *onnx.Value, name string, valueBias []float32) *onnx.Value {
	if valueBias == nil {
		return p.linear(a, name)
	}
	t := p.find(name+".weight", anyDim, len(valueBias))
	bias := make([]float32, t.Shape[0])
	if p.has(name + ".bias") {
		bias = p.floats(name+".bias", t.Shape[0])
	}
	w := p.read(t)
	for i := range bias {
		sum := float64(bias[i])
		for j, b := range valueBias {
			sum += float64(w[i*len(valueBias)+j]) * float64(b)
		}
		bias[i] = float32(sum)
	}
	return p.gemm(a, t, p.constant(name+".bias+values", bias, len(bias)))
}
