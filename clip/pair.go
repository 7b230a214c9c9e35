package clip

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// pairLayout and pairVersion are what the manifest of a pair says. Programs that know
// single models only refuse the version.
const (
	pairLayout  = "pair"
	pairVersion = 2
)

// halves are the two models that a paired one consists of: one's image tower, and the
// text tower that was made for it, with nothing that only the other tower needs.
type halves struct{ image, text Model }

// Pair returns a model with the image tower, the preparation of pixels and the logit
// scale of one model, and the text tower and the tokenizer of another, which was made
// for it: Multilingual-CLIP's for OpenAI's models, or the other half of a model in two
// repositories. Neither is changed: each side goes on to be built, and run, as its own
// model says.
func Pair(image, text Model) (Model, error) {
	image, text = image.Side(ImageSide), text.Side(TextSide)
	switch {
	case image.Image == "":
		return Model{}, fmt.Errorf("model %s has no image tower to be paired with a text tower: %w", image.Name, clipsearch.ErrInvalid)
	case text.Text == "":
		return Model{}, fmt.Errorf("model %s has no text tower to be paired with an image tower: %w", text.Name, clipsearch.ErrInvalid)
	case image.Dim > 0 && text.Dim > 0 && image.Dim != text.Dim:
		return Model{}, Mismatch(image, text, image.Dim, text.Dim)
	}
	return newPair(image.only(ImageSide), text.only(TextSide)), nil
}

// Mismatch is the error of towers whose vectors have different lengths.
func Mismatch(image, text Model, imageDim, textDim int) error {
	return fmt.Errorf("the image tower of %s gives vectors of %d numbers and the text tower of %s of %d: it was made for another model, which its card names: %w",
		image.Name, imageDim, text.Name, textDim, clipsearch.ErrInvalid)
}

// newPair describes a pair as if it were one model: files are below image and text.
// Its dimension is known where both are.
func newPair(image, text Model) Model {
	m := Model{
		Version: pairVersion, Layout: pairLayout, Name: lastName(image.Name) + "+" + lastName(text.Name),
		Architecture: image.Architecture + "+" + text.Architecture, Licence: bothLicences(image.Licence, text.Licence),
		Dim: min(image.Dim, text.Dim), ContextLength: text.ContextLength, LogitScale: image.LogitScale, LogitBias: image.LogitBias,
		Precision: image.Precision, Preprocess: image.Preprocess, Tokenizer: text.Tokenizer, CutTexts: text.CutTexts,
		Image: path.Join(string(ImageSide), image.Image), Text: path.Join(string(TextSide), text.Text),
		fsys: pairFS{image.fsys, text.fsys}, halves: &halves{image, text},
	}
	if text.Precision != image.Precision {
		m.Precision = "int8" // in one of the towers
	}
	if text.Tokenizer.Dir != "" {
		m.Tokenizer.Dir = path.Join(string(TextSide), text.Tokenizer.Dir)
	}
	for _, s := range bothSides {
		for _, f := range m.own(s).Files {
			f.Name = path.Join(string(s), f.Name)
			m.Files = append(m.Files, f)
		}
	}
	return m
}

// lastName is what a model is called without whose it is, and at which revision.
func lastName(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return path.Base(name)
}

var bothSides = []Side{ImageSide, TextSide}

func bothLicences(image, text string) string {
	if image == text {
		return image
	}
	return fmt.Sprintf("%s (image tower), %s (text tower)", cmp.Or(image, "not told"), cmp.Or(text, "not told"))
}

// Paired reports whether the towers come from two models.
func (m Model) Paired() bool { return m.halves != nil }

// own is the model of a side of a pair, as it was read.
func (m Model) own(s Side) Model {
	if s == ImageSide {
		return m.halves.image
	}
	return m.halves.text
}

// Side returns the model that a tower is of: m itself, or one of a pair, with what m
// says of pictures and words.
func (m Model) Side(s Side) Model {
	if m.halves == nil {
		return m
	}
	o := m.own(s)
	o.Dim = cmp.Or(m.Dim, o.Dim)
	if s == ImageSide {
		o.Preprocess, o.LogitScale, o.LogitBias = m.Preprocess, m.LogitScale, m.LogitBias
		return o
	}
	dir := o.Tokenizer.Dir
	o.ContextLength, o.Tokenizer, o.CutTexts = m.ContextLength, m.Tokenizer, m.CutTexts
	o.Tokenizer.Dir = dir
	return o
}

