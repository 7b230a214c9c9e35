package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph"
)

// layout is a way in which ONNX models lie in the wild. A star in its names stands
// for one folder, the same in all of them.
type layout struct {
	name        string
	image, text string   // files; %s stands for the precision's suffix; the same: the graph says what it is
	words       []string // directories where the tokenizer may lie, best first
	preprocess  []string // files that tell how pixels are prepared, best first
	crop        string   // what its usual server does with half a pixel
}

var layouts = []layout{
	{
		name:  "transformers.js", // Xenova/clip-vit-base-patch32 and its like
		image: "onnx/vision_model%s.onnx", text: "onnx/text_model%s.onnx",
		words: []string{"."}, preprocess: []string{"preprocessor_config.json"}, crop: "floor",
	},
	{
		name:  "visual-textual", // immich-app/ViT-B-32__openai and its like
		image: "visual/model%s.onnx", text: "textual/model%s.onnx",
		words: []string{"textual"}, preprocess: []string{"visual/preprocess_cfg.json", "open_clip_config.json"}, crop: "floor",
	},
	{
		name:  "transformers.js", // plhery/mobileclip2-onnx: several models in one repository
		image: "onnx/*/vision_model%s.onnx", text: "onnx/*/text_model%s.onnx",
		words: []string{"onnx/*", "*", "."}, preprocess: []string{"onnx/*/preprocessor_config.json", "*/preprocessor_config.json", "preprocessor_config.json"}, crop: "floor",
	},
	{
		name:  "rclip", // yurijmikhalevich/rclip-models: towers without any description
		image: "*/visual%s.onnx", text: "*/textual%s.onnx",
		words: []string{"*", "*/tokenizer", "tokenizer", "."}, preprocess: []string{"*/preprocess_cfg.json", "*/open_clip_config.json", "open_clip_config.json"}, crop: "round",
	},
	{
		name:  "rclip",
		image: "visual%s.onnx", text: "textual%s.onnx",
		words: []string{".", "tokenizer"}, preprocess: []string{"preprocess_cfg.json", "open_clip_config.json"}, crop: "round",
	},
	{
		name:  "transformers.js",
		image: "vision_model%s.onnx", text: "text_model%s.onnx",
		words: []string{"."}, preprocess: []string{"preprocessor_config.json"}, crop: "floor",
	},
	{
		name:  "joint", // jinaai/jina-clip-v2: one graph of both towers
		image: "onnx/model%s.onnx", text: "onnx/model%s.onnx",
		words: []string{"."}, preprocess: []string{"preprocessor_config.json"}, crop: "floor",
	},
	{
		name:  "fastembed", // Qdrant/clip-ViT-B-32-vision and -text: a tower a repository
		image: "model%s.onnx", text: "model%s.onnx",
		words: []string{"."}, preprocess: []string{"preprocessor_config.json", "preprocess_cfg.json", "open_clip_config.json"}, crop: "floor",
	},
}

// suffixes lists, for each precision, how a graph's file name ends.
var suffixes = map[string][]string{
	"fp32": {""},
	"int8": {"_int8", "_quantized", "_uint8", ".int8"},
}

// found is a model that lies somewhere: its layout with its own names in it.
type found struct {
	layout
	precision string
}

// readLayout makes the manifest of a directory that has none. part is the folder
// of the model that is meant, where there are several; "": there is one.
func readLayout(fsys fs.FS, precision, part string) (Model, error) {
	wanted := []string{"fp32", "int8"}
	if precision != "" {
		wanted = []string{precision}
	}
	lone := loneEncoder(fsys)
	for _, l := range layouts {
		if lone && l.image == l.text {
			continue
		}
		for _, p := range wanted {
			for _, suffix := range suffixes[p] {
				there, err := l.find(fsys, suffix, part)
				if err != nil {
					return Model{}, err
				}
				if there != nil {
					return found{*there, p}.read(fsys)
				}
			}
		}
	}
	if m, err := readWeights(fsys, precision); !isMissing(err) {
		return m, err
	}
	if err := refusePickles(fsys, "."); err != nil {
		return Model{}, err
	}
	if precision == "int8" {
		if _, err := readLayout(fsys, "fp32", part); err == nil {
			return Model{}, fmt.Errorf("there is no int8 of this model, only fp32: make one with `clipsearch model import DIR --precision int8 --out OUT`: %w", clipsearch.ErrInvalid)
		}
	}
	var tried []string
	for _, l := range layouts {
		if image := fmt.Sprintf(l.image, suffixes[wanted[0]][0]); !slices.Contains(tried, image) {
			tried = append(tried, image)
		}
	}
	return Model{}, fmt.Errorf("no model is here: neither %s nor %s nor config.json or open_clip_config.json with .safetensors: name the folder that has them, or get a model with `clipsearch model pull`: %w",
		ManifestName, strings.Join(tried, " nor "), clipsearch.ErrInvalid)
}

