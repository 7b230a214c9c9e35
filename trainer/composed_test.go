package trainer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
	"github.com/clipsearch/clipsearch/trainer"
	"github.com/clipsearch/clipsearch/trainer/vocab"
)

// backbones writes what a network is composed of: a convolutional backbone with a
// classifier of three classes, a text tower, pictures with captions, and prompts.
func backbones(t *testing.T, dir string) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64() / 3)
		}
		return x
	}
	m, err := onnx.Build("backbone", func(g *onnx.Graph) {
		x := g.Input("pixel_values", onnx.Float, onnx.Sym("batch"), onnx.N(3), onnx.N(16), onnx.N(16))
		x = g.Relu(g.Conv(x, g.Const(onnx.Floats("conv1", numbers(8*3*9), 8, 3, 3, 3)), nil, onnx.Conv2D{Stride: 2, Pad: 1}))
		x = g.Relu(g.Conv(x, g.Const(onnx.Floats("conv2", numbers(10*8), 10, 8, 1, 1)), nil, onnx.Conv2D{}))
		f := g.GlobalAverage(x)
		g.Output("features", f)
		g.Output("logits", g.Gemm(f, g.Const(onnx.Floats("fc.weight", numbers(3*10), 3, 10)), g.Const(onnx.Floats("fc.bias", numbers(3), 3)), true))
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, m.Save(dir, "backbone.onnx", nil))
	captions := []string{"a red square", "a green square", "a blue square", "something red", "something green", "blue things"}
	v, err := vocab.Train(func(yield func(string) bool) {
		for _, c := range captions {
			if !yield(c) {
				return
			}
		}
	}, vocab.Options{Size: 600})
	if err != nil {
		t.Fatal(err)
	}
	words, text := filepath.Join(dir, "words"), filepath.Join(dir, "text")
	must(t, v.Write(words, 16))
	must(t, os.MkdirAll(text, 0o755))
	a := clip.Architecture{Image: clip.Transformer{Width: 8, Layers: 1, Heads: 2}, ImageSize: 16, Patch: 8, Text: clip.Transformer{Width: 8, Layers: 2, Heads: 2}, Context: 16, Dim: 6, Act: "gelu"}
	must(t, a.WriteScratch(text, os.DirFS(words), 1))
	var table strings.Builder
	for i := range 12 {
		img := image.NewRGBA(image.Rect(0, 0, 16, 16))
		for j := range 256 {
			c := [3]uint8{uint8(r.IntN(60)), uint8(r.IntN(60)), uint8(r.IntN(60))}
			c[i%3] += 180
			img.SetRGBA(j%16, j/16, color.RGBA{c[0], c[1], c[2], 255})
		}
		var file bytes.Buffer
		must(t, png.Encode(&file, img))
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", i)), file.Bytes(), 0o644))
		fmt.Fprintf(&table, "%d.png\t%s\n%d.png\t%s\n", i, captions[i%3], i, captions[3+i%3])
	}
	must(t, os.WriteFile(filepath.Join(dir, "pairs.tsv"), []byte(table.String()), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "classes.json"), []byte(`{"templates":["a {}"],"classes":[{"name":"red"},{"name":"green","synonyms":["lime"]},{"name":"blue","definition":"the colour of the sky"}]}`), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// composed is the configuration of a network of two backbones, with prompts.
func composed(dir string, steps int) trainer.Config {
	c := trainer.Defaults()
	c.Compose.Image, c.Compose.Classifier, c.Compose.ImageSize = filepath.Join(dir, "backbone.onnx"), "logits", 16
	c.Compose.Text, c.Compose.TextScale, c.Compose.Dim, c.Compose.Hidden, c.Compose.Context = filepath.Join(dir, "text"), 3, 5, 7, 16
	c.Train.Image, c.Train.Text = trainer.Selection{"head.*.weight", "head.*.bias", "head.*.embeddings"}, trainer.Selection{"head.*"}
	c.Train.ImageFrom, c.Train.TextFrom = "features", "text_features"
	c.Data.Batch, c.Data.Views, c.Data.Val, c.Data.FeatureCache = 6, 2, "none", filepath.Join(dir, "features")
	c.Prompts.File, c.Prompts.Backbone, c.Prompts.Batch = filepath.Join(dir, "classes.json"), c.Compose.Image, 3
	c.Optim.Steps, c.Optim.Rate = steps, 1e-2
	c.Run.CheckpointEvery, c.Run.CheckpointLoad, c.Run.Report = 2, 1, false
	return c
}

// learn runs a configuration until it ends, or until so many pictures were decoded.
func learn(t *testing.T, dir, out string, c trainer.Config, resume bool, stop int) (losses []float64, decoded int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := trainer.Setup{Config: c, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1, Decode: func(file []byte) (*image.RGBA, error) {
		decoded++
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		return img.(*image.RGBA), nil
	}}
	tr, err := trainer.Prepare(ctx, s)
	must(t, err)
	defer tr.Close()
	run := tr.Run(out, resume)
	run.OnStep = func(l trainer.StepLine) {
		losses = append(losses, l.Loss)
		if l.Step == stop {
			cancel()
		}
	}
	if _, err := run.Train(ctx); err != nil && stop == 0 {
		t.Fatal(err)
	}
	return losses, decoded
}

// TestComposed: heads on two backbones learn from features that are computed once, a
// run that is gone on with has the same losses, and what comes out is a model.
func TestComposed(t *testing.T) {
	dir := t.TempDir()
	backbones(t, dir)
	c := composed(dir, 8)
	whole, decoded := learn(t, dir, filepath.Join(dir, "whole"), c, false, 0)
	if len(whole) != 8 || !(whole[7] < whole[0]) || decoded != 24 {
		t.Errorf("losses %v, %d pictures were decoded: want 8 that fall, and 2 views of 12", whole, decoded)
	}
	first, decoded := learn(t, dir, filepath.Join(dir, "cut"), c, false, 5)
	rest, again := learn(t, dir, filepath.Join(dir, "cut"), c, true, 0)
	if got := append(first, rest...); fmt.Sprint(got) != fmt.Sprint(whole) || decoded+again != 0 {
		t.Errorf("losses %v after %d pictures were decoded anew, want %v after none", got, decoded+again, whole)
	}
	other, err := os.ReadFile(filepath.Join(dir, "classes.json"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "classes.json"), bytes.Replace(other, []byte("lime"), []byte("leaf"), 1), 0o644))
	changed, err := trainer.Prepare(t.Context(), trainer.Setup{Config: c, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1})
	must(t, err)
	if _, err := changed.Run(filepath.Join(dir, "cut"), true).Train(t.Context()); err == nil || !strings.Contains(err.Error(), "prompts") {
		t.Errorf("a run goes on with other prompts: %v", err)
	}
	must(t, changed.Close())
	must(t, os.WriteFile(filepath.Join(dir, "classes.json"), other, 0o644))
	m, err := clip.ReadModel(filepath.Join(dir, "whole"), "")
	must(t, err)
	g, err := m.ReadGraph(clip.ImageSide)
	must(t, err)
	if out := g.Outputs[0]; out.Name != clip.ImageFeatures || fmt.Sprint(out.Shape) != "[batch,5]" || m.Preprocess.Size != 16 {
		t.Errorf("the image tower of the model makes %v of pictures of %d pixels", out, m.Preprocess.Size)
	}
	// All of the text tower may be trained on, from the model that came out.
	c.Compose, c.Train.TextFrom, c.Train.Text, c.Init = trainer.Defaults().Compose, "", trainer.Selection{"all"}, filepath.Join(dir, "whole")
	c.Optim.Slow, c.Run.Report = trainer.Selection{"text/text_model.*"}, true
	m, err = clip.ReadModel(c.Init, "fp32")
	must(t, err)
	tr, err := trainer.Prepare(t.Context(), trainer.Setup{Config: c, Init: &m, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1, Decode: func([]byte) (*image.RGBA, error) {
		return nil, fmt.Errorf("the features are there")
	}, Card: func(trainer.Record) string { return "about it" }})
	must(t, err)
	defer tr.Close()
	if _, err := tr.Run(filepath.Join(dir, "finer"), false).Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err = clip.ReadModel(filepath.Join(dir, "finer"), "")
	must(t, err)
	if !slices.ContainsFunc(m.Files, func(f clip.File) bool { return f.Name == trainer.CardName }) {
		t.Errorf("the files of the model are %v: its card would be left behind", m.Files)
	}
}

// TestInGraph: a run whose weights a graph updates has the losses of one in Go, but for
// last digits, goes on with its own to the last bit, and does not go on in Go.
func TestInGraph(t *testing.T) {
	dir := t.TempDir()
	backbones(t, dir)
	c := composed(dir, 8)
	c.Optim.EMA = 0.9
	inGo, _ := learn(t, dir, filepath.Join(dir, "go"), c, false, 0)
	c.Optim.InGraph = true
	whole, _ := learn(t, dir, filepath.Join(dir, "whole"), c, false, 0)
	for i, loss := range whole {
		if d := loss - inGo[i]; d > 1e-5 || d < -1e-5 {
			t.Errorf("losses %v, in Go %v", whole, inGo)
			break
		}
	}
	first, _ := learn(t, dir, filepath.Join(dir, "cut"), c, false, 5)
	c.Optim.InGraph = false
	changed, err := trainer.Prepare(t.Context(), trainer.Setup{Config: c, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1})
	must(t, err)
	if _, err := changed.Run(filepath.Join(dir, "cut"), true).Train(t.Context()); err == nil || !strings.Contains(err.Error(), "optim.in_graph is false, not true") {
		t.Errorf("a run in a graph goes on in Go: %v", err)
	}
	must(t, changed.Close())
	c.Optim.InGraph = true
	rest, _ := learn(t, dir, filepath.Join(dir, "cut"), c, true, 0)
	if got := append(first, rest...); fmt.Sprint(got) != fmt.Sprint(whole) {
		t.Errorf("losses %v of a run that went on, want %v", got, whole)
	}
}

func TestComposedRefuses(t *testing.T) {
	dir := t.TempDir()
	backbones(t, dir)
	for says, change := range map[string]func(*trainer.Config){
		"none of the":           func(c *trainer.Config) { c.Train.Image = trainer.Selection{"hat.*"} },
		"lies before features":  func(c *trainer.Config) { c.Train.Image = trainer.Selection{"conv2"} },
		"training cannot begin": func(c *trainer.Config) { c.Train.ImageFrom = "nothing" },
		"is not what a linear":  func(c *trainer.Config) { c.Compose.Classifier = "features" },
		"no such file":          func(c *trainer.Config) { c.Compose.Image = filepath.Join(dir, "none.onnx") },
		"no such directory":     func(c *trainer.Config) { c.Compose.Text = filepath.Join(dir, "none") },
		"prompts.from":          func(c *trainer.Config) { c.Prompts.From = "elsewhere" },
		"classifies 10 features": func(c *trainer.Config) {
			c.Compose.Classifier, c.Train.Image = "", trainer.Selection{"head.*.weight"}
			must(t, os.WriteFile(filepath.Join(dir, "two.json"), []byte(`{"classes":[{"name":"a"},{"name":"b"}]}`), 0o644))
			c.Prompts.File = filepath.Join(dir, "two.json")
		},
	} {
		t.Run(says, func(t *testing.T) {
			c := composed(dir, 2)
			change(&c)
			err := c.Check()
			if err == nil {
				var tr *trainer.Training
				tr, err = trainer.Prepare(t.Context(), trainer.Setup{Config: c, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1, Decode: func(file []byte) (*image.RGBA, error) {
					img, err := png.Decode(bytes.NewReader(file))
					if err != nil {
						return nil, err
					}
					return img.(*image.RGBA), nil
				}})
				if err == nil {
					defer tr.Close()
					_, err = tr.Run(filepath.Join(t.TempDir(), "out"), false).Train(t.Context())
				}
			}
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want one that says %q", err, says)
			}
		})
	}
}

