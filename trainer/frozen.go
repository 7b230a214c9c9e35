package trainer

import (
	"io/fs"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// texts is the frozen part of a text tower, and what it made of each text.
type texts struct {
	graph *onnx.Model
	run   *engine.Frozen
	words *words
	made  map[string][]float32
}

// textBatch is how many texts are given to it at once.
const textBatch = 64

func openTexts(m *onnx.Model, files fs.FS, w *words, threads int, provider string) (*texts, error) {
	run, err := engine.OpenFrozen(m, files, threads, provider)
	return &texts{m, run, w, map[string][]float32{}}, err
}

// tensors returns the features of texts.
func (x *texts) tensors(list []string) (map[string]engine.Tensor, error) {
	if err := x.make(list, nil); err != nil {
		return nil, err
	}
	out := x.graph.Outputs[0]
	t := engine.Tensor{Shape: []int64{int64(len(list))}}
	for _, d := range out.Shape[1:] {
		n, _ := d.Known()
		t.Shape = append(t.Shape, n)
	}
	for _, text := range list {
		t.F32 = append(t.F32, x.made[text]...)
	}
	return map[string]engine.Tensor{out.Name: t}, nil
}

// make computes the features of those texts that have none yet, together with others of
// their length. A run makes those of all its texts at the beginning: the last digits
// depend on what is computed together.
func (x *texts) make(list []string, progress func(done, total int)) error {
	lengths, left := map[int][]string{}, 0
	for _, text := range list {
		if _, ok := x.made[text]; !ok {
			x.made[text] = nil
			n := x.words.rounded(text)
			lengths[n], left = append(lengths[n], text), left+1
		}
	}
	done, size := 0, width(x.graph.Outputs[0].Shape)
	for _, n := range slices.Sorted(maps.Keys(lengths)) {
		for same := range slices.Chunk(lengths[n], textBatch) {
			out, err := x.run.Run(x.words.tensors(same))
			if err != nil {
				return err
			}
			for i, text := range same {
				x.made[text] = out.F32[i*size:][:size]
			}
			if done += len(same); progress != nil {
				progress(done, left)
			}
		}
	}
	return nil
}
