package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// fastViT is timm's FastViT (Vasu et al. 2023), the image tower of MobileCLIP.
// Checkpoints have the branches that it was trained with, or what they were merged
// into; here they are merged.
type fastViT struct {
	*params
	act bool // an activation follows the large convolutions, as in MobileCLIP's
}

func timmFastViT(p *params, v openVision, size int) *onnx.Value {
	const base = "visual.trunk."
	p.meanPooled(v)
	n := fastViT{p, startsWith(v.TimmModel, "fastvit_mci")}
	x := p.g.Input(PixelsPort, onnx.Float, batch, onnx.N(3), onnx.N(size), onnx.N(size))
	for i, stride := range []int{2, 2, 1} {
		x = n.mobileOne(x, fmt.Sprint(base, "stem.", i), stride)
	}
	stages := p.count(func(i int) string { return fmt.Sprintf("%sstages.%d.blocks.0.mlp.fc1.weight", base, i) })
	for i := range stages {
		p.g.In(fmt.Sprint("stage", i), func() { x = n.stage(x, fmt.Sprintf("%sstages.%d.", base, i)) })
	}
	x = n.g.GlobalAverage(n.mobileOne(x, base+"final_conv", 1))
	if p.has(base + "head.fc.weight") {
		x = p.linearExact(x, base+"head.fc")
	}
	return x
}

// stage halves the picture, perhaps, and runs the blocks of one width.
func (n fastViT) stage(x *onnx.Value, name string) *onnx.Value {
	if down := name + "downsample.proj."; n.has(down+"1.conv_kxk.0.conv.weight") || n.has(down+"1.reparam_conv.weight") {
		x = n.squeezed(n.conv(x, n.large(down+"0"), 2), down+"0.se")
		if n.act {
			x = n.g.Gelu(x)
		}
		x = n.mobileOne(x, down+"1", 1)
	}
	if n.has(name+"pos_emb.pos_enc.weight") || n.has(name+"pos_emb.reparam_conv.weight") {
		x = n.conv(x, n.positions(name+"pos_emb"), 1)
	}
	blocks := n.count(func(i int) string { return fmt.Sprintf("%sblocks.%d.mlp.fc1.weight", name, i) })
	for i := range blocks {
		x = n.block(x, fmt.Sprintf("%sblocks.%d.", name, i))
	}
	return x
}

// block mixes places, then channels.
func (n fastViT) block(x *onnx.Value, name string) *onnx.Value {
	scale := name + "layer_scale"
	if n.has(name + "token_mixer.qkv.weight") {
		x, scale = n.g.Add(x, n.attention(x, name)), scale+"_2"
	} else {
		x = n.conv(x, n.mixer(name+"token_mixer"), 1)
	}
	y := n.conv(x, n.normedConv(name+"mlp.conv"), 1)
	y = n.g.Gelu(n.plainConv(y, name+"mlp.fc1", 1))
	return n.g.Add(x, n.conv(y, n.layerScaled(n.convolution(name+"mlp.fc2"), scale), 1))
}

// attention looks from each place at all: what is added to x.
func (n fastViT) attention(x *onnx.Value, name string) *onnx.Value {
	const headWidth = 32
	f := fieldOf(n.g, x)
	y, seq, d := n.normRows(f.rows, name+"norm"), f.sequence(), width(f.rows)
	third := func(i int) *onnx.Value {
		return seq.apart(n.g, n.linearRows(y, name+"token_mixer.qkv.weight", name+"token_mixer.qkv.bias", i*d, (i+1)*d))
	}
	y = rows(n.g, n.g.Attention(third(0), third(1), third(2), nil, n.heads(d/headWidth, d), false))
	f.rows = n.linear(y, name+"token_mixer.proj")
	if scale := name + "layer_scale_1.gamma"; n.has(scale) {
		f.rows = n.g.Mul(f.rows, n.reshaped(scale, d))
	}
	return f.planes(n.g)
}

