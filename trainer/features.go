package trainer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// features are what a locked tower makes of the pictures of a set, on the disk: a file
// for each view of all of them.
type features struct {
	dim   int     // numbers of a picture
	shape []int64 // of them
	views []*clip.Weights
	at    []int // which row of the files belongs to a picture of the set
}

// Tensors of such a file.
const (
	featuresTensor = "features" // float32 [pictures, numbers]; those of a damaged picture are zero
	goodTensor     = "good"     // uint8 [pictures]: 1 where it could be read
	sumTensor      = "crc32c"   // uint8 [4]: of the bytes of the two others, little-endian
)

// featureMaker makes them.
type featureMaker struct {
	dir      string
	tower    *engine.Frozen
	space    string // of the model, and all else that decides them
	loader   *data.Loader
	set      *data.Set
	size     int // of a picture's side
	progress func(done, total int)
	note     func(format string, args ...any)
}

// open returns the features of so many views, from their files if they are there.
func (m featureMaker) open(ctx context.Context, views int) (*features, error) {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return nil, err
	}
	digest, err := m.set.Digest(ctx)
	if err != nil {
		return nil, err
	}
	f := &features{}
	for view := range views {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %x %d", m.space, digest, view))
		name := filepath.Join(m.dir, hex.EncodeToString(sum[:12])+".features.safetensors")
		w, err := m.read(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				m.note("features of pictures are made again: %v", err)
			}
			if err := m.write(ctx, name, view); err != nil {
				f.close()
				return nil, fmt.Errorf("features of view %d of %d pictures: %w", view, len(m.set.Items), err)
			}
			if w, err = m.read(name); err != nil {
				f.close()
				return nil, err
			}
		}
		t, _ := w.Tensor(featuresTensor)
		f.views, f.dim, f.shape = append(f.views, w), int(t.Bytes/4)/len(m.set.Items), nil
		for _, d := range t.Shape[1:] {
			f.shape = append(f.shape, int64(d))
		}
	}
	return f, nil
}

func (f *features) close() (err error) {
	for _, w := range f.views {
		err = errors.Join(err, w.Close())
	}
	return err
}

// read opens a file if it is whole, and of the set. All of it is read once for that: a
// run reads it many times.
func (m featureMaker) read(name string) (*clip.Weights, error) {
	w, err := clip.OpenWeights(os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		return nil, err
	}
	t, ok := w.Tensor(featuresTensor)
	good, also := w.Tensor(goodTensor)
	if !ok || !also || t.Type != "F32" || len(t.Shape) < 2 || t.Shape[0] != len(m.set.Items) || good.Bytes != int64(len(m.set.Items)) {
		return nil, errors.Join(fmt.Errorf("%s is not of this set", name), w.Close())
	}
	if err := proven(w, t, good); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), w.Close())
	}
	return w, nil
}

// proven returns an error if tensors do not have the checksum that lies beside them.
func proven(w *clip.Weights, list ...clip.Tensor) error {
	own, ok := w.Tensor(sumTensor)
	if !ok || own.Bytes != 4 {
		return errors.New("it has no checksum")
	}
	sum := crc32.New(castagnoli)
	for _, t := range list {
		raw, err := w.Raw(t)
		if err != nil {
			return err
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{raw}, make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	raw, err := w.Raw(own)
	if err != nil {
		return err
	}
	want, err := io.ReadAll(raw)
	if got := binary.LittleEndian.AppendUint32(nil, sum.Sum32()); err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("its checksum is %x, not %x: it is damaged", got, want)
	}
	return err
}

// write makes the file of a view. It takes its name when it is whole.
func (m featureMaker) write(ctx context.Context, name string, view int) error {
	shape, err := m.shape(ctx)
	if err != nil {
		return err
	}
	good, dim := make([]byte, len(m.set.Items)), 1
	for _, d := range shape {
		dim *= d
	}
	sum := crc32.New(castagnoli)
	return clip.WriteTensors(name, []clip.NewTensor{ // in the order in which they are written
		{Name: featuresTensor, Type: "F32", Shape: append([]int{len(good)}, shape...), Write: func(w io.Writer) error { return m.stream(ctx, io.MultiWriter(w, sum), view, dim, good) }},
		{Name: goodTensor, Type: "U8", Shape: []int{len(good)}, Write: func(w io.Writer) error { _, err := io.MultiWriter(w, sum).Write(good); return err }},
		{Name: sumTensor, Type: "U8", Shape: []int{4}, Write: func(w io.Writer) error {
			_, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
			return err
		}},
	}, nil)
}

// shape runs the tower once, to learn what it makes of a picture.
func (m featureMaker) shape(context.Context) (shape []int, err error) {
	out, err := m.tower.RunOne(engine.Tensor{Shape: []int64{1, 3, int64(m.size), int64(m.size)}, F32: make([]float32, 3*m.size*m.size)})
	if err != nil {
		return nil, err
	}
	if len(out.Shape) < 2 || out.Shape[0] != 1 {
		return nil, fmt.Errorf("the locked tower makes %v, and features are [pictures, numbers]", out.Shape)
	}
	for _, d := range out.Shape[1:] {
		shape = append(shape, int(d))
	}
	return shape, nil
}

// stream writes the features of all pictures, in order.
func (m featureMaker) stream(ctx context.Context, w io.Writer, view, dim int, good []byte) error {
	zero := make([]byte, 4*dim)
	at := 0
	skip := func(to int) error {
		for ; at < to; at++ {
			if _, err := w.Write(zero); err != nil {
				return err
			}
		}
		return nil
	}
	for b, err := range m.loader.Views(ctx, view) {
		if err != nil {
			return err
		}
		if len(b.Items) == 0 {
			continue
		}
		out, err := m.tower.RunOne(engine.Tensor{Shape: []int64{int64(len(b.Items)), 3, int64(m.size), int64(m.size)}, F32: b.Pixels})
		if err != nil {
			return err
		}
		for i, item := range b.Items {
			if err := skip(item); err != nil {
				return err
			}
			if _, err := w.Write(floatBytes(out.F32[i*dim : (i+1)*dim])); err != nil {
				return err
			}
			good[item], at = 1, item+1
		}
		if m.progress != nil {
			m.progress(at, len(good))
		}
	}
	return skip(len(good))
}

func floatBytes(list []float32) []byte {
	b := make([]byte, 0, 4*len(list))
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// good reports which pictures could be read in every view.
func (f *features) good() ([]bool, error) {
	var list []bool
	for _, w := range f.views {
		t, _ := w.Tensor(goodTensor)
		raw, err := w.Raw(t)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(raw)
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = make([]bool, len(b))
			for i := range list {
				list[i] = true
			}
		}
		for i, x := range b {
			list[i] = list[i] && x == 1
		}
	}
	return list, nil
}

// rows reads the features of pictures; views is nil for those of the first view.
func (f *features) rows(items, views []int) (engine.Tensor, error) {
	out := engine.Tensor{Shape: append([]int64{int64(len(items))}, f.shape...), F32: make([]float32, len(items)*f.dim)}
	for i, item := range items {
		view := 0
		if views != nil {
			view = views[i]
		}
		t, _ := f.views[view].Tensor(featuresTensor)
		if err := f.views[view].ReadFloat32s(t, f.at[item]*f.dim, out.F32[i*f.dim:(i+1)*f.dim]); err != nil {
			return out, err
		}
	}
	return out, nil
}
