package clip

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// sentenceModel is a directory of Sentence Transformers: an encoder, the mean of its
// tokens, and a linear layer of a file of its own, as in the multilingual text tower
// for OpenAI's ViT-B/32 (Reimers and Gurevych 2020).
type sentenceModel struct {
	encoder encoderConfig
	most    int    // tokens of a text; 0: as its tokenizer says
	dir     string // of the encoder
	pooling string // directory that says how tokens are pooled
	dense   string // directory of the layer; "": none
}

// sentenceModule is one of modules.json.
type sentenceModule struct {
	Path string `json:"path"`
	Type string `json:"type"` // sentence_transformers.models.Pooling and the like
}

// readSentence reports false where the modules are not those of such a text tower:
// Sentence Transformers' own CLIP among them.
func readSentence(fsys fs.FS) (s sentenceModel, ok bool, err error) {
	var list []sentenceModule
	if err := readJSON(fsys, "modules.json", &list); err != nil || len(list) < 2 || len(list) > 4 {
		return s, false, err
	}
	for i, module := range list {
		if !fs.ValidPath(path.Join(module.Path, "config.json")) {
			return s, false, fmt.Errorf("modules.json: %q is no directory below the model's: %w", module.Path, clipsearch.ErrInvalid)
		}
		kind := path.Ext(module.Type)
		switch {
		case i == 0 && kind == ".Transformer":
			s.dir = path.Clean(module.Path)
			err = s.readEncoder(fsys)
		case i == 1 && kind == ".Pooling":
			s.pooling = module.Path
			err = readPooling(fsys, module.Path)
		case i == 2 && kind == ".Dense":
			s.dense = module.Path
			err = readDense(fsys, module.Path)
		case i > 1 && kind == ".Normalize": // vectors are brought to unit length anyway
		default:
			return s, false, nil
		}
		if err != nil {
			return s, false, err
		}
	}
	return s, true, nil
}

// loneEncoder reports whether a graph that lies in fsys is an encoder alone: without
// the layer of the text tower that the weights beside it are.
func loneEncoder(fsys fs.FS) bool {
	s, ok, err := readSentence(fsys)
	if err != nil || !ok || s.dense == "" {
		return false
	}
	_, err = fs.Stat(fsys, path.Join(s.dense, "model.safetensors"))
	return err == nil
}

func (s *sentenceModel) readEncoder(fsys fs.FS) (err error) {
	name := path.Join(s.dir, "config.json")
	if err := readJSON(fsys, name, &s.encoder); err != nil {
		return err
	}
	if s.encoder, err = s.encoder.complete(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var c struct {
		Most int `json:"max_seq_length"`
	}
	err = readJSON(fsys, path.Join(s.dir, "sentence_bert_config.json"), &c)
	s.most = min(c.Most, s.encoder.most())
	if isMissing(err) {
		err = nil
	}
	return err
}

// readPooling refuses all but the mean of the tokens.
func readPooling(fsys fs.FS, dir string) error {
	var c map[string]any
	name := path.Join(dir, "config.json")
	if err := readJSON(fsys, name, &c); err != nil {
		return err
	}
	for key, v := range c {
		if on, _ := v.(bool); on && key != "pooling_mode_mean_tokens" && key != "include_prompt" {
			return fmt.Errorf("%s: %s is not built here: %w", name, key, clipsearch.ErrInvalid)
		}
	}
	if mean, _ := c["pooling_mode_mean_tokens"].(bool); !mean && c["pooling_mode"] != "mean" {
		return fmt.Errorf("%s: only the mean of the tokens is built here: %w", name, clipsearch.ErrInvalid)
	}
	return nil
}

// readDense refuses all but a linear layer.
func readDense(fsys fs.FS, dir string) error {
	var c struct {
		Activation string `json:"activation_function"`
	}
	name := path.Join(dir, "config.json")
	if err := readJSON(fsys, name, &c); err != nil {
		return err
	}
	if path.Ext(c.Activation) != ".Identity" {
		return fmt.Errorf("%s: activation_function %q is not built here: %w", name, c.Activation, clipsearch.ErrInvalid)
	}
	return nil
}

func describeSentence(fsys fs.FS, m *Model) (bool, error) {
	s, ok, err := readSentence(fsys)
	if !ok || err != nil {
		return false, err
	}
	m.Layout, m.Architecture, m.Tokenizer.Dir = "sentence-transformers", s.encoder.ModelType, s.dir
	for _, dir := range []string{s.dir, s.pooling, s.dense} {
		m.extra = append(m.extra, path.Join(dir, "config.json"), path.Join(dir, "sentence_bert_config.json"))
	}
	if err := m.textOnly(fsys, s.encoder, s.encoder.most()); err != nil {
		return false, err
	}
	if s.most > 0 {
		m.ContextLength = s.most
	}
	return true, nil
}

func sentenceBuilder(fsys fs.FS) (builder, error) {
	s, ok, err := readSentence(fsys)
	if err == nil && !ok {
		err = fmt.Errorf("modules.json no longer names a text tower: %w", clipsearch.ErrInvalid)
	}
	b := builder{
		ignored: []string{"pooler."},
		text: func(p *params) *onnx.Value {
			t := s.encoder.encoder("")
			t.maskIn = true
			x := t.features(p, "mean")
			if s.dense != "" {
				x = p.linearExact(x, "linear")
			}
			return x
		},
	}
	if s.dense != "" {
		b.beside = []string{path.Join(s.dense, "model.safetensors")}
	}
	return b, err
}
