package clip

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// ManifestName is the file that makes a directory a model of ours.
const ManifestName = "clipsearch-model.json"

// manifestVersion is the newest manifest of one model that this program reads.
const manifestVersion = 1

// Model is the manifest of a model directory: all that decides its vectors, but
// for the names, types and shapes of the graphs' ports, which are read from the
// graphs themselves.
type Model struct {
	Version       int        `json:"version"`
	Name          string     `json:"name"` // with its version: "clipsearch-lite-1"
	Layout        string     `json:"layout"`
	Architecture  string     `json:"architecture"`
	Dim           int        `json:"dim"` // of an embedding; 0: as the graph says
	ContextLength int        `json:"context_length"`
	LogitScale    float64    `json:"logit_scale"` // factor on a cosine, not its logarithm
	LogitBias     float64    `json:"logit_bias"`
	Licence       string     `json:"licence"`
	Precision     string     `json:"precision"` // "fp32" or "int8"
	Preprocess    Preprocess `json:"preprocess"`
	Image         string     `json:"image"` // the image tower's file; empty: none
	Text          string     `json:"text"`  // the text tower's file; empty: none; the image tower's: one graph has both
	Tokenizer     Words      `json:"tokenizer"`
	// Build names the rules by which the graphs are made of Weights, which Image and
	// Text then name as well; empty: they are ONNX files.
	Build   string `json:"build,omitempty"`
	Weights string `json:"weights,omitempty"`
	Files   []File `json:"files"` // all that the model consists of
	// ExactInt8 names the int8 graphs whose products fit 16 bits in pairs, so that
	// none saturates and the slower exact kernels are not needed.
	ExactInt8 []string `json:"exact_int8,omitempty"`
	// CutTexts says that texts were seen to have the same vectors without the padding
	// up to PadTo, so that they may be as long as the longest of a batch.
	CutTexts bool `json:"cut_texts,omitempty"`

	fsys   fs.FS
	dir    string   // on disk, or ""
	extra  []string // files that a layout has beside the usual ones
	kind   string   // of its tokenizer, when a layout has opened it
	halves *halves  // nil: it is one model
}

// Words says how a text becomes the text tower's input.
type Words struct {
	Dir   string `json:"dir"`   // of tokenizer.json and its like; empty: the model has none
	Clean string `json:"clean"` // as TokenizerOptions have it
	Pad   int64  `json:"pad"`   // the id that fills up
	PadTo int    `json:"pad_to"`
	// PadTo is the length of every text with its padding; 0: texts stay as
	// long as they are, and no longer than the longest of their batch.
	Prefix string `json:"prefix,omitempty"` // before every text: NLLB's name of a language
	NoEnd  bool   `json:"no_end,omitempty"` // the end token is left out, as CLIPA has it
}