func TestComposedWithoutTokenizerFile(t *testing.T) {
	dir := t.TempDir()
	backbones(t, dir)
	must(t, os.Remove(filepath.Join(dir, "text", "tokenizer.json")))
	c := composed(dir, 2)
	c.Compose.Words = filepath.Join(dir, "pairs.tsv")
	tr, err := trainer.Prepare(t.Context(), trainer.Setup{Config: c, Data: filepath.Join(dir, "pairs.tsv"), Threads: 1})
	must(t, err)
	defer tr.Close()
	if _, err = tr.Run(filepath.Join(dir, "out"), false).Train(t.Context()); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("a vocabulary that cannot be cut: %v", err)
	}
}

func TestComposeKeys(t *testing.T) {
	for says, text := range map[string]string{
		"leave one of them out":             `{"init":"x","compose":{"image":"a","text":"b"}}`,
		"needs both backbones":              `{"compose":{"image":"a"}}`,
		"what its classes are called":       `{"compose":{"image":"a","text":"b","classifier":"c"}}`,
		"need prompts.backbone":             `{"prompts":{"file":"a"}}`,
		"near 7 and far 3":                  `{"prompts":{"near":7,"far":3}}`,
		"whose front others":                `{"train":{"image_from":"a"}}`,
		`did you mean "compose.classifier"`: `{"compose":{"clasifier":"a"}}`,
	} {
		c, err := trainer.ParseConfig([]byte(text))
		if err == nil {
			err = c.Check()
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says %q", text, err, says)
		}
	}
	if _, err := json.Marshal(trainer.Defaults()); err != nil {
		t.Error(err)
	}
}
