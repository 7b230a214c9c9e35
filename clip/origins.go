package clip

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph"
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
	found := false
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
		found = true
		m, ok, err := o.read(fsys, o.weights[i], precision)
		if ok || err != nil {
			return m, err
		}
	}
	if !found {
		return Model{}, fs.ErrNotExist
	}
	return Model{}, refuseType(fsys)
}

// refuseType says what lies in a directory of weights that no origin knows.
func refuseType(fsys fs.FS) error {
	var c struct {
		ModelType     string   `json:"model_type"`
		Architectures []string `json:"architectures"`
	}
	if err := readJSON(fsys, "config.json", &c); err != nil {
		return err
	}
	return fmt.Errorf("config.json: a model of the type %.100q, saved as %.100q, is not built here from its weights: take a repository with ONNX files of it: %w",
		c.ModelType, c.Architectures, clipsearch.ErrInvalid)
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
	names := slices.Concat(w.Files(), []string{o.config, "preprocessor_config.json"}, m.extra, wordFiles(m.Tokenizer.Dir), legalFiles(fsys))
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
func wordFiles(dir string) (list []string) {
	if dir == "" {
		return nil
	}
	for _, name := range tokenizerFiles {
		list = append(list, path.Join(dir, name))
	}
	return list
}

// setTokenizer finds out whether there is a tokenizer, and what its family does with
// words; c is the model's configuration.
func (m *Model) setTokenizer(fsys fs.FS, c config) error {
	t, dir, _, err := openAnyTokenizer(fsys, []string{".", "tokenizer"})
	if isMissing(err) {
		m.Tokenizer = Words{}
		return nil
	}
	if err != nil {
		return err
	}
	m.kind = t.Kind()
	_, m.Tokenizer = family(t, c, false, false, m.ContextLength, 0)
	m.Tokenizer.Dir = dir
	return nil
}

// readConfig reads what a configuration file says of pictures and words.
func readConfig(fsys fs.FS, name string) (c config, err error) {
	if err = readJSON(fsys, name, &c); err == nil && c.Nested != nil {
		c = *c.Nested
	}
	return c, err
}

// prepare reads how a tower's pictures are prepared, which must fit its size.
func (m *Model) prepare(fsys fs.FS, file, crop string, size int) (err error) {
	var c config
	c.VisionConfig.ImageSize = fmt.Append(nil, size)
	m.Preprocess, err = found{layout: layout{preprocess: []string{file}, crop: crop}}.pixels(fsys, c, graph.Graph{})
	if err == nil && m.Preprocess.Size != size {
		err = fmt.Errorf("%s: pictures are prepared at %d pixels, but the tower takes %d: %w", file, m.Preprocess.Size, size, clipsearch.ErrInvalid)
	}
	return err
}
