package embed_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/onnx"
)

// TestTrainingGraph: with every tensor that can be trained apart, the towers of
// checkpoints still have PyTorch's features.
func TestTrainingGraph(t *testing.T) {
	eachCheckpoint(t, "", func(t *testing.T, m clip.Model, expect string) {
		dir := t.TempDir()
		if _, err := m.WriteGraphs(dir, m.TrainingGraph); err != nil {
			t.Fatal(err)
		}
		apart, err := clip.ReadModel(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		e := embed.Open(apart, embed.Options{Library: library(t), Batch: 3})
		defer e.Close()
		testTowers(t, e, expect, false)
	})
}

// fixed ends the names of tensors that no gradient reaches: statistics that were
// counted, numbers of places, and what no feature is made of, such as the second kind
// of segment.
var fixed = regexp.MustCompile(`(running_mean|running_var|num_batches_tracked|position_ids|attn_mask|token_type_embeddings\.weight|logit_scale|logit_bias|pooler\.dense\.(weight|bias))$`)

// TestParameters: whatever is trained in a checkpoint is a parameter of a tower, as a
// whole, and one that lies in the file as float32 is not read.
func TestParameters(t *testing.T) {
	eachCheckpoint(t, "", func(t *testing.T, m clip.Model, _ string) {
		covered := map[string]int{}
		for _, side := range bothSides {
			if side == clip.ImageSide && m.Image == "" || side == clip.TextSide && m.Text == "" {
				continue
			}
			parts, err := m.Parameters(side)
			if err != nil {
				t.Fatal(err)
			}
			graph, _, err := m.TrainingGraph(side)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range parts {
				covered[p.Tensor] += p.To - p.From
				i := slices.IndexFunc(graph.Initializers, func(x *onnx.Tensor) bool { return x.Name == p.Name })
				if i < 0 {
					t.Errorf("%s is no initializer of the %s tower", p.Name, side)
				} else if x := graph.Initializers[i]; x.External == nil || x.External.Length != int64(4*(p.To-p.From)) {
					t.Errorf("%s of the %s tower is not where it lies in the file: %+v", p.Name, side, x.External)
				}
			}
		}
		w, err := clip.OpenWeights(m.FS(), m.Weights)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for _, name := range w.Names() {
			x, _ := w.Tensor(name)
			if got := covered[name]; got != x.Len() && !fixed.MatchString(name) {
				t.Errorf("%d of the %d numbers of %s are parameters", got, x.Len(), name)
			}
		}
	})
}
