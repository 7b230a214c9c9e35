package stream

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// What a stream may have. A shard of ours has a fraction of it.
const (
	maxShard = 256 << 20
	maxSmall = 16 << 20 // manifest.json, end.json, the sums of the head
)

// ModelFile takes a file of the model of a space: size bytes of r, under a name with
// slashes that lies below the model's directory. Whether they are right is known
// when [NewReader] returns.
type ModelFile func(space clipsearch.Space, name string, size int64, r io.Reader) error

// Reader reads a stream.
type Reader struct {
	in       *counter
	tar      *tar.Reader
	manifest Manifest
	sums     bytes.Buffer // of the entries since the last sums, as they should be
	chain    hash.Hash
	got      End
}

// NewReader reads the manifest and the files of the models, which it gives to take;
// nil passes them over. An error wraps [clipsearch.ErrInvalid] where r is no export
// that this program knows.
func NewReader(r io.Reader, take ModelFile) (*Reader, error) {
	in := &counter{r: r}
	x := &Reader{in: in, tar: tar.NewReader(in), chain: sha256.New()}
	h, err := x.first()
	if err != nil {
		return nil, err
	}
	content, err := x.content(h, maxSmall)
	if err == nil {
		err = decodeStrict(content, &x.manifest)
	}
	if err != nil {
		return nil, damaged("%s: %w", manifestName, err)
	}
	if err := x.manifest.valid(); err != nil {
		return nil, err
	}
	for {
		h, err := x.next()
		if err != nil {
			return nil, err
		}
		if h.Name == headSums {
			return x, x.checkSums(h)
		}
		if err := x.modelFile(h, take); err != nil {
			return nil, err
		}
	}
}

// first reads the header of the manifest.
func (x *Reader) first() (*tar.Header, error) {
	h, err := x.tar.Next()
	switch {
	case x.in.err != nil:
		return nil, x.in.err
	case err != nil && bytes.HasPrefix(x.in.start[:], []byte{0x1f, 0x8b}):
		return nil, invalid("it is compressed: `gunzip -c FILE | clipsearch import -`")
	case err != nil && bytes.HasPrefix(x.in.start[:], []byte(`{"clipsearch_export"`)):
		return nil, invalid("it is an export of an earlier program, which did not hold all of an index: ingest the pictures")
	case err != nil || h.Name != manifestName || !plain(h):
		return nil, invalid("it is no export of clipsearch: it does not begin with a tar's %s", manifestName)
	}
	return h, nil
}

// Manifest returns the first entry.
func (x *Reader) Manifest() Manifest { return x.manifest }

// End returns what was counted so far; behind io.EOF it is the last entry.
func (x *Reader) End() End { return x.got }

// Next returns the pictures of the next shard. io.EOF says that all of the stream
// was read and is whole.
func (x *Reader) Next() ([]clipsearch.Record, error) {
	h, err := x.next()
	if err != nil {
		return nil, err
	}
	if h.Name == endName {
		return nil, x.readEnd(h)
	}
	name := shardName(x.got.Shards)
	parts := map[string][]byte{}
	for size := int64(0); h.Name != "sums/"+name+".sha256"; {
		if size += h.Size + 512; size > maxShard {
			return nil, invalid("shard %s has more than %d MB, which none of clipsearch has", name, maxShard>>20)
		}
		if _, twice := parts[h.Name]; twice {
			return nil, damaged("%s is there twice", h.Name)
		}
		if parts[h.Name], err = x.content(h, maxShard); err != nil {
			return nil, err
		}
		if h, err = x.next(); err != nil {
			return nil, err
		}
	}
	if err := x.checkSums(h); err != nil {
		return nil, err
	}
	s := shardReader{name: name, parts: parts, spaces: x.manifest.Spaces}
	records, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	x.count(records)
	return records, nil
}

func (x *Reader) count(records []clipsearch.Record) {
	x.got.Shards++
	x.got.Images += len(records)
	for _, r := range records {
		x.got.Files += len(r.Files)
		x.got.Captions += len(r.Captions)
		for _, v := range r.Vectors {
			x.got.Vectors += len(v.Vectors) + len(v.Captions)
		}
	}
}

