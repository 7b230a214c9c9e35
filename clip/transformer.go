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
	post       bool // a block's norms come after its sums, as in BERT, and not before its layers
	names      func(layer int) blockNames
}

// blockNames are a block's tensors: of each the beginning, to which ".weight" and
// ".bias" are put. qkv joins q, k and v: the whole names of its weight and bias.
type blockNames struct {
	norm1, q, k, v       string
	qkvWeight, qkvBias   string
	out, norm2, fc1, fc2 string
	scale1, scale2       string // whole names; LayerScale, where they are there
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
	q, k, v := seq.apart(p.g, s.query(p, h, n)), seq.apart(p.g, s.key(p, h, n)), seq.apart(p.g, s.value(p, h, n))
	a := p.g.Attention(q, k, v, seq.bias, p.heads(s.heads, width(q)), s.causal)
	return s.rest(p, x, rows(p.g, a), n)
}

// lastBlock computes the query and all that follows for the chosen rows only.
func (s stack) lastBlock(p *params, x *onnx.Value, seq sequence, one pick, n blockNames) *onnx.Value {
	h := s.before(p, x, n.norm1)
	q := s.query(p, one.row(seq.apart(p.g, h)), n)
	k, v := seq.apart(p.g, s.key(p, h, n)), seq.apart(p.g, s.value(p, h, n))
	d := q.Shape()[1]
	a := p.g.Attention(p.g.Reshape(q, batch, onnx.N(1), d), k, v, one.seen, p.heads(s.heads, width(q)), false)
	return s.rest(p, one.row(seq.apart(p.g, x)), p.g.Reshape(a, batch, d), n)
}

// rest is what follows attention a: its projection and the MLP, each added to x.
func (s stack) rest(p *params, x, a *onnx.Value, n blockNames) *onnx.Value {
	x = s.after(p, p.g.Add(x, s.scaled(p, p.afterAttention(a, n.out, s.valueBias(p, n, width(a))), n.scale1)), n.norm1)
	h := p.activation(p.linear(s.before(p, x, n.norm2), n.fc1), s.activation)
	return s.after(p, p.g.Add(x, s.scaled(p, p.linear(h, n.fc2), n.scale2)), n.norm2)
}

// before and after put a norm where the stack has it.
func (s stack) before(p *params, x *onnx.Value, norm string) *onnx.Value {
	if s.post {
		return x
	}
	return p.norm(x, norm, s.epsilon)
}

func (s stack) after(p *params, x *onnx.Value, norm string) *onnx.Value {
	if !s.post {
		return x
	}
	return p.norm(x, norm, s.epsilon)
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
// same to all scores of a query, and their softmax stays what it is.
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
	if n.qkvWeight != "" {
		name, from = n.qkvBias, 2*d
	}
	if !p.int8 || !p.has(name) {
		return nil
	}
	b := p.floats(name)
	if len(b) != from+d {
		p.g.Fail(fmt.Errorf("tensor %s has %d numbers, not %d", name, len(b), from+d))
	}
	return b[from:]
}

func (s stack) third(p *params, h *onnx.Value, n blockNames, name string, i int) *onnx.Value {
	bias := n.qkvBias
	if p.int8 && i > 0 {
		bias = ""
	}
	switch {
	case n.qkvWeight != "":
		d := p.dim(n.qkvWeight, 2, 0) / 3
		return p.linearRows(h, n.qkvWeight, bias, i*d, (i+1)*d)
	case p.int8 && i > 0:
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
