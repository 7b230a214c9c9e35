package clip

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// Parts are what a new model is put together from.
type Parts struct {
	Image, Text *onnx.Model // towers of float32 whose only output is the embedding; nil: none
	// ImageFiles and TextFiles are where their tensors lie ([onnx.External]), if they
	// are in files.
	ImageFiles, TextFiles fs.FS
	Words                 fs.FS             // has tokenizer.json and its like; nil: none
	Beside                map[string][]byte // other files: LICENSE, NOTICE, a card
}

// NewModel writes a model into dir, which must be there and empty. Of about it takes
// what the parts do not say: name, architecture, licence, logit scale and bias,
// preparation of pixels, context length, and how words are cleaned and filled up. The
// graphs stay as they are.
func NewModel(dir string, about Model, p Parts) (Model, error) {
	m := Model{
		Version: manifestVersion, Layout: exportedLayout, Precision: "fp32",
		Name: about.Name, Architecture: about.Architecture, Licence: about.Licence,
		LogitScale: about.LogitScale, LogitBias: about.LogitBias, Preprocess: about.Preprocess,
		ContextLength: about.ContextLength, Tokenizer: about.Tokenizer, CutTexts: about.CutTexts,
	}
	for _, t := range []struct {
		tower
		graph *onnx.Model
		files fs.FS
	}{
		{tower{ImageSide, "visual.onnx", &m.Image}, p.Image, p.ImageFiles},
		{tower{TextSide, "textual.onnx", &m.Text}, p.Text, p.TextFiles},
	} {
		if t.graph == nil {
			continue
		}
		if err := m.addTower(dir, t.tower, t.graph, t.files); err != nil {
			return m, fmt.Errorf("model %s: %s tower: %w", m.Name, t.side, err)
		}
	}
	if err := m.addFiles(dir, p); err != nil {
		return m, fmt.Errorf("model %s: %w", m.Name, err)
	}
	if err := m.valid(); err != nil {
		return m, fmt.Errorf("model %s: %w", m.Name, err)
	}
	if err := m.seal(dir); err != nil {
		return m, err
	}
	return ReadCopy(dir, "")
}

// addTower writes a graph, whose embeddings must be as long as the other tower's.
func (m *Model) addTower(dir string, t tower, graph *onnx.Model, files fs.FS) error {
	if len(graph.Outputs) != 1 || graph.Outputs[0].Type != onnx.Float || len(graph.Outputs[0].Shape) != 2 {
		return fmt.Errorf("its outputs are %v, not one embedding float32 [batch,D]: %w", graph.Outputs, clipsearch.ErrInvalid)
	}
	n, known := graph.Outputs[0].Shape[1].Known()
	if known && m.Dim != 0 && m.Dim != int(n) {
		return fmt.Errorf("embeddings of %d numbers, the other tower's have %d: %w", n, m.Dim, clipsearch.ErrInvalid)
	}
	if known {
		m.Dim = int(n)
	}
	own := *graph // saving says anew where tensors lie
	own.Initializers = slices.Clone(graph.Initializers)
	for i, x := range own.Initializers {
		copied := *x
		own.Initializers[i] = &copied
	}
	*t.file = t.name
	return own.Save(dir, t.name, files)
}

// addFiles writes what lies beside the graphs.
func (m *Model) addFiles(dir string, p Parts) error {
	for name, data := range p.Beside {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return fmt.Errorf("%.100q is no name of a file beside a model: %w", name, clipsearch.ErrInvalid)
		}
		if err := writeSynced(filepath.Join(dir, name), bytes.NewReader(data)); err != nil {
			return err
		}
	}
	if p.Words == nil || m.Text == "" {
		m.Tokenizer.Dir = ""
		return nil
	}
	for _, name := range tokenizerFiles {
		if err := copyWords(dir, p.Words, name); err != nil {
			return err
		}
	}
	m.Tokenizer.Dir, m.fsys = ".", os.DirFS(dir)
	_, err := m.OpenTokenizer()
	return err
}
