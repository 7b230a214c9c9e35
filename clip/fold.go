package clip

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch/onnx"
)

// convolution is one that is put together from several tensors before it goes into
// the graph: batch norms and parallel branches are linear, so they fold into its
// weights (Ding et al. 2021, RepVGG, section 3.3). Sums are taken in float64. Where
// only shapes matter it has no numbers.
type convolution struct {
	name          string // what its constants are called after
	out, in, side int    // in: channels that one output sees
	weight, bias  []float64
	apart         *apartConv // in place of weight and bias, where nothing is folded
}

// convolution reads name+".weight" [out,in,side,side] and name+".bias", if there is one.
func (p *params) convolution(name string) convolution {
	t := p.find(name+".weight", anyDim, anyDim, anyDim, anyDim)
	k := convolution{name: name, out: t.Shape[0], in: t.Shape[1], side: t.Shape[2]}
	if k.out < 1 || k.in < 1 || k.side < 1 || t.Shape[3] != k.side {
		p.g.Fail(fmt.Errorf("tensor %s.weight has the shape %v, not that of a square convolution", name, t.Shape))
	}
	if p.apart {
		return p.convApart(k)
	}
	k.weight, k.bias = p.doubles(name+".weight"), p.zeros(k.out)
	if p.has(name + ".bias") {
		k.bias = p.doubles(name+".bias", k.out)
	}
	return k
}

// doubles returns a tensor's elements, nil if only shapes matter.
func (p *params) doubles(name string, dims ...int) []float64 {
	t := p.find(name, dims...)
	if p.shapes {
		return nil
	}
	x := make([]float64, elements(t.Shape))
	for i, v := range p.read(t) {
		x[i] = float64(v)
	}
	return x
}

func (p *params) zeros(n int) []float64 {
	if p.shapes {
		return nil
	}
	return make([]float64, n)
}

// batchNorm returns what a batch normalization of n channels multiplies each by,
// and what it adds, once it has been trained (Ioffe and Szegedy 2015, algorithm 2).
func (p *params) batchNorm(name string, n int) (scale, shift []float64) {
	const epsilon = 1e-5
	scale, shift = p.doubles(name+".weight", n), p.doubles(name+".bias", n)
	mean, variance := p.doubles(name+".running_mean", n), p.doubles(name+".running_var", n)
	for i := range scale {
		scale[i] /= math.Sqrt(variance[i] + epsilon)
		shift[i] -= mean[i] * scale[i]
	}
	return scale, shift
}

// normed is k with the batch normalization of that name behind it: k in place.
func (p *params) normed(k convolution, name string) convolution {
	if p.apart {
		return p.normedApart(k, name)
	}
	scale, shift := p.batchNorm(name, k.out)
	k = k.scaled(scale)
	for i, v := range shift {
		k.bias[i] += v
	}
	return k
}

// normedConv is a convolution and its batch normalization, as timm names the two.
func (p *params) normedConv(name string) convolution {
	return p.normed(p.convolution(name+".conv"), name+".bn")
}

// identity is a convolution of k's shape that changes nothing.
func (p *params) identity(k convolution) convolution {
	if k.side%2 == 0 || k.out%k.in != 0 {
		p.g.Fail(fmt.Errorf("%s: a convolution of [%d,%d,%d,%d] has no identity", k.name, k.out, k.in, k.side, k.side))
	}
	k.weight, k.bias = p.zeros(k.out*k.in*k.side*k.side), p.zeros(k.out)
	for i := range k.bias {
		k.weight[((i*k.in+i%k.in)*k.side+k.side/2)*k.side+k.side/2] = 1
	}
	if p.apart {
		return p.constantApart(k, "identity")
	}
	return k
}

// scaled multiplies what k gives by one number for each channel, in place.
func (k convolution) scaled(by []float64) convolution {
	each := k.in * k.side * k.side
	for i, v := range by {
		k.bias[i] *= v
		for j := range k.weight[i*each : (i+1)*each] {
			k.weight[i*each+j] *= v
		}
	}
	return k
}

// sum is k and a times other, which may be smaller, side by side: k in place.
func (p *params) sum(k convolution, a float64, other convolution) convolution {
	margin := k.side - other.side
	if other.out != k.out || other.in != k.in || margin < 0 || margin%2 != 0 {
		p.g.Fail(fmt.Errorf("%s [%d,%d,%d,%d] and %s [%d,%d,%d,%d] cannot be one convolution",
			k.name, k.out, k.in, k.side, k.side, other.name, other.out, other.in, other.side, other.side))
	}
	if p.apart {
		return p.sumApart(k, a, other)
	}
	for i, v := range other.bias {
		k.bias[i] += a * v
	}
	for i, v := range other.weight {
		plane, y, x := i/(other.side*other.side), i/other.side%other.side, i%other.side
		k.weight[(plane*k.side+y+margin/2)*k.side+x+margin/2] += a * v
	}
	return k
}

// conv runs a convolution over x [batch,C,H,W].
func (p *params) conv(x *onnx.Value, k convolution, stride int) *onnx.Value {
	channels, _ := x.Shape()[1].Known()
	w, b := p.weightAndBias(k)
	return p.g.Conv(x, w, b, onnx.Conv2D{Stride: stride, Pad: padding(k.side), Groups: int(channels) / k.in})
}

// weightAndBias puts k into the graph.
func (p *params) weightAndBias(k convolution) (w, b *onnx.Value) {
	if k.apart != nil {
		return k.apart.weight, k.apart.bias
	}
	return p.folded(k.name+".weight", k.weight, k.out, k.in, k.side, k.side), p.folded(k.name+".bias", k.bias, k.out)
}

// plainConv is a convolution that is in the file as it is needed.
func (p *params) plainConv(x *onnx.Value, name string, stride int) *onnx.Value {
	t := p.find(name+".weight", anyDim, anyDim, anyDim, anyDim)
	channels, _ := x.Shape()[1].Known()
	if t.Shape[0] < 1 || t.Shape[1] < 1 || t.Shape[2] < 1 || t.Shape[3] != t.Shape[2] {
		p.g.Fail(fmt.Errorf("tensor %s.weight has the shape %v, not that of a square convolution", name, t.Shape))
	}
	var bias *onnx.Value
	if p.has(name + ".bias") {
		bias = p.value(name+".bias", t.Shape[0])
	}
	return p.g.Conv(x, p.value(name+".weight"), bias, onnx.Conv2D{Stride: stride, Pad: padding(t.Shape[2]), Groups: int(channels) / t.Shape[1]})
}

// padding centres a window with a middle; others, as large as their stride, tile.
func padding(side int) int {
	if side%2 == 0 {
		return 0
	}
	return side / 2
}

// folded puts numbers that were computed here into the graph.
func (p *params) folded(name string, x []float64, dims ...int) *onnx.Value {
	if p.shapes {
		shape := make([]int64, len(dims))
		for i, d := range dims {
			shape[i] = int64(d)
		}
		return p.g.Const(&onnx.Tensor{Name: name, Type: onnx.Float, Dims: shape, External: &onnx.External{Length: 4 * int64(elements(dims))}})
	}
	narrow := make([]float32, len(x))
	for i, v := range x {
		narrow[i] = float32(v)
	}
	return p.constant(name, narrow, dims...)
}
