package trainer

import (
	"fmt"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// words makes texts the input of a text tower.
type words struct {
	tokens *clip.Tokenizer
	inputs []onnx.Port
	pad    int64
	length int  // of every text, with its padding; 0: as long as the longest
	limit  int  // no text is longer
	cuts   bool // the padding makes no difference, so texts need not have length
}

func newWords(m clip.Model, tower *onnx.Model) (*words, error) {
	t, err := m.OpenTokenizer()
	if err != nil {
		return nil, err
	}
	w := &words{tokens: t, inputs: tower.Inputs, pad: m.Tokenizer.Pad, length: m.Tokenizer.PadTo, limit: t.ContextLength(), cuts: m.CutTexts}
	for _, p := range w.inputs {
		if p.Type != onnx.Int64 && p.Type != onnx.Int32 {
			return nil, fmt.Errorf("the text tower's input %s is %v: only ids, masks and kinds of tokens are known here", p.Name, p.Type)
		}
		if len(p.Shape) == 2 && !isMask(p) && !isKind(p) {
			if n, ok := p.Shape[1].Known(); ok {
				w.length, w.limit, w.cuts = int(n), int(n), false
			}
		}
	}
	return w, nil
}

func isMask(p onnx.Port) bool { return strings.Contains(p.Name, "mask") }
func isKind(p onnx.Port) bool { return strings.Contains(p.Name, "type") }

// step is what lengths of texts are rounded up to: each length has a graph of its own.
const step = 8

// tensors returns the inputs for texts.
func (w *words) tensors(texts []string) map[string]engine.Tensor {
	all := make([][]int64, len(texts))
	length := 1
	for i, text := range texts {
		all[i] = w.tokens.Encode(text)
		length = max(length, len(all[i]))
	}
	length = w.round(length)
	in := map[string]engine.Tensor{}
	for _, p := range w.inputs {
		numbers := make([]int64, len(texts)*length)
		for i, ids := range all {
			row := numbers[i*length : (i+1)*length]
			ids = ids[:min(len(ids), length)]
			switch {
			case isMask(p):
				for j := range ids {
					row[j] = 1
				}
			case !isKind(p):
				for j := range row {
					row[j] = w.pad
				}
				copy(row, ids)
			}
		}
		in[p.Name] = integers(p.Type, numbers, int64(len(texts)), int64(length))
	}
	return in
}

// round returns how long texts are made of which the longest has so many ids.
func (w *words) round(length int) int {
	if w.length > 0 && !w.cuts {
		return w.length
	}
	length = (length + step - 1) / step * step
	if w.limit > 0 {
		length = min(length, w.limit)
	}
	return length
}

// rounded returns how long a text is made that is alone.
func (w *words) rounded(text string) int { return w.round(max(1, len(w.tokens.Encode(text)))) }

func integers(t onnx.Type, numbers []int64, shape ...int64) engine.Tensor {
	if t == onnx.Int64 {
		return engine.Tensor{Shape: shape, I64: numbers}
	}
	short := make([]int32, len(numbers))
	for i, n := range numbers {
		short[i] = int32(n)
	}
	return engine.Tensor{Shape: shape, I32: short}
}
