package hub

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Wish says which files of a repository are wanted.
type Wish struct {
	Precision string   // "fp32", "int8", "fp16" or another suffix of the ONNX files; "fp32" if empty
	Files     []string // globs of the weights to take, in place of what the layout suggests: "onnx/*_fp16.onnx"; "folder/" all below it
}

// Choice is which files of a repository a model consists of.
type Choice struct {
	Layout string   // "manifest", "transformers.js", "visual-textual", "rclip", "joint", "open_clip", "transformers", "sentence-transformers", "chosen"
	Files  []string // sorted
}

// companions are the small files beside weights that say how they are used.
var companions = []string{
	"config.json", "preprocessor_config.json", "processor_config.json", "open_clip_config.json", "preprocess_cfg.json",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "bpe_simple_vocab_16e6.txt.gz",
	"config_sentence_transformers.json", "modules.json", "clipsearch-model.json",
}

// suffixes are how graphs of a precision are called, best first.
var suffixes = map[string][]string{
	"":     {""},
	"fp32": {""},
	"int8": {"_int8", "_quantized", ".int8", "_uint8"},
}

// Choose picks the files that are needed of those that there are: one set of weights,
// ONNX before safetensors and never a pickle, with what belongs to it.
func Choose(names []string, w Wish) (Choice, error) {
	there := make(map[string]bool, len(names))
	for _, n := range names {
		there[n] = true
	}
	switch {
	case len(w.Files) > 0:
		return chooseNamed(names, w.Files)
	case there["clipsearch-model.json"]:
		return ours(names), nil
	}
	tails, known := suffixes[w.Precision]
	if !known {
		tails = []string{"_" + w.Precision}
	}
	for _, tail := range tails {
		for _, find := range []func([]string, map[string]bool, string) Choice{graphs, pairs, sentence, joint} {
			if c := find(names, there, tail); c.Layout != "" {
				return c.with(names), nil
			}
		}
	}
	if w.Precision == "" || w.Precision == "fp32" {
		if c := weights(names, there); c.Layout != "" {
			return c.with(names), nil
		}
	}
	return Choice{}, noModel(names, w)
}

// graphs finds two towers side by side, at the places that the layouts of the wild
// have for them.
func graphs(names []string, there map[string]bool, tail string) Choice {
	for _, l := range []struct{ layout, image, text string }{
		{"transformers.js", "onnx/vision_model", "onnx/text_model"},
		{"visual-textual", "visual/model", "textual/model"},
		{"transformers.js", "vision_model", "text_model"},
	} {
		image, text := l.image+tail+".onnx", l.text+tail+".onnx"
		if there[image] && there[text] {
			return Choice{l.layout, append(graph(names, image), graph(names, text)...)}
		}
	}
	return Choice{}
}

// pairs finds two towers in one folder that is called as the model is, if there is one
// such folder only; of several, --file says which.
func pairs(names []string, there map[string]bool, tail string) (c Choice) {
	for _, n := range names {
		dir, base := path.Split(n)
		for _, l := range []struct{ layout, image, text string }{
			{"rclip", "visual", "textual"}, {"transformers.js", "vision_model", "text_model"},
		} {
			text := dir + l.text + tail + ".onnx"
			if base != l.image+tail+".onnx" || !there[text] {
				continue
			}
			if c.Layout != "" {
				return Choice{}
			}
			c = Choice{l.layout, append(graph(names, n), graph(names, text)...)}
		}
	}
	return c
}

// sentence finds a text tower of Sentence Transformers: an encoder, and a linear layer
// behind it in a folder of its own. A graph beside them is the encoder's alone.
func sentence(names []string, there map[string]bool, tail string) Choice {
	c := Choice{"sentence-transformers", []string{"model.safetensors"}}
	if tail != "" || !there["modules.json"] || !there[c.Files[0]] {
		return Choice{}
	}
	dense := false
	for _, n := range names {
		layer, _ := path.Match("[0-9]_Dense/model.safetensors", n)
		says, _ := path.Match("[0-9]_*/config.json", n)
		if dense = dense || layer; layer || says || n == "sentence_bert_config.json" {
			c.Files = append(c.Files, n)
		}
	}
	if !dense {
		return Choice{}
	}
	return c
}

