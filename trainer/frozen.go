package trainer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/features"
)

// frozen is the part of a tower that no step changes: what it makes of a picture or a
// text is computed once.
type frozen struct {
	value string // that it makes
	graph *onnx.Model
	run   *engine.Frozen
}

// freeze cuts a tower where training begins, at a value of one row for each of a batch.
// Weights behind it keep their places.
func freeze(graph *onnx.Model, value string, trained []string) (frozen, rest *onnx.Model, err error) {
	if frozen, err = graph.Cut(value); err != nil {
		return nil, nil, invalid("training cannot begin at %s: %v", value, err)
	}
	for _, t := range frozen.Initializers {
		if slices.Contains(trained, t.Name) {
			return nil, nil, invalid("%s is to be trained and lies before %s, where training begins", t.Name, value)
		}
	}
	if rest, err = graph.From(value); err != nil {
		return nil, nil, invalid("%v", err)
	}
	if s := frozen.Outputs[0].Shape; frozen.Outputs[0].Type != onnx.Float || width(s) == 0 {
		return nil, nil, invalid("%s of %s is %v%v: training begins at a value of float32 with one row for each picture or text", value, graph.Name, frozen.Outputs[0].Type, s)
	}
	return frozen, rest, nil
}

// width is how many numbers a row of a value has, whatever the batch; 0 if that is not
// known.
func width(s onnx.Shape) int {
	if len(s) < 2 {
		return 0
	}
	n, known := s[1:].Size().Known()
	if _, fixed := s[0].Known(); fixed || !known {
		return 0
	}
	return int(n)
}

// shaped gives n rows of a value its shape.
func shaped(s onnx.Shape, rows []float32, n int) engine.Tensor {
	shape := []int64{int64(n)}
	for _, d := range s[1:] {
		k, _ := d.Known()
		shape = append(shape, k)
	}
	return engine.Tensor{Shape: shape, F32: rows}
}

// width is how many numbers the value has for one picture or text.
func (f *frozen) width() int { return width(f.graph.Outputs[0].Shape) }

// of returns what the part makes of its inputs.
func (f *frozen) of(in map[string]engine.Tensor) ([]float32, error) {
	out, err := f.run.Run(in)
	if err != nil {
		return nil, err
	}
	return out[f.value].F32, nil
}

// pixels are pictures as an image tower is given them.
func pixels(m *onnx.Model, p clip.Preprocess, b *data.Batch) map[string]engine.Tensor {
	size := int64(p.Size)
	return map[string]engine.Tensor{m.Inputs[0].Name: {Shape: []int64{int64(len(b.Items)), 3, size, size}, F32: b.Pixels}}
}

// keptBatch is how many pictures the frozen part is given at once.
const keptBatch = 32

// keep returns what the frozen part makes of the views of a set's pictures, from disk
// if it is there.
func (t *Training) keep(ctx context.Context, f *frozen, set *data.Set, p clip.Preprocess, views int, dir string) (*features.Store, error) {
	c := t.setup.Config
	loader, err := data.NewLoader(set, data.LoaderOptions{
		Batch: keptBatch, Seed: uint64(c.Data.ViewSeed), Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: p, Augment: c.Augment.augment(),
		Report: func(line string) { t.setup.note("%s", line) },
	})
	if err != nil {
		return nil, err
	}
	key, err := keptKey(ctx, f.run.Digest(), set, p, c)
	if err != nil {
		return nil, err
	}
	if c.Data.KeepDir != "" {
		dir = c.Data.KeepDir
	}
	return features.Open(ctx, features.Options{
		Dir: filepath.Join(dir, "features"), Key: key, Items: len(set.Items), Views: views, Width: f.width(), Half: true,
		Make: func(ctx context.Context, view int, put func(int, []float32) error) error {
			n := 0
			for b, err := range loader.Views(ctx, view) {
				if err != nil {
					return err
				}
				rows, err := f.of(pixels(f.graph, p, b))
				if err != nil {
					return err
				}
				for i, item := range b.Items {
					if err := put(item, rows[i*f.width():][:f.width()]); err != nil {
						return err
					}
				}
				n += len(b.Items)
				t.progress(fmt.Sprintf("view %d of %d", view+1, views), n, len(set.Items))
			}
			return nil
		},
	})
}

// keptKey names what decides the features.
func keptKey(ctx context.Context, network string, set *data.Set, p clip.Preprocess, c Config) (string, error) {
	digest, err := set.Digest(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal([]any{network, hex.EncodeToString(digest[:]), p, c.Augment, c.Data.ViewSeed})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// readable returns the pictures of a set that have features, and the places that they
// had.
func readable(set *data.Set, s *features.Store) (*data.Set, []int) {
	own, places := *set, []int(nil)
	own.Items = nil
	for i, it := range set.Items {
		if s.Has(i) {
			own.Items, places = append(own.Items, it), append(places, i)
		}
	}
	return &own, places
}

// texts is the frozen part of a text tower, and what it made.
type texts struct {
	*frozen
	words *words
	made  map[string][]float32
}

// textBatch is how many texts the frozen part is given at once.
const textBatch = 64

// tensors returns the features of texts. Each is computed once, with those of its
// length.
func (x *texts) tensors(list []string) (map[string]engine.Tensor, error) {
	if err := x.make(list, nil); err != nil {
		return nil, err
	}
	rows := make([]float32, 0, len(list)*x.width())
	for _, text := range list {
		rows = append(rows, x.made[text]...)
	}
	return map[string]engine.Tensor{x.value: shaped(x.graph.Outputs[0].Shape, rows, len(list))}, nil
}

// make computes the features of those texts that have none yet.
func (x *texts) make(list []string, progress func(done, total int)) error {
	lengths := map[int][]string{}
	left := 0
	for _, text := range list {
		if _, ok := x.made[text]; !ok {
			x.made[text] = nil
			n := x.words.rounded(text)
			lengths[n], left = append(lengths[n], text), left+1
		}
	}
	done := 0
	for _, n := range slices.Sorted(maps.Keys(lengths)) { // in one order, since the last digits depend on it
		for same := lengths[n]; len(same) > 0; {
			part := same[:min(textBatch, len(same))]
			rows, err := x.of(x.words.tensors(part))
			if err != nil {
				return err
			}
			for i, text := range part {
				x.made[text] = rows[i*x.width():][:x.width()]
			}
			same, done = same[len(part):], done+len(part)
			if progress != nil {
				progress(done, left)
			}
		}
	}
	return nil
}
