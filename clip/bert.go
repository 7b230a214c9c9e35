package clip

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch/onnx"
)

// textEncoder is one of transformers' text encoders as a text tower: BERT (Devlin
// et al. 2018) and what was made of it. A text may have any length, and what fills
// it up is not seen.
type textEncoder struct {
	stack
	embed  func(p *params, in textIDs) *onnx.Value // rows [batch·length,D]
	final  string                                  // a norm after all blocks; "": none
	pooler string                                  // a layer behind the class token, [D] to [D]
	pad    int64
	maskIn bool // a mask says what fills up; otherwise the ids do: they are pad
}

// textIDs are texts as a tower reads them.
type textIDs struct {
	ids  *onnx.Value // int64 [batch,length]
	seen *onnx.Value // float32 [batch,length]: 1 for the text, 0 for what fills it up
}

// features makes one row of each text, [batch,D]: of its "first" token, that one
// after the "pooler", or the "mean" of all.
func (t textEncoder) features(p *params, pool string) *onnx.Value {
	in := t.read(p)
	n := p.g.DimOf(in.ids, 1)
	row := in.bias(p) // what one row of attention may see
	seq := sequence{length: length, like: in.ids, bias: p.g.Repeat(row, 2, n, length)}
	x := t.embed(p, in)
	switch pool {
	case "first", "pooler":
		first := pick{row: func(x *onnx.Value) *onnx.Value { return p.g.Index(x, 1, 0) }, seen: row}
		x = t.normed(p, t.run(p, x, seq, &first))
		if pool == "pooler" {
			x = p.g.Tanh(p.linearExact(x, t.pooler))
		}
		return x
	case "mean":
		x = seq.apart(p.g, t.normed(p, t.run(p, x, seq, nil)))
		sum := p.g.ReduceSum(p.g.Mul(x, p.g.Unsqueeze(in.seen, 2)), false, 1)
		return p.g.Div(sum, p.g.Max(p.g.ReduceSum(in.seen, true, 1), p.g.Scalar(1))) // of no token at all: 0
	}
	p.g.Fail(fmt.Errorf("pooling %q is not known here", pool))
	return nil
}

func (t textEncoder) normed(p *params, x *onnx.Value) *onnx.Value {
	if t.final == "" {
		return x
	}
	return p.norm(x, t.final, t.epsilon)
}

// read adds the tower's inputs.
func (t textEncoder) read(p *params) textIDs {
	ids := p.g.Input(IDsPort, onnx.Int64, batch, length)
	if !t.maskIn {
		return textIDs{ids, p.g.Cast(unlike(p, ids, t.pad), onnx.Float)}
	}
	mask := p.g.Input(MaskPort, onnx.Int64, batch, length)
	return textIDs{ids, p.g.Cast(unlike(p, mask, 0), onnx.Float)}
}

// unlike is 1 where x is not v, and 0 where it is: int64.
func unlike(p *params, x *onnx.Value, v int64) *onnx.Value {
	return p.g.Sub(p.g.Int64s(1), p.g.Cast(p.g.Equal(x, p.g.Int64s(v)), onnx.Int64))
}

// bias is added to attention's scores, [batch,1,1,length]: 0 for the text and the
// least float for what fills it up. It is not −∞, of which a text of nothing else
// would make NaN.
func (in textIDs) bias(p *params) *onnx.Value {
	b := p.g.Mul(p.g.Sub(p.g.Scalar(1), in.seen), p.g.Scalar(-math.MaxFloat32))
	return p.g.Unsqueeze(p.g.Unsqueeze(b, 1), 1)
}

// places numbers the tokens from pad+1 as fairseq does; what is pad stays pad.
func (in textIDs) places(p *params, pad int64) *onnx.Value {
	token := unlike(p, in.ids, pad)
	return p.g.Add(p.g.Mul(p.g.CumSum(token, 1), token), p.g.Int64s(pad))
}

