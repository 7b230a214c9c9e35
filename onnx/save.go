package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// largeModel is how many bytes of weights an .onnx file of this program holds at
// most; larger ones lie beside it, where ONNX Runtime maps them.
const largeModel = 32 << 20

// dataAlign is what tensors in a data file begin at multiples of.
const dataAlign = 64

// Save writes the model to dir/name, and, if its weights are large, those of a
// kilobyte and more to dir/name+"_data". Tensors that lie in other files are read
// from fsys, by their locations. The model's tensors then say where they lie now.
func (m *Model) Save(dir, name string, fsys fs.FS) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	if m.weigh() <= largeModel {
		if err := m.inline(fsys); err != nil {
			return err
		}
	} else if err := m.moveData(dir, name+"_data", fsys); err != nil {
		return err
	}
	_, err = m.WriteTo(f)
	return err
}

// weigh adds up the bytes of the weights.
func (m *Model) weigh() (n int64) {
	for _, t := range m.Initializers {
		n += t.bytes()
	}
	return n
}

func (t *Tensor) bytes() int64 {
	if t.External != nil {
		return t.External.Length
	}
	return int64(len(t.Raw))
}

// inline reads all tensors into memory.
func (m *Model) inline(fsys fs.FS) error {
	for _, t := range m.Initializers {
		if err := t.inline(fsys); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
	}
	return nil
}

func (t *Tensor) inline(fsys fs.FS) error {
	if t.External == nil {
		return nil
	}
	r, err := t.External.open(fsys)
	if err != nil {
		return err
	}
	raw := make([]byte, t.External.Length)
	_, err = io.ReadFull(r, raw)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	t.Raw, t.External = raw, nil
	return nil
}

// moveData writes the larger tensors to a file of their own, and reads the others.
func (m *Model) moveData(dir, name string, fsys fs.FS) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	var at int64
	for _, t := range m.Initializers {
		n := t.bytes()
		if n < 1024 {
			if err := t.inline(fsys); err != nil {
				return fmt.Errorf("tensor %s: %w", t.Name, err)
			}
			continue
		}
		pad := -at & (dataAlign - 1)
		if _, err := f.Write(make([]byte, pad)); err != nil {
			return err
		}
		if err := t.copyTo(f, fsys); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		t.Raw, t.External = nil, &External{Location: name, Offset: at + pad, Length: n}
		at += pad + n
	}
	return nil
}

func (t *Tensor) copyTo(w io.Writer, fsys fs.FS) error {
	if t.External == nil {
		_, err := w.Write(t.Raw)
		return err
	}
	r, err := t.External.open(fsys)
	if err != nil {
		return err
	}
	_, err = io.CopyN(w, r, t.External.Length)
	return errors.Join(err, r.Close())
}

// section is a part of a file.
type section struct {
	io.Reader
	io.Closer
}

func (e *External) open(fsys fs.FS) (io.ReadCloser, error) {
	if fsys == nil || !fs.ValidPath(e.Location) {
		return nil, fmt.Errorf("its file %q is not beside the model", e.Location)
	}
	f, err := fsys.Open(e.Location)
	if err != nil {
		return nil, err
	}
	if at, ok := f.(io.ReaderAt); ok {
		return section{io.NewSectionReader(at, e.Offset, e.Length), f}, nil
	}
	if _, err := io.CopyN(io.Discard, f, e.Offset); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return section{io.LimitReader(f, e.Length), f}, nil
}
