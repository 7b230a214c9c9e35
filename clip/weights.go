package clip

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Weights are the tensors of a model, as safetensors files hold them. Opening
// reads the headers only; a tensor is read when it is asked for. Its methods may
// be called from several goroutines.
//
// The format is huggingface/safetensors': eight bytes with the length of a header,
// the header, which is JSON, and the tensors, one behind the other.
type Weights struct {
	tensors map[string]Tensor
	files   []string
	opened  []*weightsFile
	changed map[string][]float32 // in place of what the files hold
}

// Tensor says where a tensor lies, and what it is.
type Tensor struct {
	Name   string
	Type   string // "F32", "F16", "BF16", "F64", "I64", "I32", "U8" or another of safetensors' names
	Shape  []int
	File   string // the weights file
	Offset int64  // of the numbers within File; they are little-endian, the last index moves fastest
	Bytes  int64

	of *weightsFile
}

// Len is how many numbers t holds.
func (t Tensor) Len() int { return int(t.Bytes / tensorSizes[t.Type]) }

// maxShards bounds the files that one model may have open.
const maxShards = 256

// OpenWeights opens a model's weights: .safetensors files that complement each
// other, or an index (*.safetensors.index.json), which tells for each tensor the
// file beside or below it that holds it. What else such files hold is left out.
func OpenWeights(fsys fs.FS, names ...string) (*Weights, error) {
	w := &Weights{tensors: map[string]Tensor{}}
	for _, name := range names {
		add := w.addFile
		if strings.HasSuffix(name, ".index.json") {
			add = w.addIndex
		}
		if err := add(fsys, name); err != nil {
			w.Close() // they were only read
			return nil, fmt.Errorf("weights %q: %w", name, err)
		}
	}
	return w, nil
}

// addFile adds every tensor of a file.
func (w *Weights) addFile(fsys fs.FS, name string) error {
	tensors, err := w.open(fsys, name)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		if err := w.add(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *Weights) add(t Tensor) error {
	if old, twice := w.tensors[t.Name]; twice {
		return fmt.Errorf("tensor %q is in %q and in %q: %w", t.Name, old.File, t.File, clipsearch.ErrInvalid)
	}
	w.tensors[t.Name] = t
	return nil
}

// open opens a file and reads its header.
func (w *Weights) open(fsys fs.FS, name string) ([]Tensor, error) {
	if len(w.opened) == maxShards {
		return nil, fmt.Errorf("more than %d files: %w", maxShards, clipsearch.ErrInvalid)
	}
	f, err := openWeightsFile(fsys, name)
	if err != nil {
		return nil, err
	}
	w.opened = append(w.opened, f)
	w.files = append(w.files, name)
	return f.readHeader()
}

// addIndex adds the tensors that an index names, from the files it names for them.
func (w *Weights) addIndex(fsys fs.FS, name string) error {
	placed, err := readWeightMap(fsys, name)
	if err != nil {
		return err
	}
	w.files = append(w.files, name)
	shards := map[string][]string{}
	for tensor, shard := range placed {
		shards[shard] = append(shards[shard], tensor)
	}
	names := make([]string, 0, len(shards))
	for shard := range shards {
		names = append(names, shard)
	}
	slices.Sort(names)
	for _, shard := range names {
		if err := w.addShard(fsys, path.Join(path.Dir(name), shard), shards[shard]); err != nil {
			return fmt.Errorf("shard %q: %w", shard, err)
		}
	}
	return nil
}

func (w *Weights) addShard(fsys fs.FS, name string, wanted []string) error {
	tensors, err := w.open(fsys, name)
	if err != nil {
		return err
	}
	here := make(map[string]Tensor, len(tensors))
	for _, t := range tensors {
		here[t.Name] = t
	}
	slices.Sort(wanted)
	for _, tensor := range wanted {
		t, ok := here[tensor]
		if !ok {
			return fmt.Errorf("tensor %q is not in it, though the index says so: get both again: %w", tensor, clipsearch.ErrInvalid)
		}
		if err := w.add(t); err != nil {
			return err
		}
	}
	return nil
}

// readWeightMap reads which file an index names for each tensor.
func readWeightMap(fsys fs.FS, name string) (map[string]string, error) {
	f, err := openWeightsFile(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.size > maxHeader {
		return nil, fmt.Errorf("an index of %d bytes, more than %d: %w", f.size, maxHeader, clipsearch.ErrInvalid)
	}
	text, err := f.bytes(0, f.size)
	if err != nil {
		return nil, err
	}
	placed := map[string]string{}
	r := newJSONReader(text)
	r.object(func(key string) {
		if key != "weight_map" {
			r.skip()
			return
		}
		r.object(func(tensor string) {
			shard := r.str()
			switch {
			case max(len(tensor), len(shard)) > maxName:
				r.fail("a name of more than %d bytes", maxName)
			case placed[tensor] != "":
				r.fail("tensor %q is there twice", tensor)
			case !fs.ValidPath(shard) || shard == ".":
				r.fail("tensor %q is in %q, which is no file below the model's directory", tensor, shard)
			case len(placed) == maxTensors:
				r.fail("more than %d tensors", maxTensors)
			}
			placed[strings.Clone(tensor)] = strings.Clone(shard)
		})
	})
	if err := r.end(); err != nil {
		return nil, err
	}
	if len(placed) == 0 {
		return nil, fmt.Errorf("its weight_map names no tensor: %w", clipsearch.ErrInvalid)
	}
	return placed, nil
}

// Names returns the names of all tensors, sorted.
func (w *Weights) Names() []string {
	names := make([]string, 0, len(w.tensors))
	for name := range w.tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Tensor returns what is known of a tensor.
func (w *Weights) Tensor(name string) (Tensor, bool) {
	t, ok := w.tensors[name]
	return t, ok
}

// Files returns the files that the weights consist of: indexes and weights files,
// in the order in which they were opened.
func (w *Weights) Files() []string { return slices.Clone(w.files) }

// Close closes the files.
func (w *Weights) Close() error {
	var errs []error
	for _, f := range w.opened {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// weightsFile is an open file that can be read anywhere.
type weightsFile struct {
	io.ReaderAt
	io.Closer
	name string
	size int64
}

// openWeightsFile opens a file. One that can only be read from its beginning is
// read into memory.
func openWeightsFile(fsys fs.FS, name string) (*weightsFile, error) {
	st, err := fs.Stat(fsys, name) // before it is opened: a named pipe would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is not there: get it again: %w", errors.Join(fs.ErrNotExist, clipsearch.ErrInvalid))
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no file: %w", clipsearch.ErrInvalid)
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	f := &weightsFile{Closer: file, name: name, size: st.Size()}
	if at, ok := file.(io.ReaderAt); ok {
		f.ReaderAt = at
		return f, nil
	}
	whole, err := io.ReadAll(io.LimitReader(file, f.size))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.ReaderAt, f.size = bytes.NewReader(whole), int64(len(whole))
	return f, nil
}

// bytes reads n bytes from at.
func (f *weightsFile) bytes(at, n int64) ([]byte, error) {
	b := make([]byte, n)
	if read, err := f.ReadAt(b, at); int64(read) < n {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	return b, nil
}