// readEnd returns io.EOF if all is as it should be.
func (x *Reader) readEnd(h *tar.Header) error {
	content, err := x.content(h, maxSmall)
	if err != nil {
		return err
	}
	var want End
	if err := decodeStrict(content, &want); err != nil {
		return damaged("%s: %w", endName, err)
	}
	x.got.SHA256 = hex.EncodeToString(x.chain.Sum(nil))
	if want != x.got {
		return damaged("%s speaks of %d pictures in %d shards, and %d in %d came, or other ones", endName, want.Images, want.Shards, x.got.Images, x.got.Shards)
	}
	at := x.in.n
	_, err = x.tar.Next()
	switch {
	case x.in.err != nil:
		return x.in.err
	case err == nil:
		return damaged("something follows %s", endName)
	case !errors.Is(err, io.EOF) || x.in.n-at < 1024: // two empty blocks end a tar
		return damaged("it ends in the middle of its last block")
	}
	return io.EOF
}

// next reads a header.
func (x *Reader) next() (*tar.Header, error) {
	h, err := x.tar.Next()
	switch {
	case x.in.err != nil:
		return nil, x.in.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damaged("it ends before its %s: it was cut off after %d pictures", endName, x.got.Images)
	case err != nil:
		return nil, damaged("after %d pictures: %w", x.got.Images, err)
	case !plain(h):
		return nil, damaged("entry %.100q is no plain file", h.Name)
	}
	return h, nil
}

// plain reports whether h is a file with all of its bytes in the stream.
func plain(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return false
		}
	}
	return h.Typeflag == tar.TypeReg && h.Size >= 0
}

// content reads an entry and notes its sum.
func (x *Reader) content(h *tar.Header, limit int64) ([]byte, error) {
	if h.Size > limit {
		return nil, invalid("entry %.100q has %d MB, which none of clipsearch has", h.Name, h.Size>>20)
	}
	var b bytes.Buffer
	b.Grow(int(min(h.Size, 1<<20)) + bytes.MinRead) // a header may lie
	err := x.use(h, func(r io.Reader) error {
		_, err := b.ReadFrom(r)
		return err
	})
	return b.Bytes(), err
}

// use reads an entry to its end, whatever fn leaves of it, and notes its sum.
func (x *Reader) use(h *tar.Header, fn func(io.Reader) error) error {
	sum := sha256.New()
	in := io.TeeReader(x.tar, sum)
	err := fn(in)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	switch {
	case x.in.err != nil:
		return x.in.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return damaged("it ends within %.100q: it was cut off after %d pictures", h.Name, x.got.Images)
	case err != nil:
		return err
	}
	fmt.Fprintf(&x.sums, "%x  %s\n", sum.Sum(nil), h.Name)
	return nil
}

// checkSums compares the sums that h holds with those of what came.
func (x *Reader) checkSums(h *tar.Header) error {
	want := bytes.Clone(x.sums.Bytes())
	content, err := x.content(h, int64(2*len(want)+1024))
	if err != nil {
		return err
	}
	x.sums.Reset()
	x.chain.Write(content)
	if bytes.Equal(content, want) {
		return nil
	}
	rest := string(want)
	for line := range strings.Lines(string(content)) {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, line); !ok {
			break
		}
	}
	_, name, _ := strings.Cut(strings.SplitN(rest, "\n", 2)[0], "  ")
	return damaged("entry %.100q or what %s says of it has changed", name, h.Name)
}

// modelFile gives a file of a model to take.
func (x *Reader) modelFile(h *tar.Header, take ModelFile) error {
	for _, s := range x.manifest.Spaces {
		name, ok := strings.CutPrefix(h.Name, modelPrefix(s.Space))
		if !ok {
			continue
		}
		if !s.Files || !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\:\x00") {
			break
		}
		return x.use(h, func(r io.Reader) error {
			if take == nil {
				return nil
			}
			return take(s.Space, name, h.Size, r)
		})
	}
	return damaged("entry %.100q is none that the format has there", h.Name)
}

// Verify reads all of a stream and returns how it ends.
func Verify(r io.Reader) (End, error) {
	x, err := NewReader(r, nil)
	for err == nil {
		_, err = x.Next()
	}
	if err != io.EOF {
		return End{}, err
	}
	return x.got, nil
}

// ErrDamaged is wrapped by what a stream is refused with that was cut or changed.
var ErrDamaged = errors.New("the stream is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format+": export again, or get another copy", append([]any{ErrDamaged}, args...)...)
}

// decodeStrict reads one value and nothing behind it.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

// counter counts what is read, keeps its start, and keeps errors apart from those
// of what is read.
type counter struct {
	r     io.Reader
	n     int64
	start [32]byte
	err   error
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if c.n < int64(len(c.start)) {
		copy(c.start[c.n:], b[:n])
	}
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = fmt.Errorf("read: %w", err)
	}
	return n, err
}
