package trainer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	m := t.learner.net.model
	if !built(m) {
		m.Name = t.name(r)
		_, err := m.WriteTrained(dir, t.learner.values())
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), partPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := m.WriteCheckpoint(part, t.learner.values()); err != nil {
		return err
	}
	out, err := clip.ReadModel(part, t.setup.Config.Run.Precision)
	if err != nil {
		return err
	}
	out.Name, out.Licence, out.CutTexts = t.name(r), cmp.Or(out.Licence, m.Licence), t.learner.words.cuts
	if err := t.addCard(&out, part, r); err != nil {
		return err
	}
	return out.WriteModel(dir)
}

// addCard puts the model's card among its files, so that it goes wherever they go.
func (t *Training) addCard(m *clip.Model, dir string, r Record) error {
	if t.setup.Card == nil || !r.Config.Run.Report {
		return nil
	}
	text := []byte(t.setup.Card(r))
	m.Files = slices.DeleteFunc(m.Files, func(f clip.File) bool { return f.Name == CardName })
	m.Files = append(m.Files, fileOf(CardName, text))
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

// values gives the numbers of the weights that are exported, by the tower's side and
// the name that they have there.
func (l *learner) values() clip.Values {
	all := map[string][]float32{}
	for _, w := range l.Weights() {
		all[strings.TrimPrefix(w.Name, "w/")] = w.Data
	}
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
