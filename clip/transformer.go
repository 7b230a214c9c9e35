package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// stack is a transformer encoder (Vaswani et al. 2017; Radford et al. 2021,
// section 2.4): what a config says of it and what its tensors are called.
type stack struct {
	heads      int
	activation string
	epsilon    float64
	causal     bool
	post       bool                            // a block's norms come after its sums, as in BERT, and not before its layers
	added      bool                            // a block's norms are of what it adds, as in EVA-02's largest
	turn       func(x *onnx.Value) *onnx.Value // rotates queries and keys [batch,length,D] by their places; nil: nothing does
	names      func(layer int) blockNames
}

// blockNames are a block's tensors: of each the beginning, to which ".weight" and
// ".bias" are put. qkv joins q, k and v: the whole names of its weight and bias.
type blockNames struct {
	norm1, q, k, v       string
	qkvWeight, qkvBias   string
	qBias, vBias         string // whole names, where qkvWeight has no bias that joins them, and keys none
	out, norm2, fc1, fc2 string
	scale1, scale2       string // whole names; LayerScale, where they are there
	normOut, normFC2     string // norms before out and fc2; "": none
	gate                 string // a layer beside fc1 whose SiLU, and not the activation, multiplies it; "": none
}

// sequence is how rows [batch·length,D] lie in a batch.
type sequence struct {
	length onnx.Dim
	like   *onnx.Value // [batch,length,…] when length is not known
	bias   *onnx.Value // [batch,1,length,length], added to attention's scores; nil: none
}

// apart returns rows as [batch,length,D].
func (s sequence) apart(g *onnx.Graph, x *onnx.Value) *onnx.Value {
	d := x.Shape()[1]
	if _, known := s.length.Known(); known {
		return g.Reshape(x, batch, s.length, d)
	}
	return g.ReshapeTo(x, s.like, batch, s.length, d)
}

// rows returns [batch,length,D] as rows.
func rows(g *onnx.Graph, x *onnx.Value) *onnx.Value {
	s := x.Shape()
	return g.Reshape(x, s[0].Times(s[1]), s[2])
}

// pick chooses one row of each sequence: [batch,length,D] gives [batch,D]. seen is
// added to the scores of that row's attention, where it does not see all.
type pick struct {
	row  func(x *onnx.Value) *onnx.Value
	seen *onnx.Value // [batch,1,1,length]
}

// run returns x [batch·length,D] after all blocks. With last, only the chosen row
// of each sequence leaves the last block, [batch,D]: the others are not computed.
func (s stack) run(p *params, x *onnx.Value, seq sequence, last *pick) *onnx.Value {
	n := p.count(func(i int) string { return s.names(i).norm1 + ".weight" })
	for i := range n {
		p.g.In(fmt.Sprint("block", i), func() {
			if i == n-1 && last != nil {
				x = s.lastBlock(p, x, seq, *last, s.names(i))
			} else {
				x = s.block(p, x, seq, s.names(i))
			}
		})
	}
	return x
}

func (s stack) block(p *params, x *onnx.Value, seq sequence, n blockNames) *onnx.Value {
	h := s.before(p, x, n.norm1)
	q, k, v := s.turned(seq.apart(p.g, s.query(p, h, n))), s.turned(seq.apart(p.g, s.key(p, h, n))), seq.apart(p.g, s.value(p, h, n))
	a := p.g.Attention(q, k, v, seq.bias, p.heads(s.heads, width(q)), s.causal)
	return s.rest(p, x, rows(p.g, a), n)
}

// turned rotates what has places. The row that lastBlock chooses of a rotated
// sequence is the class token, which has none.
func (s stack) turned(x *onnx.Value) *onnx.Value {
	if s.turn == nil {
		return x
	}
	return s.turn(x)
}

// lastBlock computes the query and all that follows for the chosen rows only.
func (s stack) lastBlock(p *params, x *onnx.Value, seq sequence, one pick, n blockNames) *onnx.Value {
	h := s.before(p, x, n.norm1)
	q := s.query(p, one.row(seq.apart(p.g, h)), n)
	k, v := s.turned(seq.apart(p.g, s.key(p, h, n))), seq.apart(p.g, s.value(p, h, n))
	d := q.Shape()[1]
	a := p.g.Attention(p.g.Reshape(q, batch, onnx.N(1), d), k, v, one.seen, p.heads(s.heads, width(q)), false)
	return s.rest(p, one.row(seq.apart(p.g, x)), p.g.Reshape(a, batch, d), n)
}

// rest is what follows attention a: its projection and the MLP, each added to x.
func (s stack) rest(p *params, x, a *onnx.Value, n blockNames) *onnx.Value {
	if n.normOut != "" {
		a = p.norm(a, n.normOut, s.epsilon)
	}
	x = s.after(p, x, s.scaled(p, p.afterAttention(a, n.out, s.valueBias(p, n, width(a))), n.scale1), n.norm1)
	return s.after(p, x, s.scaled(p, s.mlp(p, s.before(p, x, n.norm2), n), n.scale2), n.norm2)
}

