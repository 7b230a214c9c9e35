package trainer

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/vocab"
)

// cutWords leaves out of the text backbone the pieces of words that nothing needs: not
// the captions, not the prompts, not the texts of the Words file. Single letters stay,
// so that a word of a kept script is never unknown.
func (c *composition) cutWords(dir string) (err error) {
	m := c.text.model
	if c.text.words, err = fs.Sub(m.FS(), m.Tokenizer.Dir); err != nil || c.Words == "" {
		return err
	}
	file, err := fs.ReadFile(c.text.words, "tokenizer.json")
	if err != nil {
		return invalid("a vocabulary is cut of a tokenizer.json: %v", err)
	}
	used, err := c.piecesUsed()
	if err != nil {
		return err
	}
	cut, rows, err := vocab.Cut(file, func(id int, piece string) bool { return used[id] || isLatinLetter(piece) })
	if err != nil {
		return err
	}
	if err := c.cutTable(rows); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), cut, 0o644); err != nil {
		return err
	}
	c.setup.note("the vocabulary has %d pieces", len(rows))
	c.text.words = os.DirFS(dir)
	return nil
}

// isLatinLetter reports whether a piece is one printable character of ASCII or Latin-1,
// within a word or at its beginning.
func isLatinLetter(piece string) bool {
	if len(piece) > 2 && piece[:2] == "##" {
		piece = piece[2:]
	}
	r := []rune(piece)
	return len(r) == 1 && r[0] > ' ' && r[0] < 0x250
}

// piecesUsed tells which ids the texts at hand are cut into.
func (c *composition) piecesUsed() (map[int]bool, error) {
	m := c.text.model
	tokens, err := clip.OpenTokenizer(c.text.words, clip.TokenizerOptions{Clean: m.Tokenizer.Clean, ContextLength: 1024})
	if err != nil {
		return nil, err
	}
	used := map[int]bool{}
	see := func(text string) {
		for _, id := range tokens.Encode(text) {
			used[int(id)] = true
		}
	}
	for _, it := range c.train.Items {
		for _, text := range it.Captions {
			see(text)
		}
	}
	if name := c.setup.Config.Prompts.File; name != "" {
		all, err := data.ReadPrompts(name)
		if err != nil {
			return nil, err
		}
		for _, text := range all.Texts() {
			see(text)
		}
	}
	return used, eachLine(c.Words, see)
}

func eachLine(name string, f func(string)) error {
	file, err := os.Open(name)
	if err != nil {
		return invalid("%v", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// cutTable keeps those rows of the text backbone's table of pieces.
func (c *composition) cutTable(rows []int) error {
	i := slices.IndexFunc(c.text.graph.Initializers, func(t *onnx.Tensor) bool {
		return t.Type == onnx.Float && len(t.Dims) == 2 && t.Dims[0] > int64(slices.Max(rows)) && looksUp(c.text.graph, t.Name)
	})
	if i < 0 {
		return invalid("the text backbone has no table of %d pieces", slices.Max(rows)+1)
	}
	old := c.text.graph.Initializers[i]
	raw := old.Raw
	if old.External != nil {
		var err error
		if raw, err = engine.ReadExternal(old.External, c.text.files); err != nil {
			return fmt.Errorf("table %s: %w", old.Name, err)
		}
	}
	row := int(old.Dims[1]) * 4
	if len(raw) != row*int(old.Dims[0]) {
		return invalid("table %s has %d bytes", old.Name, len(raw))
	}
	own := onnx.Tensor{Name: old.Name, Type: onnx.Float, Dims: []int64{int64(len(rows)), old.Dims[1]}}
	for _, r := range rows {
		own.Raw = append(own.Raw, raw[r*row:][:row]...)
	}
	graph := *c.text.graph
	graph.Initializers = slices.Clone(graph.Initializers)
	graph.Initializers[i] = &own
	c.text.graph = &graph
	return nil
}

// looksUp reports whether a graph looks rows up in a table.
func looksUp(m *onnx.Model, table string) bool {
	return slices.ContainsFunc(m.Nodes, func(n *onnx.Node) bool { return n.Op == "Gather" && n.Inputs[0] == table })
}
