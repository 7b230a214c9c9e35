package clip

import (
	"math"

	"github.com/clipsearch/clipsearch/onnx"
)

// What fold.go computes before a graph is built, the graph computes here, so that
// each tensor that was trained is in it as it is. Statistics of batch norms are
// constants: they were counted, and not trained.

// apartConv is a convolution whose weight and bias the graph makes.
type apartConv struct {
	weight *onnx.Value // [out,in,side,side]
	bias   *onnx.Value // [out]; nil: none
}

// convApart reads k's tensors.
func (p *params) convApart(k convolution) convolution {
	k.apart = &apartConv{weight: p.value(k.name + ".weight")}
	if p.has(k.name + ".bias") {
		k.apart.bias = p.value(k.name+".bias", k.out)
	}
	return k
}

// constantApart puts what k's numbers are into the graph.
func (p *params) constantApart(k convolution, what string) convolution {
	k.apart = &apartConv{weight: p.folded(k.name+" ("+what+")", k.weight, k.out, k.in, k.side, k.side)}
	return k
}

// batchNormApart is batchNorm in the graph.
func (p *params) batchNormApart(name string, n int) (scale, shift *onnx.Value) {
	const epsilon = 1e-5
	mean, each := p.doubles(name+".running_mean", n), p.doubles(name+".running_var", n)
	for i, v := range each {
		each[i] = 1 / math.Sqrt(v+epsilon)
	}
	scale = p.g.Mul(p.value(name+".weight", n), p.folded(name+" (1/deviation)", each, n))
	return scale, p.g.Sub(p.value(name+".bias", n), p.g.Mul(scale, p.folded(name+" (mean)", mean, n)))
}

// normedApart is normed in the graph.
func (p *params) normedApart(k convolution, name string) convolution {
	scale, shift := p.batchNormApart(name, k.out)
	k = p.scaledApart(k, scale)
	k.apart.bias = p.plus(k.apart.bias, shift)
	return k
}

// scaledApart multiplies what k gives by scale [out].
func (p *params) scaledApart(k convolution, scale *onnx.Value) convolution {
	each := p.g.Reshape(scale, onnx.N(k.out), onnx.N(1), onnx.N(1), onnx.N(1))
	by := &apartConv{weight: p.g.Mul(k.apart.weight, each)}
	if k.apart.bias != nil {
		by.bias = p.g.Mul(k.apart.bias, scale)
	}
	k.apart = by
	return k
}

// sumApart is k and a times other, which is no larger.
func (p *params) sumApart(k convolution, a float64, other convolution) convolution {
	weight, bias := other.apart.weight, other.apart.bias
	if margin := (k.side - other.side) / 2; margin > 0 {
		weight = p.framed(weight, margin)
	}
	if a != 1 {
		weight = p.g.Mul(weight, p.g.Scalar(float32(a)))
		if bias != nil {
			bias = p.g.Mul(bias, p.g.Scalar(float32(a)))
		}
	}
	k.apart = &apartConv{weight: p.g.Add(k.apart.weight, weight), bias: p.plus(k.apart.bias, bias)}
	return k
}

// framed puts zeros around windows [out,in,side,side].
func (p *params) framed(x *onnx.Value, margin int) *onnx.Value {
	for axis := 2; axis <= 3; axis++ {
		shape := make([]int64, 4)
		n := int64(1)
		for i, d := range x.Shape() {
			shape[i], _ = d.Known()
			if i == axis {
				shape[i] = int64(margin)
			}
			n *= shape[i]
		}
		zeros := p.g.Const(onnx.Floats("", make([]float32, n), shape...))
		x = p.g.Concat(axis, zeros, x, zeros)
	}
	return x
}

// plus is a and b; nil stands for nothing.
func (p *params) plus(a, b *onnx.Value) *onnx.Value {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return p.g.Add(a, b)
}

// offsetsApart is offsets in the graph.
func (t vit) offsetsApart(p *params, n, d int) *onnx.Value {
	class := p.reshaped(t.class, 1, 1, d)
	if elements(p.find(t.positions).Shape) == (n-1)*d {
		return p.g.Concat(1, class, p.reshaped(t.positions, 1, n-1, d))
	}
	none := p.folded(t.class+" (of patches)", make([]float64, (n-1)*d), 1, n-1, d)
	return p.g.Add(p.reshaped(t.positions, 1, n, d), p.g.Concat(1, class, none))
}