// mlp is a layer, its non-linearity and a second layer. Of two layers in the place of
// the first, the SiLU of one multiplies the other (Shazeer 2020, SwiGLU).
func (s stack) mlp(p *params, x *onnx.Value, n blockNames) *onnx.Value {
	h := p.linear(x, n.fc1)
	if n.gate != "" {
		g := p.linear(x, n.gate)
		h = p.g.Mul(p.g.Mul(g, p.g.Sigmoid(g)), h)
	} else {
		h = p.activation(h, s.activation)
	}
	if n.normFC2 != "" {
		h = p.norm(h, n.normFC2, s.epsilon)
	}
	return p.linear(h, n.fc2)
}

// before puts a norm before a layer, and after adds y to x, where the stack has its
// norms.
func (s stack) before(p *params, x *onnx.Value, norm string) *onnx.Value {
	if s.post || s.added {
		return x
	}
	return p.norm(x, norm, s.epsilon)
}

func (s stack) after(p *params, x, y *onnx.Value, norm string) *onnx.Value {
	switch {
	case s.post:
		return p.norm(p.g.Add(x, y), norm, s.epsilon)
	case s.added:
		y = p.norm(y, norm, s.epsilon)
	}
	return p.g.Add(x, y)
}

// scaled is LayerScale (Touvron et al. 2021, CaiT, section 2).
func (s stack) scaled(p *params, x *onnx.Value, name string) *onnx.Value {
	if name == "" || !p.has(name) {
		return x
	}
	return p.g.Mul(x, p.value(name, width(x)))
}

func (s stack) query(p *params, h *onnx.Value, n blockNames) *onnx.Value {
	return s.third(p, h, n, n.q, 0)
}

// key leaves out the bias in int8, where adding it is a step of its own: it adds the
// same to all scores of a query, and their softmax stays what it is, unless keys are
// rotated.
func (s stack) key(p *params, h *onnx.Value, n blockNames) *onnx.Value {
	return s.third(p, h, n, n.k, 1)
}

// value leaves out the bias in int8: see afterAttention.
func (s stack) value(p *params, h *onnx.Value, n blockNames) *onnx.Value {
	return s.third(p, h, n, n.v, 2)
}

// valueBias returns the bias that value has left out, d numbers, or nil.
func (s stack) valueBias(p *params, n blockNames, d int) []float32 {
	name, from := n.v+".bias", 0
	switch {
	case n.vBias != "":
		name = n.vBias
	case n.qkvWeight != "":
		name, from = n.qkvBias, 2*d
	}
	if !s.leavesOut(p, n, 2) || !p.has(name) {
		return nil
	}
	b := p.floats(name)
	if len(b) != from+d {
		p.g.Fail(fmt.Errorf("tensor %s has %d numbers, not %d", name, len(b), from+d))
	}
	return b[from:]
}

// leavesOut reports whether query, key or value, the i-th of them, has no bias added
// where its layer has one.
func (s stack) leavesOut(p *params, n blockNames, i int) bool {
	return p.int8 && (i == 1 && s.turn == nil || i == 2 && n.normOut == "")
}

func (s stack) third(p *params, h *onnx.Value, n blockNames, name string, i int) *onnx.Value {
	out := s.leavesOut(p, n, i)
	switch {
	case n.qkvWeight != "":
		d, bias := p.dim(n.qkvWeight, 2, 0)/3, n.qkvBias
		if apart := [3]string{n.qBias, "", n.vBias}[i]; apart != "" && !out {
			return p.gemmRows(h, p.find(n.qkvWeight, 3*d, width(h)), i*d, (i+1)*d, p.value(apart, d))
		}
		if out {
			bias = ""
		}
		return p.linearRows(h, n.qkvWeight, bias, i*d, (i+1)*d)
	case out:
		return p.linearRows(h, name+".weight", "", 0, p.dim(name+".weight", 2, 0))
	}
	return p.linear(h, name)
}

// hfBlock names a block as transformers does.
func hfBlock(base string) func(int) blockNames { return hfBlockIn(base + ".layers") }

func hfBlockIn(list string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%s.%d.", list, i)
		return blockNames{
			norm1: b + "layer_norm1", q: b + "self_attn.q_proj", k: b + "self_attn.k_proj", v: b + "self_attn.v_proj",
			out: b + "self_attn.out_proj", norm2: b + "layer_norm2", fc1: b + "mlp.fc1", fc2: b + "mlp.fc2",
		}
	}
}

// openBlock names a block as openai/CLIP and open_clip do.
func openBlock(base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%s.resblocks.%d.", base, i)
		return blockNames{
			norm1: b + "ln_1", qkvWeight: b + "attn.in_proj_weight", qkvBias: b + "attn.in_proj_bias", out: b + "attn.out_proj",
			norm2: b + "ln_2", fc1: b + "mlp.c_fc", fc2: b + "mlp.c_proj", scale1: b + "ls_1.gamma", scale2: b + "ls_2.gamma",
		}
	}
}

// timmBlock names a block as timm's vision transformers do.
func timmBlock(base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%s.blocks.%d.", base, i)
		return blockNames{
			norm1: b + "norm1", qkvWeight: b + "attn.qkv.weight", qkvBias: b + "attn.qkv.bias", out: b + "attn.proj",
			norm2: b + "norm2", fc1: b + "mlp.fc1", fc2: b + "mlp.fc2", scale1: b + "ls1.gamma", scale2: b + "ls2.gamma",
		}
	}
}