// normRows is a batch normalization of rows, or a layer normalization where the
// checkpoint has no statistics.
func (n fastViT) normRows(x *onnx.Value, name string) *onnx.Value {
	if !n.has(name + ".running_var") {
		return n.norm(x, name, 1e-5)
	}
	d := width(x)
	if n.apart {
		scale, shift := n.batchNormApart(name, d)
		return n.g.Add(n.g.Mul(x, scale), shift)
	}
	scale, shift := n.batchNorm(name, d)
	return n.g.Add(n.g.Mul(x, n.folded(name+".scale", scale, d)), n.folded(name+".shift", shift, d))
}

// mobileOne is a convolution that was trained in branches, and its activation.
func (n fastViT) mobileOne(x *onnx.Value, name string, stride int) *onnx.Value {
	return n.g.Gelu(n.squeezed(n.conv(x, n.branches(name), stride), name+".se"))
}

// squeezed multiplies each channel by what is made of the means of all: squeeze and
// excitation (Hu et al. 2017), where the tensors are there.
func (n fastViT) squeezed(x *onnx.Value, name string) *onnx.Value {
	if !n.has(name + ".fc1.weight") {
		return x
	}
	y := n.exactly(func() *onnx.Value {
		y := n.g.Relu(n.linear1x1(n.g.GlobalAverage(x), name+".fc1"))
		return n.g.Sigmoid(n.linear1x1(y, name+".fc2"))
	})
	return n.g.Mul(x, n.g.Reshape(y, batch, y.Shape()[1], onnx.N(1), onnx.N(1)))
}

// branches is the sum of the branches of a MobileOne block (Vasu et al. 2022,
// section 3.3).
func (n fastViT) branches(name string) convolution {
	if merged := name + ".reparam_conv"; n.has(merged + ".weight") {
		return n.convolution(merged)
	}
	k := n.normedConv(name + ".conv_kxk.0")
	for i := 1; n.has(fmt.Sprintf("%s.conv_kxk.%d.conv.weight", name, i)); i++ {
		k = n.sum(k, 1, n.normedConv(fmt.Sprintf("%s.conv_kxk.%d", name, i)))
	}
	if n.has(name + ".conv_scale.conv.weight") {
		k = n.sum(k, 1, n.normedConv(name+".conv_scale"))
	}
	if n.has(name + ".identity.weight") {
		k = n.sum(k, 1, n.normed(n.identity(k), name+".identity"))
	}
	return k
}

// large is the sum of a large convolution and a small one (Ding et al. 2022,
// RepLKNet, section 3.2).
func (n fastViT) large(name string) convolution {
	if merged := name + ".reparam_conv"; n.has(merged + ".weight") {
		return n.convolution(merged)
	}
	k := n.normedConv(name + ".large_conv")
	if n.has(name + ".small_conv.conv.weight") {
		k = n.sum(k, 1, n.normedConv(name+".small_conv"))
	}
	return k
}

// positions adds to x what a convolution makes of it (Chu et al. 2021, Conditional
// Positional Encodings).
func (n fastViT) positions(name string) convolution {
	if merged := name + ".reparam_conv"; n.has(merged + ".weight") {
		return n.convolution(merged)
	}
	k := n.convolution(name + ".pos_enc")
	return n.sum(k, 1, n.identity(k))
}

// mixer adds to x, scaled, what a convolution makes of it less its norm (FastViT,
// section 3.2.1).
func (n fastViT) mixer(name string) convolution {
	if merged := name + ".reparam_conv"; n.has(merged + ".weight") {
		return n.convolution(merged)
	}
	k := n.branches(name + ".mixer")
	k = n.sum(k, -1, n.normed(n.identity(k), name+".norm.identity"))
	return n.sum(n.layerScaled(k, name+".layer_scale"), 1, n.identity(k))
}

// layerScaled multiplies what k gives by LayerScale, where the tensor is there.
func (n fastViT) layerScaled(k convolution, name string) convolution {
	if !n.has(name + ".gamma") {
		return k
	}
	if n.apart {
		return n.scaledApart(k, n.reshaped(name+".gamma", k.out))
	}
	return k.scaled(n.doubles(name+".gamma", k.out, 1, 1))
}