// joint finds one graph of both towers. A repository that has nothing else but an
// image tower or a language model looks the same; its config.json tells, later.
func joint(names []string, there map[string]bool, tail string) Choice {
	for _, n := range []string{"onnx/model" + tail + ".onnx", "model" + tail + ".onnx"} {
		if there[n] {
			return Choice{"joint", graph(names, n)}
		}
	}
	return Choice{}
}

// graph is a graph's file and those that hold its weights: x.onnx_data, x.onnx_data_1,
// x.onnx.data; in the folders of the visual-textual layout, a file for each tensor.
func graph(names []string, file string) []string {
	files, dir := []string{file}, path.Dir(file)
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, file)
		tensor := path.Dir(n) == dir && (dir == "visual" || dir == "textual") && !strings.Contains(path.Base(n), ".onnx") &&
			!slices.Contains([]string{".armnn", ".rknn", ".md", ".py"}, path.Ext(n)) && !isPickle(n)
		if ok && (strings.HasPrefix(rest, "_data") || strings.HasPrefix(rest, ".data")) || tensor {
			files = append(files, n)
		}
	}
	return files
}

// weights finds safetensors: open_clip's where its configuration is, else
// transformers'; whole, or in shards with their index.
func weights(names []string, there map[string]bool) Choice {
	for _, l := range []struct{ layout, config, stem string }{
		{"open_clip", "open_clip_config.json", "open_clip_model"},
		{"transformers", "config.json", "model"},
		{"open_clip", "open_clip_config.json", "model"},
	} {
		switch {
		case !there[l.config]:
		case there[l.stem+".safetensors"]:
			return Choice{l.layout, []string{l.stem + ".safetensors"}}
		case there[l.stem+".safetensors.index.json"]:
			c := Choice{l.layout, []string{l.stem + ".safetensors.index.json"}}
			for _, n := range names {
				if ok, _ := path.Match(l.stem+"-[0-9]*-of-[0-9]*.safetensors", n); ok {
					c.Files = append(c.Files, n)
				}
			}
			return c
		}
	}
	return Choice{}
}

// ours is a model that clipsearch itself has written: all of it but pickles.
func ours(names []string) Choice {
	c := Choice{Layout: "manifest"}
	for _, n := range names {
		if !isPickle(n) && !strings.HasPrefix(path.Base(n), ".git") {
			c.Files = append(c.Files, n)
		}
	}
	slices.Sort(c.Files)
	return c
}

// chooseNamed takes the files that match globs, and what belongs to them.
func chooseNamed(names, globs []string) (Choice, error) {
	c := Choice{Layout: "chosen"}
	for _, g := range globs {
		var found bool
		for _, n := range names {
			ok, err := path.Match(g, n)
			if err != nil {
				return Choice{}, fmt.Errorf("--file %q is no pattern of file names: %w", g, clipsearch.ErrInvalid)
			}
			if !ok && (!strings.HasSuffix(g, "/") || !strings.HasPrefix(n, g)) {
				continue
			}
			if isPickle(n) {
				return Choice{}, fmt.Errorf("%s is a pickle, which can run code when it is opened: nothing here opens it: choose ONNX or safetensors: %w", n, clipsearch.ErrInvalid)
			}
			found = true
			if path.Ext(n) == ".onnx" {
				c.Files = append(c.Files, graph(names, n)...)
			} else {
				c.Files = append(c.Files, n)
			}
		}
		if !found {
			return Choice{}, fmt.Errorf("no file matches --file %q; there are %s: %w", g, some(names), clipsearch.ErrInvalid)
		}
	}
	return c.with(names), nil
}