// find returns l with the names of the model that lies in fsys in this way, or nil.
// A tower that is missing is "".
func (l layout) find(fsys fs.FS, suffix, part string) (*layout, error) {
	image, text := fmt.Sprintf(l.image, suffix), fmt.Sprintf(l.text, suffix)
	var folders []string
	for _, pattern := range []string{image, text} {
		names, err := fs.Glob(fsys, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if folder := path.Dir(name); !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	if !strings.Contains(l.image, "*") {
		if len(folders) == 0 || part != "" {
			return nil, nil
		}
		return l.named(fsys, image, text, ""), nil
	}
	if part != "" {
		folders = slices.DeleteFunc(folders, func(f string) bool { return f != part })
	}
	switch len(folders) {
	case 0:
		return nil, nil
	case 1:
		return l.named(fsys, image, text, path.Base(folders[0])), nil
	}
	slices.Sort(folders)
	return nil, fmt.Errorf("%d models are here: name the folder of one, such as %s, of %s: %w", len(folders), folders[0], strings.Join(folders, ", "), clipsearch.ErrInvalid)
}

// named is l with these towers and folder in the place of the star.
func (l layout) named(fsys fs.FS, image, text, folder string) *layout {
	star := func(name string) string { return strings.ReplaceAll(name, "*", folder) }
	there := func(name string) string {
		if st, err := fs.Stat(fsys, star(name)); err != nil || st.IsDir() {
			return ""
		}
		return star(name)
	}
	l.image, l.text = there(image), there(text)
	l.words, l.preprocess = slices.Clone(l.words), slices.Clone(l.preprocess)
	for _, list := range [][]string{l.words, l.preprocess} {
		for i := range list {
			list[i] = star(list[i])
		}
	}
	return &l
}

// partOf returns the directory that a model belongs to, and the folder within it
// where the model lies if the directory holds several: what they share, such as the
// tokenizer, is not in the folder.
func partOf(dir string) (root, part string) {
	there := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			list, _ := filepath.Glob(filepath.Join(dir, name))
			return len(list) > 0
		})
	}
	parent := filepath.Dir(dir)
	switch _, err := os.Stat(filepath.Join(parent, "tokenizer")); {
	case there(ManifestName):
	case filepath.Base(parent) == "onnx" && there("vision_model*.onnx", "text_model*.onnx") && !there("tokenizer.json", "vocab.*"):
		return filepath.Dir(parent), path.Join("onnx", filepath.Base(dir))
	case err == nil && there("visual*.onnx", "textual*.onnx") && !there("tokenizer*"):
		return parent, filepath.Base(dir)
	}
	return dir, ""
}

// read makes the manifest.
func (f found) read(fsys fs.FS) (Model, error) {
	m := Model{
		Version: manifestVersion, Layout: f.name, Architecture: "clip", Precision: f.precision,
		LogitScale: 100, Image: f.image, Text: f.text, fsys: fsys,
	}
	pictures, texts, err := m.inspect()
	if err != nil {
		return Model{}, err
	}
	var c config
	if err := readJSON(fsys, "config.json", &c); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Model{}, err
	}
	c.describe(&m)
	files := []string{m.Image, m.Text, "config.json"}
	if m.Image != "" {
		if m.Preprocess, err = f.pixels(fsys, c, pictures); err != nil {
			return Model{}, err
		}
		files = append(files, f.preprocess...)
	}
	if m.Text != "" {
		if err := m.setWords(f.words, c, texts); err != nil {
			return Model{}, err
		}
	}
	if m.Tokenizer.Dir != "" {
		for _, name := range tokenizerFiles {
			files = append(files, path.Join(m.Tokenizer.Dir, name))
		}
	}
	beside, err := weightsBeside(fsys, m, pictures, texts)
	if err != nil {
		return Model{}, err
	}
	if m.Files, err = hashFiles(fsys, slices.Concat(files, beside, legalFiles(fsys))); err != nil {
		return Model{}, err
	}
	return m, m.valid()
}

// inspect reads what the graphs say of themselves. Of a graph that may be either
// tower it learns which it is: one, or both.
func (m *Model) inspect() (pictures, texts graph.Graph, err error) {
	read := func(name string) (g graph.Graph) {
		if name == "" || err != nil {
			return g
		}
		if g, err = graph.InspectFS(m.fsys, name); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return g
	}
	pictures = read(m.Image)
	if m.Image != m.Text || m.Image == "" {
		return pictures, read(m.Text), err
	}
	texts = pictures
	_, sees := pictures.Picture()
	_, reads := texts.IDs()
	switch {
	case err != nil:
	case !sees && !reads:
		err = fmt.Errorf("%s: its inputs are %v, neither pictures nor token ids: %w", m.Image, pictures.Inputs, clipsearch.ErrInvalid)
	case !sees:
		m.Image = ""
	case !reads:
		m.Text = ""
	}
	return pictures, texts, err
}

// weightsBeside lists the files that hold weights of the graphs, of whatever name.
func weightsBeside(fsys fs.FS, m Model, pictures, texts graph.Graph) ([]string, error) {
	var names []string
	for _, tower := range []struct {
		file string
		data []string
	}{{m.Image, pictures.ExternalData}, {m.Text, texts.ExternalData}} {
		for _, data := range tower.data {
			name := path.Join(path.Dir(tower.file), filepath.ToSlash(data))
			if tower.file == "" {
				continue
			}
			if !fs.ValidPath(name) || path.IsAbs(data) {
				return nil, fmt.Errorf("%s keeps weights in %q, outside of the model's directory: %w", tower.file, data, clipsearch.ErrInvalid)
			}
			if _, err := fs.Stat(fsys, name); err != nil {
				return nil, fmt.Errorf("%s keeps weights in %s, which is not there: get it too: %w", tower.file, name, clipsearch.ErrInvalid)
			}
			names = append(names, name)
		}
	}
	return names, nil
}