// File is one file of a model.
type File struct {
	Name   string `json:"name"` // relative to the directory, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ReadModel reads the model in dir: its manifest, or else one of the layouts
// found in the wild (see layout.go). Its files are hashed: what a model's vectors
// are called depends on it. precision is
// "fp32" or "int8", or "" for what the directory has, fp32 first.
func ReadModel(dir, precision string) (Model, error) {
	m, err := ReadCopy(dir, precision)
	if err != nil {
		return m, err
	}
	if wrong := m.Verify(); len(wrong) > 0 {
		return Model{}, fmt.Errorf("model %s is not what its manifest says: %s: get it again: %w", dir, wrong[0], clipsearch.ErrInvalid)
	}
	return m, nil
}

// ReadCopy is ReadModel without a look at the bytes of files that a manifest
// lists: for the copy in an index, which the index's own check proves.
func ReadCopy(dir, precision string) (Model, error) {
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return Model{}, fmt.Errorf("model %s: no such directory: %w", dir, clipsearch.ErrInvalid)
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	root, part := partOf(dir)
	m, err := readModel(os.DirFS(root), precision, part)
	if err != nil {
		return Model{}, fmt.Errorf("model %s: %w", dir, err)
	}
	if m.Name == "" {
		m.Name = filepath.Base(root)
		if part != "" {
			m.Name += "-" + path.Base(part)
		}
	}
	m.at(root)
	return m, nil
}

// ReadModelFS is ReadModel for a file system, such as an embedded one.
func ReadModelFS(fsys fs.FS, precision string) (Model, error) { return readModel(fsys, precision, "") }

// readModel reads the model in fsys or, of several, the one in the folder part.
func readModel(fsys fs.FS, precision, part string) (Model, error) {
	m, err := readManifest(fsys)
	switch {
	case isMissing(err) || part != "":
		return readLayout(fsys, precision, part)
	case err != nil:
		return Model{}, err
	case m.Version == pairVersion:
		return readPair(fsys, m, precision)
	}
	return m.inPrecision(precision)
}

// readManifest reads what a directory says of itself. Of a pair only that it is one
// has been looked at.
func readManifest(fsys fs.FS) (Model, error) {
	data, err := readFile(fsys, ManifestName, maxConfigFile)
	if err != nil {
		return Model{}, err
	}
	var m Model
	if err := json.Unmarshal(data, &m); err != nil {
		return Model{}, fmt.Errorf("%s: %v: %w", ManifestName, err, clipsearch.ErrInvalid)
	}
	m.fsys = fsys
	if m.Version == pairVersion {
		return m, nil
	}
	if err := m.valid(); err != nil {
		return Model{}, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return m, nil
}

// inPrecision is the model in the precision that is asked for; "": in its own.
func (m Model) inPrecision(precision string) (Model, error) {
	if precision != "" && m.Built() {
		m.Precision = precision // either is made of the same weights
	}
	if precision != "" && precision != m.Precision {
		return Model{}, fmt.Errorf("there is no %s of %s, only %s: %w", precision, m.Name, m.Precision, clipsearch.ErrInvalid)
	}
	return m, nil
}

func (m Model) valid() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
	}
	switch {
	case m.Version < 1 || m.Version > manifestVersion:
		return invalid("version %d is not between 1 and %d: a newer program wrote it", m.Version, pairVersion)
	case !m.Runs():
		return invalid("no tower is named")
	case m.Built() && m.Weights == "":
		return invalid("no weights are named")
	case m.Image != "" && (m.Preprocess.Size < 1 || m.Preprocess.Size > maxSide || m.Preprocess.Edge != 0 && m.Preprocess.Edge < m.Preprocess.Size || m.Preprocess.Edge > maxSide):
		return invalid("pictures of %d pixels, cut from %d", m.Preprocess.Size, m.Preprocess.Edge)
	case len(m.Files) > maxFiles || m.Dim < 0 || m.Dim > maxDim:
		return invalid("%d files, and embeddings of %d numbers", len(m.Files), m.Dim)
	case m.Tokenizer.Dir != "" && !fs.ValidPath(m.Tokenizer.Dir):
		return invalid("%.100q is no folder below the model's directory", m.Tokenizer.Dir)
	case m.ContextLength < 0 || m.ContextLength > 1<<16 || m.Tokenizer.PadTo < 0 || m.Tokenizer.PadTo > 1<<16:
		return invalid("texts of %d ids, padded to %d", m.ContextLength, m.Tokenizer.PadTo)
	}
	for _, f := range append([]File{{Name: cmp.Or(m.Image, m.Text)}, {Name: cmp.Or(m.Text, m.Image)}, {Name: cmp.Or(m.Weights, m.Image, m.Text)}}, m.Files...) {
		if !fs.ValidPath(f.Name) {
			return invalid("%.100q is no file below the model's directory", f.Name)
		}
	}
	if m.Image == "" {
		return nil
	}
	return m.Preprocess.known()
}

// Bounds of what a manifest may say.
const (
	maxSide  = 4096 // pixels of a side of what a model sees
	maxFiles = 4096
	maxDim   = 1 << 16
)

// FS returns the directory of the model.
func (m Model) FS() fs.FS { return m.fsys }

// Path returns where a file of the model lies on disk, or "" if it does not
// (the embedded model).
func (m Model) Path(name string) string {
	if m.dir == "" && m.halves != nil {
		return m.pairPath(name)
	}
	if m.dir == "" {
		return ""
	}
	return filepath.Join(m.dir, filepath.FromSlash(name))
}