// bertEmbeddings are BERT's: words, positions and the first kind of segment. fairseq
// says that positions are numbered as RoBERTa has them (Liu et al. 2019).
func bertEmbeddings(base string, pad int64, fairseq bool, epsilon float64) func(*params, textIDs) *onnx.Value {
	return func(p *params, in textIDs) *onnx.Value {
		d := p.dim(base+"word_embeddings.weight", 2, 1)
		table := p.value(base+"position_embeddings.weight", anyDim, d)
		if kinds := base + "token_type_embeddings.weight"; p.has(kinds) {
			table = p.g.Add(table, p.rows(kinds, 0, 1))
		}
		var pos *onnx.Value
		if fairseq {
			pos = p.g.Rows(table, in.places(p, pad))
		} else {
			pos = p.g.Head(table, 0, p.g.DimOf(in.ids, 1), length)
		}
		words := p.table(base+"word_embeddings.weight", d, in.ids)
		return p.norm(rows(p.g, p.g.Add(words, pos)), base+"LayerNorm", epsilon)
	}
}

// bertBlock names a block as transformers' BERT does.
func bertBlock(base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%sencoder.layer.%d.", base, i)
		return blockNames{
			q: b + "attention.self.query", k: b + "attention.self.key", v: b + "attention.self.value",
			out: b + "attention.output.dense", norm1: b + "attention.output.LayerNorm",
			fc1: b + "intermediate.dense", fc2: b + "output.dense", norm2: b + "output.LayerNorm",
		}
	}
}

// distilBlock names a block as transformers' DistilBERT does (Sanh et al. 2019).
func distilBlock(base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%stransformer.layer.%d.", base, i)
		return blockNames{
			q: b + "attention.q_lin", k: b + "attention.k_lin", v: b + "attention.v_lin", out: b + "attention.out_lin",
			norm1: b + "sa_layer_norm", fc1: b + "ffn.lin1", fc2: b + "ffn.lin2", norm2: b + "output_layer_norm",
		}
	}
}

// m2mBlock names a block as the encoder of transformers' M2M100 does (Fan et al.
// 2020), of which NLLB is one.
func m2mBlock(base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%slayers.%d.", base, i)
		return blockNames{
			norm1: b + "self_attn_layer_norm", q: b + "self_attn.q_proj", k: b + "self_attn.k_proj", v: b + "self_attn.v_proj",
			out: b + "self_attn.out_proj", norm2: b + "final_layer_norm", fc1: b + "fc1", fc2: b + "fc2",
		}
	}
}

// m2mEmbeddings are M2M100's: words, perhaps times the root of the width, and waves.
// No text is longer than most.
func m2mEmbeddings(base string, pad int64, scaled bool, most int) func(*params, textIDs) *onnx.Value {
	return func(p *params, in textIDs) *onnx.Value {
		d := p.dim(base+"embed_tokens.weight", 2, 1)
		x := p.table(base+"embed_tokens.weight", d, in.ids)
		if scaled {
			x = p.g.Mul(x, p.g.Scalar(float32(math.Sqrt(float64(d)))))
		}
		n := most + int(pad) + 1
		table := p.constant(base+"waves", waves(n, d, int(pad)), n, d)
		return rows(p.g, p.g.Add(x, p.g.Rows(table, in.places(p, pad))))
	}
}

// waves are n positions of width d (Vaswani et al. 2017, section 3.5), all sines
// before all cosines, as tensor2tensor has them; what fills up has none.
func waves(n, d, pad int) []float32 {
	table, half := make([]float32, n*d), d/2
	for pos := range n {
		if pos == pad {
			continue
		}
		for i := range half {
			// In single precision, as the reference: positions are exact, their angles are not.
			angle := float32(pos) * float32(math.Exp(float64(float32(i)*float32(-math.Log(10000)/float64(half-1)))))
			table[pos*d+i] = float32(math.Sin(float64(angle)))
			table[pos*d+half+i] = float32(math.Cos(float64(angle)))
		}
	}
	return table
}
