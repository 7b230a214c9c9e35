package trainer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// CardName is the file in a model's directory that describes it.
const CardName = "MODEL_CARD.md"

// export writes the model with the weights that are the best: a checkpoint of a known
// architecture in the layout that it was read in, which Python loads too, with our
// manifest; else ONNX graphs.
func (t *Training) export(ctx context.Context, dir string, r Record) error {
	net := t.learner.net
	m := net.models[engine.Image]
	graphs := net.made || !built(m)
	if graphs && r.Config.Run.Precision != "int8" {
		return t.exportGraphs(dir, r)
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), partPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if graphs {
		if err := t.exportGraphs(part, r); err != nil {
			return err
		}
		return t.quantize(ctx, part, dir)
	}
	if err := m.WriteCheckpoint(part, t.learner.values()); err != nil {
		return err
	}
	out, err := clip.ReadModel(part, r.Config.Run.Precision)
	if err != nil {
		return err
	}
	out.Name, out.Licence, out.CutTexts = t.name(r), cmp.Or(out.Licence, m.Licence), t.learner.words.cuts
	if err := t.addCard(&out, part, r); err != nil {
		return err
	}
	return out.WriteModel(dir)
}

// exportGraphs writes the model as float32 graphs.
func (t *Training) exportGraphs(dir string, r Record) error {
	if t.learner.net.made {
		return t.exportParts(dir, r)
	}
	m := t.learner.net.models[engine.Image]
	m.Name, m.Files = t.name(r), withoutCard(m.Files)
	if err := t.addCard(&m, dir, r); err != nil { // first: the manifest lists what lies there
		return err
	}
	m.Files = withoutCard(m.Files) // which are those to copy
	_, err := m.WriteTrained(dir, t.learner.values())
	return err
}

// calibrating is how many training pictures show which ranges convolutions meet.
const calibrating = 100

// quantize writes the model that lies in part into dir, in int8.
func (t *Training) quantize(ctx context.Context, part, dir string) error {
	m, err := clip.ReadModel(part, "fp32")
	if err != nil {
		return err
	}
	if t.setup.Quantize == nil {
		return invalid("run.precision int8: nothing here makes int8 of graphs")
	}
	var shown []image.Image
	for i := range t.train.Items {
		if len(shown) == calibrating || ctx.Err() != nil {
			break
		}
		at := i * max(1, len(t.train.Items)/calibrating) % len(t.train.Items) // from all of the set
		file, err := t.train.Items[at].Read()
		if err != nil {
			continue // it was told of before
		}
		if img, err := t.setup.Decode(file); err == nil {
			shown = append(shown, img)
		}
	}
	return errors.Join(ctx.Err(), t.setup.Quantize(m, dir, shown))
}

// exportParts writes a model that was put together from towers and heads.
func (t *Training) exportParts(dir string, r Record) error {
	net, numbers := t.learner.net, t.learner.numbers()
	image, text := net.models[engine.Image], net.models[engine.Text]
	about := image
	about.Name, about.Architecture = t.name(r), image.Architecture+"+"+text.Architecture
	about.LogitScale, about.ContextLength, about.Tokenizer, about.CutTexts = t.learner.LogitScale(), text.ContextLength, text.Tokenizer, t.learner.words.cuts
	about.LogitBias = 0
	if r.Config.Loss.Kind == engine.SigLIP {
		about.LogitBias = float64(numbers[engine.LogitBias][0])
	}
	words, err := fs.Sub(text.FS(), cmp.Or(text.Tokenizer.Dir, "."))
	if err != nil {
		return err
	}
	p := clip.Parts{
		Image: filled(net.whole[engine.Image], numbers), ImageFiles: net.files[engine.Image],
		Text: filled(net.whole[engine.Text], numbers), TextFiles: net.files[engine.Text], Words: words, Beside: map[string][]byte{},
	}
	if t.setup.Card != nil && r.Config.Run.Report {
		p.Beside[CardName] = []byte(t.setup.Card(r))
	}
	_, err = clip.NewModel(dir, about, p)
	return err
}

// addCard puts the model's card among its files, so that it goes wherever they go.
func (t *Training) addCard(m *clip.Model, dir string, r Record) error {
	if t.setup.Card == nil || !r.Config.Run.Report {
		return nil
	}
	text := []byte(t.setup.Card(r))
	m.Files = append(withoutCard(m.Files), fileOf(CardName, text))
	return os.WriteFile(filepath.Join(dir, CardName), text, 0o644)
}

// built reports whether the model is a checkpoint, or a pair of them.
func built(m clip.Model) bool {
	for _, side := range sides {
		if !m.Side(side).Built() {
			return false
		}
	}
	return true
}

// name is what the model is called.
func (t *Training) name(r Record) string { return cmp.Or(r.Config.Name, r.Name) }

// withoutCard leaves out the card of the model that was trained on.
func withoutCard(files []clip.File) []clip.File {
	return slices.DeleteFunc(slices.Clone(files), func(f clip.File) bool { return f.Name == CardName })
}

// numbers are the weights that are exported, by the names that the engine has for them.
func (l *learner) numbers() map[string][]float32 {
	all := map[string][]float32{}
	for _, w := range l.Weights() {
		all[strings.TrimPrefix(w.Name, "w/")] = w.Data
	}
	return all
}

// values are they by the tower's side and the name that they have there.
func (l *learner) values() clip.Values {
	all := l.numbers()
	return func(side clip.Side, name string) []float32 {
		switch {
		case name == clip.LogitScale && side == clip.ImageSide:
			return all[engine.LogitScale]
		case name == clip.LogitBias && side == clip.ImageSide:
			if l.config.Loss.Kind != engine.SigLIP {
				return nil
			}
			return all[engine.LogitBias]
		}
		return all[prefix(side)+name]
	}
}

// fileOf describes a file that is written beside a model.
func fileOf(name string, content []byte) clip.File {
	sum := sha256.Sum256(content)
	return clip.File{Name: name, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}