// Space returns the digest of whatever decides the model's vectors: the bytes
// of its files, the precision, the preprocessing and the treatment of words.
// Its name and licence do not.
func (m Model) Space() clipsearch.Space {
	if m.Layout == vectorsLayout && !m.Runs() {
		return namedSpace(m.Name, m.Dim)
	}
	if m.halves != nil {
		return m.pairSpace()
	}
	sums := make(map[string]string, len(m.Files))
	for _, f := range m.Files {
		if !isProse(f.Name) {
			sums[f.Name] = f.SHA256
		}
	}
	b, err := json.Marshal(struct {
		Version    int
		Sums       map[string]string // json sorts the keys
		Image      string
		Text       string
		Precision  string
		Preprocess Preprocess
		Words      Words
		Context    int
		Build      string `json:",omitempty"`
	}{1, sums, m.Image, m.Text, m.Precision, m.Preprocess, m.Tokenizer, m.ContextLength, m.Build})
	if err != nil {
		panic(fmt.Sprintf("clip: space of %s: %v", m.Name, err)) // numbers and strings only
	}
	return sha256.Sum256(b)
}

// isProse reports whether a file is for people to read: a licence, a notice, a
// card. A comma in one of them must not make another space.
func isProse(name string) bool {
	base := path.Base(name)
	return path.Ext(base) == ".md" || slices.ContainsFunc(legal, func(s string) bool { return strings.HasPrefix(base, s) })
}

// legal is how files begin that a licence may ask to be passed on.
var legal = []string{"LICENSE", "LICENCE", "NOTICE"}

// legalFiles lists them.
func legalFiles(fsys fs.FS) (list []string) {
	for _, s := range legal {
		names, _ := fs.Glob(fsys, s+"*")
		for _, name := range names {
			if st, err := fs.Stat(fsys, name); err == nil && st.Mode().IsRegular() && st.Size() <= maxConfigFile {
				list = append(list, name)
			}
		}
	}
	return list
}

// OpenTokenizer opens the model's tokenizer.
func (m Model) OpenTokenizer() (*Tokenizer, error) {
	if m.Tokenizer.Dir == "" {
		return nil, fmt.Errorf("model %s has no tokenizer, so it reads no words: put the tokenizer.json (or vocab.json and merges.txt) of its family beside its files, or give token ids with `clipsearch embed text --ids`: %w", m.Name, clipsearch.ErrInvalid)
	}
	sub, err := fs.Sub(m.fsys, m.Tokenizer.Dir)
	if err != nil {
		return nil, err
	}
	return OpenTokenizer(sub, TokenizerOptions{Clean: m.Tokenizer.Clean, ContextLength: m.ContextLength, Prefix: m.Tokenizer.Prefix, NoEnd: m.Tokenizer.NoEnd})
}

// WriteModel copies the model's files into dir, which must be empty or absent,
// and writes the manifest last. Every copy is compared with its SHA-256.
// A pair becomes two folders with one each, and a manifest that names them.
func (m Model) WriteModel(dir string) error {
	if m.halves != nil {
		return m.writePair(dir)
	}
	for _, f := range m.Files {
		if err := m.copyFile(dir, f); err != nil {
			return fmt.Errorf("copy %s of model %s: %w", f.Name, m.Name, err)
		}
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, ManifestName), bytes.NewReader(append(data, '\n')))
}

func (m Model) copyFile(dir string, f File) error {
	src, err := m.fsys.Open(f.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	to := filepath.Join(dir, filepath.FromSlash(f.Name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	sum := sha256.New()
	if err := writeSynced(to, io.TeeReader(src, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, not %s: the file has changed", got, f.SHA256)
	}
	return nil
}

func writeSynced(name string, r io.Reader) error {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close())
}

// Verify returns one line for each file of the model that is missing or not
// what the manifest says.
func (m Model) Verify() []string {
	var wrong []string
	for _, f := range m.Files {
		got, err := hashFile(m.fsys, f.Name)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", f.Name, err))
		case got.SHA256 != f.SHA256:
			wrong = append(wrong, fmt.Sprintf("%s: SHA-256 %s, not %s", f.Name, got.SHA256, f.SHA256))
		}
	}
	return wrong
}

func hashFile(fsys fs.FS, name string) (File, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return File{}, err
	}
	return File{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// hashFiles hashes those of names that exist, each once, in the order of names.
func hashFiles(fsys fs.FS, names []string) ([]File, error) {
	var files []File
	for i, name := range names {
		if name = path.Clean(name); name == "." || slices.Contains(names[:i], name) {
			continue
		}
		f, err := hashFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