// with adds the companions: those at the top, and those in the folders of the weights
// and of the tokenizer.
func (c Choice) with(names []string) Choice {
	folders := map[string]bool{".": true, "tokenizer": true}
	for _, f := range c.Files {
		for dir := path.Dir(f); dir != "."; dir = path.Dir(dir) {
			folders[dir], folders[path.Join(dir, "tokenizer")], folders[path.Base(dir)] = true, true, true
		}
	}
	for _, n := range names {
		switch base := path.Base(n); {
		case c.Layout == "transformers" && base == "open_clip_config.json": // describes weights that are called otherwise
		case folders[path.Dir(n)] && (slices.Contains(companions, base) || path.Dir(n) == "." && isProse(n)),
			c.Layout == "open_clip" && base == "config.json": // of the text tower, wherever that is
			c.Files = append(c.Files, n)
		}
	}
	slices.Sort(c.Files)
	c.Files = slices.Compact(c.Files)
	return c
}

func isPickle(name string) bool {
	return slices.Contains([]string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}, path.Ext(name))
}

// isProse reports whether a file is the licence or the card.
func isProse(name string) bool {
	base := strings.ToUpper(path.Base(name))
	return base == "README.MD" || strings.HasPrefix(base, "LICENSE") || strings.HasPrefix(base, "LICENCE") || strings.HasPrefix(base, "NOTICE")
}

// noModel says why nothing could be chosen, and what to do.
func noModel(names []string, w Wish) error {
	var pickles, foreign, onnx []string
	for _, n := range names {
		switch {
		case isPickle(n):
			pickles = append(pickles, n)
		case slices.Contains([]string{".h5", ".msgpack", ".mlmodel", ".mlpackage", ".gguf", ".tflite"}, path.Ext(n)):
			foreign = append(foreign, n)
		case path.Ext(n) == ".onnx":
			onnx = append(onnx, n)
		}
	}
	switch {
	case w.Precision != "" && w.Precision != "fp32":
		return fmt.Errorf("there are no %s files of both towers: leave --precision out, or name files with --file (there are %s): %w", w.Precision, some(onnx), clipsearch.ErrInvalid)
	case len(onnx) > 0:
		return fmt.Errorf("its ONNX files are not in a layout known here: name those of both towers with --file (there are %s): %w", some(onnx), clipsearch.ErrInvalid)
	case len(pickles) > 0:
		return fmt.Errorf("its weights are pickles only (%s), which can run code when they are opened, so they are not: take a repository with safetensors or ONNX (`clipsearch model list` knows some, REPO@refs/pr/N may hold the hub's own conversion), "+
			"or convert it where you trust it, with `%s` in its folder, which `clipsearch model import` then reads (a text tower alone with the model whose pictures it is for: IMAGE-MODEL --text FOLDER): %w", some(pickles), conversion(pickles), clipsearch.ErrInvalid)
	case len(foreign) > 0:
		return fmt.Errorf("its weights are for other programs only (%s): take a repository with safetensors or ONNX: %w", some(foreign), clipsearch.ErrInvalid)
	}
	return fmt.Errorf("it holds no model (there are %s): %w", some(names), clipsearch.ErrInvalid)
}

// conversion is the command that makes safetensors of a pickle. No name from the hub
// goes into it but PyTorch's usual one.
func conversion(pickles []string) string {
	const usual = "pytorch_model.bin"
	file := "FILE"
	if slices.Contains(pickles, usual) {
		file = usual
	}
	return fmt.Sprintf(`python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone().contiguous() for k, v in torch.load('%s', weights_only=True).items()}, 'model.safetensors')"`, file)
}

// some is a few names, for a message.
func some(names []string) string {
	if len(names) == 0 {
		return "no files"
	}
	const most = 4
	s := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		s += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return s
}
