package embed_test

import (
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
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
