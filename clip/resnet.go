package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// openResNet is the residual network (He et al. 2015) of OpenAI's CLIP, whose stem
// has three convolutions, whose strides are average pools, and whose head is
// attention (Radford et al. 2021, section 2.4).
func openResNet(c openConfig, size int) func(*params) *onnx.Value {
	headWidth := c.Vision.HeadWidth
	if headWidth == 0 {
		headWidth = 64
	}
	return func(p *params) *onnx.Value {
		const base = "visual."
		x := p.g.Input(PixelsPort, onnx.Float, batch, onnx.N(3), onnx.N(size), onnx.N(size))
		for i, stride := range []int{2, 1, 1} {
			x = p.g.Relu(p.conv(x, p.normed(p.convolution(fmt.Sprint(base, "conv", i+1)), fmt.Sprint(base, "bn", i+1)), stride))
		}
		x = p.g.AveragePool(x, 2, onnx.Conv2D{Stride: 2})
		for i := range 4 {
			p.g.In(fmt.Sprint("layer", i+1), func() { x = p.resLayer(x, fmt.Sprintf("%slayer%d.", base, i+1), min(2, i+1)) })
		}
		return p.attentionPool(x, base+"attnpool.", headWidth)
	}
}

// resLayer is the blocks of one width; the first has the stride.
func (p *params) resLayer(x *onnx.Value, name string, stride int) *onnx.Value {
	n := p.count(func(i int) string { return fmt.Sprint(name, i, ".conv1.weight") })
	for i := range n {
		x = p.bottleneck(x, fmt.Sprint(name, i, "."), stride)
		stride = 1
	}
	return x
}

// bottleneck is a residual block whose stride is an average pool, before the last
// convolution and before the shortcut's.
func (p *params) bottleneck(x *onnx.Value, name string, stride int) *onnx.Value {
	pool := func(x *onnx.Value) *onnx.Value {
		if stride == 1 {
			return x
		}
		return p.g.AveragePool(x, stride, onnx.Conv2D{Stride: stride})
	}
	y := x
	for i := range 2 {
		y = p.g.Relu(p.conv(y, p.normed(p.convolution(fmt.Sprint(name, "conv", i+1)), fmt.Sprint(name, "bn", i+1)), 1))
	}
	y = p.conv(pool(y), p.normed(p.convolution(name+"conv3"), name+"bn3"), 1)
	if p.has(name + "downsample.0.weight") {
		x = p.conv(pool(x), p.normed(p.convolution(name+"downsample.0"), name+"downsample.1"), 1)
	}
	return p.g.Relu(p.g.Add(y, x))
}

// attentionPool asks every place of x [batch,C,H,W], and their mean, with the mean
// as the query: [batch,D].
func (p *params) attentionPool(x *onnx.Value, name string, headWidth int) *onnx.Value {
	s := x.Shape()
	h, _ := s[2].Known()
	d, _ := s[1].Known()
	n := onnx.N(h * h)
	x = p.g.Transpose(p.g.Reshape(x, batch, s[1], n), 0, 2, 1)
	x = p.g.Concat(1, p.g.ReduceMean(x, true, 1), x)
	x = p.g.Add(x, p.value(name+"positional_embedding", int(h*h)+1, int(d)))
	seq := sequence{length: onnx.N(h*h + 1)}
	q := p.linearExact(p.g.Index(x, 1, 0), name+"q_proj")
	all := rows(p.g, x)
	k, v := seq.apart(p.g, p.linear(all, name+"k_proj")), seq.apart(p.g, p.linear(all, name+"v_proj"))
	a := p.g.Attention(p.g.Reshape(q, batch, onnx.N(1), s[1]), k, v, nil, p.heads(int(d)/max(1, headWidth), int(d)), false)
	return p.linearExact(p.g.Reshape(a, batch, s[1]), name+"c_proj")
}
