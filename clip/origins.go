package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// origin is a way in which checkpoints lie in the wild as weights: whose towers are
// built here.
type origin struct {
	build   string   // its name in manifests; another number if the rules ever change
	config  string   // the file that it is known by
	weights []string // file names of the weights, best first
	// describe fills in what the configuration says of a model and what lies beside
	// the weights; it reports false where the configuration is another origin's.
	describe func(fsys fs.FS, m *Model) (bool, error)
	builder  func(fsys fs.FS) (builder, error)
}

// origins are asked in this order.
var origins = []origin{
	{
		build: "open_clip/1", config: "open_clip_config.json",
		weights:  []string{"open_clip_model.safetensors", "open_clip_model.safetensors.index.json", "model.safetensors", "model.safetensors.index.json"},
		describe: describeOpenCLIP, builder: openCLIPBuilder,
	},
	{
		build: "transformers/1", config: "config.json",
		weights:  []string{"model.safetensors", "model.safetensors.index.json"},
		describe: describeTransformers, builder: transformersBuilder,
	},
	{
		build: "multilingual-clip/1", config: "config.json",
		weights:  []string{"model.safetensors", "model.safetensors.index.json"},
		describe: describeMCLIP, builder: mclipBuilder,
	},
	{
		build: "sentence-transformers/1", config: "modules.json",
		weights:  []string{"model.safetensors", "model.safetensors.index.json", "0_Transformer/model.safetensors"},
		describe: describeSentence, builder: sentenceBuilder,
	},
}

// readWeights makes the manifest of a directory of weights. It returns
// fs.ErrNotExist where there are none.
func readWeights(fsys fs.FS, precision string) (Model, error) {
	for _, o := range origins {
		if _, err := fs.Stat(fsys, o.config); err != nil {
			continue
		}
		i := slices.IndexFunc(o.weights, func(name string) bool {
			_, err := fs.Stat(fsys, name)
			return err == nil
		})
		if i < 0 {
			continue
		}
		m, ok, err := o.read(fsys, o.weights[i], precision)
		if ok || err != nil {
			return m, err
		}
	}
	return Model{}, fs.ErrNotExist
}

func (o origin) read(fsys fs.FS, weights, precision string) (Model, bool, error) {
	m := Model{
		Version: manifestVersion, Build: o.build, Precision: precision, Weights: weights, fsys: fsys,
		ContextLength: 77, LogitScale: 100, Tokenizer: Words{Dir: ".", Clean: "open_clip"},
	}
	if precision == "" {
		m.Precision = "fp32"
	}
	ok, err := o.describe(fsys, &m)
	if !ok || err != nil {
		return m, false, err
	}
	_, w, err := m.openBuild()
	if err != nil {
		return m, false, err
	}
	defer w.Close()
	if err := m.readScale(w); err != nil {
		return m, false, err
	}
	if m.Dim, err = m.prove(); err != nil {
		return m, false, err
	}
	names := slices.Concat(w.Files(), []string{o.config, "preprocessor_config.json"}, m.extra, wordFiles(m.Tokenizer.Dir))
	if m.Files, err = hashFiles(fsys, names); err != nil {
		return m, false, err
	}
	return m, true, m.valid()
}

// readScale takes the temperature and the bias of the checkpoint: the scale is kept
// as its logarithm there.
func (m *Model) readScale(w *Weights) error {
	for name, set := range map[string]func(float64){
		"logit_scale": func(x float64) { m.LogitScale = math.Exp(x) },
		"logit_bias":  func(x float64) { m.LogitBias = x },
	} {
		t, ok := w.Tensor(name)
		if !ok {
			continue
		}
		if t.Len() != 1 {
			return fmt.Errorf("tensor %s has the shape %v, not one number: %w", name, t.Shape, clipsearch.ErrInvalid)
		}
		x, err := w.Float32s(t)
		if err != nil {
			return err
		}
		set(float64(x[0]))
	}
	return nil
}

// wordFiles are what a tokenizer may consist of.
func wordFiles(dir string) []string {
	if dir == "" {
		return nil
	}
	var list []string
	for _, name := range append([]string{"special_tokens_map.json"}, tokenizerFiles...) {
		list = append(list, path.Join(dir, name))
	}
	return list
}

// missing reports an error that says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
