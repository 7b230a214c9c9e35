package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// timmConvNeXt is timm's ConvNeXt (Liu et al. 2022). All but its convolutions goes
// by rows, one for each place of the picture: ONNX Runtime takes the transposing on
// either side of a convolution into the blocking that it does there anyway.
func timmConvNeXt(p *params, v openVision, size int) *onnx.Value {
	const base = "visual.trunk."
	p.meanPooled(v)
	n := convNeXt{params: p, epsilon: 1e-6}
	if startsWith(v.TimmModel, "convnext_xxlarge") {
		n.epsilon = 1e-5
	}
	stem := p.find(base+"stem.0.weight", anyDim, 3, anyDim, anyDim)
	x := p.plainConv(p.g.Input(PixelsPort, onnx.Float, batch, onnx.N(3), onnx.N(size), onnx.N(size)), base+"stem.0", stem.Shape[2])
	f := fieldOf(p.g, x)
	f.rows = p.norm(f.rows, base+"stem.1", n.epsilon)
	stages := p.count(func(i int) string { return fmt.Sprintf("%sstages.%d.blocks.0.conv_dw.weight", base, i) })
	for i := range stages {
		p.g.In(fmt.Sprint("stage", i), func() { f = n.stage(f, fmt.Sprintf("%sstages.%d.", base, i)) })
	}
	y := p.g.ReduceMean(p.g.Reshape(f.rows, batch, onnx.N(f.h*f.w), f.rows.Shape()[1]), false, 1)
	y = p.norm(y, base+"head.norm", n.epsilon)
	if p.has(base + "head.fc.weight") {
		y = p.linearExact(y, base+"head.fc")
	}
	return y
}

type convNeXt struct {
	*params
	epsilon float64 // of its norms
}

func (n convNeXt) stage(f field, name string) field {
	if down := name + "downsample."; n.has(down + "1.weight") {
		f.rows = n.norm(f.rows, down+"0", n.epsilon)
		f = fieldOf(n.g, n.plainConv(f.planes(n.g), down+"1", n.dim(down+"1.weight", 4, 2)))
	}
	blocks := n.count(func(i int) string { return fmt.Sprintf("%sblocks.%d.conv_dw.weight", name, i) })
	for i := range blocks {
		f = n.block(f, fmt.Sprintf("%sblocks.%d.", name, i))
	}
	return f
}

// block adds to each place what an MLP makes of it and of what lies around it.
func (n convNeXt) block(f field, name string) field {
	y := fieldOf(n.g, n.plainConv(f.planes(n.g), name+"conv_dw", 1)).rows
	y = n.activation(n.linear1x1(n.norm(y, name+"norm", n.epsilon), name+"mlp.fc1"), "gelu")
	y = n.linear1x1(y, name+"mlp.fc2")
	if n.has(name + "gamma") {
		y = n.g.Mul(y, n.value(name+"gamma", width(y)))
	}
	f.rows = n.g.Add(f.rows, y)
	return f
}
