package clip

import (
	"cmp"
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// vit is a vision transformer (Dosovitskiy et al. 2020) as a CLIP image tower. A
// tensor that is not named is not there.
type vit struct {
	stack
	size      int    // of a picture; 0: as many patches as there are positions
	patch     string // weight [D,3,P,P] and perhaps a bias
	class     string // whole name, D numbers
	positions string // whole name, [1+]L × D numbers; a class token may have none
	normPre   string
	normPost  string
	pool      string // "tok", "avg" (of the patches), "map" (an attention head)
	postAfter bool   // the last norm comes after pooling, or before it
	head      mapNames
	project   func(p *params, x *onnx.Value) *onnx.Value // of [batch,D]; nil: none
	stem      func(pixels *onnx.Value) *onnx.Value       // [batch,D,h,w], in place of patch; nil: none
	places    *rotary                                    // rotates queries and keys by the places of their patches; nil: none
}

// build returns the features of pictures.
func (t vit) build(p *params) *onnx.Value {
	x, seq := t.embed(p)
	if t.places != nil {
		n, _ := seq.length.Known()
		t.turn = t.places.by(p, int(n), t.class != "", t.heads, width(x))
	}
	if t.normPre != "" {
		x = p.norm(x, t.normPre, t.epsilon)
	}
	x = t.pooled(p, x, seq)
	if t.project != nil {
		x = t.project(p, x)
	}
	return x
}

// embed cuts pictures into patches and adds positions: rows [batch·length,D].
func (t vit) embed(p *params) (*onnx.Value, sequence) {
	if t.stem != nil {
		f := fieldOf(p.g, t.stem(p.g.Input(PixelsPort, onnx.Float, batch, onnx.N(3), onnx.N(t.size), onnx.N(t.size))))
		return t.placed(p, f.rows, int(f.h*f.w))
	}
	w := p.find(t.patch+".weight", anyDim, 3, anyDim, anyDim)
	d, side := w.Shape[0], w.Shape[2]
	pos := p.find(t.positions)
	extra := 0
	if t.class != "" {
		extra = 1
	}
	if side < 1 || w.Shape[3] != side || elements(pos.Shape)%d != 0 || elements(pos.Shape)/d <= extra {
		p.g.Fail(fmt.Errorf("patches of %v with positions of %v", w.Shape, pos.Shape))
	}
	n := elements(pos.Shape)/d - extra
	grid := p.square(n, "positions")
	if t.size > 0 && t.size/side != grid {
		p.g.Fail(fmt.Errorf("pictures of %d pixels have %d × %d patches of %d, but there are positions for %d × %d", t.size, t.size/side, t.size/side, side, grid, grid))
	}
	size := max(t.size, grid*side)
	pixels := p.g.Input(PixelsPort, onnx.Float, batch, onnx.N(3), onnx.N(size), onnx.N(size))
	return t.placed(p, p.patches(pixels, w, t.patch, grid, side), n)
}

// placed puts the class token, if there is one, before the n patches x of each
// picture, and adds positions.
func (t vit) placed(p *params, x *onnx.Value, n int) (*onnx.Value, sequence) {
	d := width(x)
	x = p.g.Reshape(x, batch, onnx.N(n), onnx.N(d))
	if t.class != "" {
		x = p.g.PadFront(x, 1, 1)
		n++
	}
	x = p.g.Add(x, t.offsets(p, n, d))
	return rows(p.g, x), sequence{length: onnx.N(n)}
}

// patches is a convolution whose stride is its size, as one product of rows:
// [batch,3,S,S] gives [batch·grid·grid,D].
func (p *params) patches(pixels *onnx.Value, w Tensor, name string, grid, side int) *onnx.Value {
	x := pixels
	if cut := int64(grid * side); onnx.N(cut) != x.Shape()[2] { // what no whole patch fits is not seen
		x = p.g.Slice(p.g.Slice(x, 2, 0, cut), 3, 0, cut)
	}
	g, s := onnx.N(grid), onnx.N(side)
	x = p.g.Transpose(p.g.Reshape(x, batch, onnx.N(3), g, s, g, s), 0, 2, 4, 1, 3, 5)
	x = p.g.Reshape(x, batch.Times(onnx.N(grid*grid)), onnx.N(3*side*side))
	var bias *onnx.Value
	if p.has(name + ".bias") {
		bias = p.value(name+".bias", w.Shape[0])
	}
	w.Shape = []int{w.Shape[0], 3 * side * side}
	return p.gemm(x, w, bias)
}

// offsets are the positions, the class token's embedding added to its own, if it
// has one: its row was left empty.
func (t vit) offsets(p *params, n, d int) *onnx.Value {
	if t.class == "" {
		return p.reshaped(t.positions, 1, n, d)
	}
	if p.apart {
		return t.offsetsApart(p, n, d)
	}
	x, class := p.floats(t.positions), p.floats(t.class)
	if len(class) != d || len(x) != n*d && len(x) != (n-1)*d {
		p.g.Fail(fmt.Errorf("%d patches of width %d with positions of %v and a class token of %v", n-1, d, p.find(t.positions).Shape, p.find(t.class).Shape))
	}
	if len(x) < n*d {
		x = append(class, x...)
	} else {
		for i, c := range class {
			x[i] += c
		}
	}
	return p.constant(t.positions+"+class", x, 1, n, d)
}

// pooled runs the blocks and makes one row of each picture: [batch,D].
func (t vit) pooled(p *params, x *onnx.Value, seq sequence) *onnx.Value {
	switch t.pool {
	case "tok": // the norm is by row: after the choice or before is the same
		first := pick{row: func(x *onnx.Value) *onnx.Value { return p.g.Index(x, 1, 0) }}
		return t.post(p, t.run(p, x, seq, &first))
	case "avg":
		x = t.run(p, x, seq, nil)
		if !t.postAfter {
			x = t.post(p, x)
		}
		x = seq.apart(p.g, x)
		if n, _ := seq.length.Known(); t.class != "" {
			x = p.g.Slice(x, 1, 1, n)
		}
		x = p.g.ReduceMean(x, false, 1)
		if t.postAfter {
			x = t.post(p, x)
		}
		return x
	case "map":
		return t.head.build(p, t.post(p, t.run(p, x, seq, nil)), seq, t.stack)
	}
	p.g.Fail(fmt.Errorf("pooling %q is not known here", t.pool))
	return nil
}

func (t vit) post(p *params, x *onnx.Value) *onnx.Value {
	if t.normPost == "" {
		return x
	}
	return p.norm(x, t.normPost, t.epsilon)
}

// mapNames are the tensors of a multi-head attention pooling (Zhai et al. 2022,
// Scaling Vision Transformers, section 3.2), as SigLIP has it. kv joins k and v,
// where they are not joined with q.
type mapNames struct {
	probe              string // whole name
	qkvWeight, qkvBias string
	q, kv              string
	out, norm          string
	fc1, fc2           string
	heads              int // 0: as many as the blocks have
}

// build asks the rows of each picture with one learned query: [batch,D].
func (n mapNames) build(p *params, x *onnx.Value, seq sequence, s stack) *onnx.Value {
	d := width(x)
	probe := p.reshaped(n.probe, 1, d)
	var q, k, v *onnx.Value // q is a constant
	if n.qkvWeight != "" {
		q = p.exactly(func() *onnx.Value { return p.linearRows(probe, n.qkvWeight, n.qkvBias, 0, d) })
		k = p.linearRows(x, n.qkvWeight, n.qkvBias, d, 2*d)
		v = p.linearRows(x, n.qkvWeight, n.qkvBias, 2*d, 3*d)
	} else {
		q = p.linearExact(probe, n.q)
		k = p.linearRows(x, n.kv+".weight", n.kv+".bias", 0, d)
		v = p.linearRows(x, n.kv+".weight", n.kv+".bias", d, 2*d)
	}
	k, v = seq.apart(p.g, k), seq.apart(p.g, v)
	// One query for all: repeated over the batch, as the operator wants it.
	query := p.g.Expand(p.g.Reshape(q, onnx.N(1), onnx.N(1), onnx.N(d)), p.g.Slice(k, 1, 0, 1))
	a := p.linear(p.g.Reshape(p.g.Attention(query, k, v, nil, p.heads(cmp.Or(n.heads, s.heads), d), false), batch, onnx.N(d)), n.out)
	h := p.activation(p.linear(p.norm(a, n.norm, s.epsilon), n.fc1), s.activation)
	return p.g.Add(a, p.linear(h, n.fc2))
}
