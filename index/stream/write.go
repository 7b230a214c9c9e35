package stream

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// A shard has so many pictures, or so many bytes, whichever comes first.
const (
	shardPictures = 256
	shardBytes    = 16 << 20
)

// Writer writes a stream: first the files of models, then records, then Close.
type Writer struct {
	tar      *tar.Writer
	manifest Manifest
	dims     map[clipsearch.Space]int
	chain    hash.Hash // of all sums
	sums     bytes.Buffer
	head     bool // the head is written
	shard    shard
	end      End
}

// shard is what has been added since the last one was written.
type shard struct {
	records []clipsearch.Record
	bytes   int
}

// NewWriter writes the manifest. Format and Version are filled in.
func NewWriter(w io.Writer, m Manifest) (*Writer, error) {
	m.Format, m.Version = formatName, Version
	if err := m.valid(); err != nil {
		return nil, fmt.Errorf("write an export: %w", err)
	}
	x := &Writer{tar: tar.NewWriter(w), manifest: m, dims: m.dims(), chain: sha256.New()}
	return x, x.entry(manifestName, encodeJSON(m))
}

// AddModelFile writes a file of the model of a space: size bytes of r. All of them
// come before the first record.
func (w *Writer) AddModelFile(space clipsearch.Space, name string, size int64, r io.Reader) error {
	name = modelPrefix(space) + name
	if err := w.header(name, size); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w.tar, sum), io.LimitReader(r, size))
	if err == nil && n < size {
		err = fmt.Errorf("it has %d bytes, not %d", n, size)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.sum(name, sum.Sum(nil))
	return nil
}

// Add writes a picture, sooner or later. Vectors of spaces that are not in the
// manifest are left out.
func (w *Writer) Add(r clipsearch.Record) error {
	for _, s := range r.Vectors {
		for _, v := range slices.Concat(s.Vectors, s.Captions) {
			if dim, ok := w.dims[s.Space]; ok && len(v) != dim {
				return fmt.Errorf("picture %s: a vector of %d numbers in space %.12s of %d", r.ID, len(v), s.Space, dim)
			}
		}
	}
	size := recordBytes(r)
	if len(w.shard.records) == shardPictures || len(w.shard.records) > 0 && w.shard.bytes+size > shardBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.shard.records = append(w.shard.records, r)
	w.shard.bytes += size
	return nil
}

// Close writes what is left, and the end.
func (w *Writer) Close() (End, error) {
	if err := w.flush(); err != nil {
		return w.end, err
	}
	w.end.SHA256 = hex.EncodeToString(w.chain.Sum(nil))
	if err := w.entry(endName, encodeJSON(w.end)); err != nil {
		return w.end, err
	}
	return w.end, w.tar.Close()
}

// flush writes the shard, and the sums of the head before the first.
func (w *Writer) flush() error {
	if !w.head {
		w.head = true
		if err := w.writeSums(headSums); err != nil {
			return err
		}
	}
	records := w.shard.records
	if len(records) == 0 {
		return nil
	}
	name := shardName(w.end.Shards)
	if err := w.writeVectors(name, records); err != nil {
		return err
	}
	for _, r := range records {
		if len(r.Thumb) > 0 {
			if err := w.entry("thumbs/"+name+"/"+r.ID.String()+".jpg", r.Thumb); err != nil {
				return err
			}
		}
		w.end.Images++
		w.end.Files += len(r.Files)
		w.end.Captions += len(r.Captions)
	}
	w.end.Shards++
	w.shard = shard{}
	return w.writeSums("sums/" + name + ".sha256")
}

// writeVectors writes the lines of records and the rows that they speak of.
func (w *Writer) writeVectors(shard string, records []clipsearch.Record) error {
	vectors, captions := map[clipsearch.Space][]float32{}, map[clipsearch.Space][]float32{}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		l := newLine(r)
		for _, s := range r.Vectors {
			dim, ok := w.dims[s.Space]
			if !ok {
				continue
			}
			at := row{Row: len(vectors[s.Space]) / dim, Rows: len(s.Vectors), Thumb: s.Thumb}
			if len(s.Captions) > 0 {
				at.CaptionRow, at.CaptionRows = len(captions[s.Space])/dim, len(s.Captions)
			}
			l.Vectors[s.Space] = at
			vectors[s.Space] = appendRows(vectors[s.Space], s.Vectors)
			captions[s.Space] = appendRows(captions[s.Space], s.Captions)
			w.end.Vectors += len(s.Vectors) + len(s.Captions)
		}
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write picture %s: %w", r.ID, err)
		}
	}
	if err := w.entry("pictures/"+shard+".ndjson", lines.Bytes()); err != nil {
		return err
	}
	for _, s := range w.manifest.Spaces {
		if err := w.writeRows("vectors", shard, s, vectors[s.Space]); err != nil {
			return err
		}
		if err := w.writeRows("captions", shard, s, captions[s.Space]); err != nil {
			return err
		}
	}
	return nil
}

func appendRows(to []float32, rows []clipsearch.Vector) []float32 {
	for _, v := range rows {
		to = append(to, v...)
	}
	return to
}

// writeRows writes an array, unless it has no rows.
func (w *Writer) writeRows(kind, shard string, s Space, data []float32) error {
	if len(data) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := npy.Write(&b, npy.Array[float32]{Shape: []int{len(data) / s.Dim, s.Dim}, Data: data}); err != nil {
		return err
	}
	return w.entry(rowsName(kind, s.Space, shard), b.Bytes())
}

func rowsName(kind string, s clipsearch.Space, shard string) string {
	return kind + "/" + s.String() + "/" + shard + ".npy"
}

// writeSums writes the digests of what was written since the last ones, as
// sha256sum checks them.
func (w *Writer) writeSums(name string) error {
	content := bytes.Clone(w.sums.Bytes())
	w.chain.Write(content)
	err := w.entry(name, content)
	w.sums.Reset()
	return err
}

func (w *Writer) entry(name string, content []byte) error {
	if err := w.header(name, int64(len(content))); err != nil {
		return err
	}
	if _, err := w.tar.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	sum := sha256.Sum256(content)
	w.sum(name, sum[:])
	return nil
}

func (w *Writer) sum(name string, sum []byte) { fmt.Fprintf(&w.sums, "%x  %s\n", sum, name) }

func (w *Writer) header(name string, size int64) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: w.manifest.Created.Truncate(time.Second)}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