// only leaves out of a model what its other tower alone needs, where that lies in
// files of its own.
func (m Model) only(s Side) Model {
	other, kept := m.Text, m.Image
	if s == TextSide {
		other, kept = m.Image, m.Text
	}
	words := wordFiles(m.Tokenizer.Dir)
	m.Files = slices.Clone(m.Files)
	m.Files = slices.DeleteFunc(m.Files, func(f File) bool {
		return s == ImageSide && slices.Contains(words, f.Name) || !m.Built() && belongs(f.Name, other, kept)
	})
	m.ExactInt8 = slices.DeleteFunc(slices.Clone(m.ExactInt8), func(name string) bool { return name != kept })
	if s == ImageSide {
		m.Text, m.Tokenizer, m.ContextLength, m.CutTexts = "", Words{}, 0, false
	} else {
		m.Image, m.Preprocess = "", Preprocess{}
	}
	return m
}

// belongs reports whether a file is the graph other or lies with it, and not with kept.
func belongs(name, other, kept string) bool {
	if other == "" || other == kept || isProse(name) {
		return false
	}
	if dir := path.Dir(other); dir != path.Dir(kept) && dir != "." {
		return strings.HasPrefix(name, dir+"/")
	}
	return strings.HasPrefix(name, other)
}

// space is the digest of a pair: of both sides' own.
func (m Model) pairSpace() clipsearch.Space {
	image, text := m.Side(ImageSide).Space(), m.Side(TextSide).Space()
	return sha256.Sum256(slices.Concat([]byte("clipsearch pair\n"), image[:], text[:]))
}

// pairManifest is all that the manifest of a pair says: the rest is said by those in
// the folders that it names.
type pairManifest struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Layout  string `json:"layout"`
	Image   string `json:"image"` // always "image"
	Text    string `json:"text"`  // always "text"
}

// readPair reads the two models of a pair. Each has a manifest of its own, and is
// itself no pair.
func readPair(fsys fs.FS, p Model, precision string) (Model, error) {
	if p.Layout != pairLayout || p.Image != string(ImageSide) || p.Text != string(TextSide) {
		return Model{}, fmt.Errorf("%s: version %d is that of pairs, in the folders image and text, not of a model in %.100q and %.100q: %w", ManifestName, p.Version, p.Image, p.Text, clipsearch.ErrInvalid)
	}
	var both [2]Model
	for i, s := range bothSides {
		sub, err := fs.Sub(fsys, string(s))
		if err != nil {
			return Model{}, err
		}
		m, err := readManifest(sub)
		switch {
		case err == nil && m.Version == pairVersion:
			err = fmt.Errorf("%s: it is a pair again: %w", ManifestName, clipsearch.ErrInvalid)
		case err == nil:
			m, err = m.inPrecision(precision)
		case isMissing(err):
			err = fmt.Errorf("%s is missing: %w", ManifestName, clipsearch.ErrInvalid)
		}
		if err != nil {
			return Model{}, fmt.Errorf("the folder %s: %w", s, err)
		}
		both[i] = m
	}
	m, err := Pair(both[0], both[1])
	if p.Name != "" {
		m.Name = p.Name
	}
	m.fsys = fsys
	return m, err
}

// at says where on disk the model lies.
func (m *Model) at(dir string) {
	m.dir = dir
	if m.halves != nil {
		p := *m.halves
		p.image.dir, p.text.dir = filepath.Join(dir, string(ImageSide)), filepath.Join(dir, string(TextSide))
		m.halves = &p
	}
}

// pairPath is Path for a pair whose models lie in different places.
func (m Model) pairPath(name string) string {
	side, rest, _ := strings.Cut(name, "/")
	if s := Side(side); slices.Contains(bothSides, s) && rest != "" {
		return m.own(s).Path(rest)
	}
	return ""
}

// writePair is WriteModel for a pair.
func (m Model) writePair(dir string) error {
	for _, s := range bothSides {
		to := filepath.Join(dir, string(s))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := m.Side(s).WriteModel(to); err != nil {
			return err
		}
	}
	return SealPair(dir, m.Name)
}

// SealPair makes a pair of the two models that lie in the folders image and text of
// dir: it writes the manifest that says so.
func SealPair(dir, name string) error {
	data, err := json.MarshalIndent(pairManifest{pairVersion, name, pairLayout, string(ImageSide), string(TextSide)}, "", " ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, ManifestName), bytes.NewReader(append(data, '\n')))
}

// pairFS has the files of two models in the folders image and text.
type pairFS struct{ image, text fs.FS }

func (p pairFS) Open(name string) (fs.File, error) {
	side, rest, below := strings.Cut(name, "/")
	if !below {
		rest = "."
	}
	switch {
	case !fs.ValidPath(name):
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	case side == string(ImageSide):
		return p.image.Open(rest)
	case side == string(TextSide):
		return p.text.Open(rest)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
