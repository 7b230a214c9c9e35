package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/clipsearch/clipsearch"
)

// recordVersion is the first byte of every record and path entry.
const recordVersion = 1

// record is what m/<id> holds. Numbers stand for names to keep it small. Text that
// comes from files is kept as bytes: it need not be UTF-8.
type record struct {
	Files    []file   `cbor:"1,keyasint"`
	Format   string   `cbor:"2,keyasint,omitempty"`
	Width    int      `cbor:"3,keyasint,omitempty"`
	Height   int      `cbor:"4,keyasint,omitempty"`
	Bytes    int64    `cbor:"5,keyasint,omitempty"`
	TakenAt  []byte   `cbor:"6,keyasint,omitempty"` // as time.Time marshals itself: with its zone
	Camera   []byte   `cbor:"7,keyasint,omitempty"`
	Captions [][]byte `cbor:"8,keyasint,omitempty"`
	Tags     [][]byte `cbor:"9,keyasint,omitempty"`
	Stored   []stored `cbor:"10,keyasint,omitempty"`
}

// stored says how many vectors of a space a picture has.
type stored struct {
	Space    []byte `cbor:"1,keyasint"`
	Vectors  int    `cbor:"2,keyasint"`
	Captions int    `cbor:"3,keyasint,omitempty"` // 0, or one for each of the record's captions
	Thumb    bool   `cbor:"4,keyasint,omitempty"` // the vectors are the thumbnail's: the original was not there
}

// file is a clipsearch.File.
type file struct {
	Path []byte `cbor:"1,keyasint"`
	Size int64  `cbor:"2,keyasint"`
	Sec  int64  `cbor:"3,keyasint"` // of ModTime, since 1970
	Nano int32  `cbor:"4,keyasint,omitempty"`
}

// pathEntry is what p/<hash> holds.
type pathEntry struct {
	ID   []byte `cbor:"1,keyasint"`
	File file   `cbor:"2,keyasint"`
}

func newFile(f clipsearch.File) file {
	return file{Path: []byte(f.Path), Size: f.Size, Sec: f.ModTime.Unix(), Nano: int32(f.ModTime.Nanosecond())}
}

func (f file) file() clipsearch.File {
	t := time.Unix(f.Sec, int64(f.Nano))
	if f.Sec == new(time.Time).Unix() && f.Nano == 0 {
		t = time.Time{}
	}
	return clipsearch.File{Path: string(f.Path), Size: f.Size, ModTime: t}
}

// same reports whether f is what is known of g: whoever asks has not changed it.
func (f file) same(g clipsearch.File) bool {
	return f.Size == g.Size && f.Sec == g.ModTime.Unix() && int(f.Nano) == g.ModTime.Nanosecond()
}

func newRecord(m clipsearch.Image) record {
	r := record{
		Format: m.Format, Width: m.Width, Height: m.Height, Bytes: m.Bytes,
		Camera: []byte(m.Camera), Captions: byteStrings(m.Captions), Tags: byteStrings(m.Tags),
	}
	if !m.TakenAt.IsZero() {
		t, err := m.TakenAt.MarshalBinary()
		if err != nil { // a year or a zone that nobody's camera writes
			t, _ = m.TakenAt.UTC().MarshalBinary()
		}
		r.TakenAt = t
	}
	for _, f := range m.Files {
		r.addFile(f)
	}
	return r
}

// image returns what r says of the picture id. It shares nothing with r.
func (r record) image(id clipsearch.ID) clipsearch.Image {
	m := clipsearch.Image{
		ID: id, Format: r.Format, Width: r.Width, Height: r.Height, Bytes: r.Bytes,
		Camera: string(r.Camera), Captions: stringsOf(r.Captions), Tags: stringsOf(r.Tags),
	}
	if len(r.TakenAt) > 0 {
		_ = m.TakenAt.UnmarshalBinary(r.TakenAt) // decode has tried it
	}
	for _, f := range r.Files {
		m.Files = append(m.Files, f.file())
	}
	return m
}

// addFile adds f, or puts it in the place of what was known of its path.
func (r *record) addFile(f clipsearch.File) {
	for i := range r.Files {
		if string(r.Files[i].Path) == f.Path {
			r.Files[i] = newFile(f)
			return
		}
	}
	r.Files = append(r.Files, newFile(f))
}

// dropFile forgets path and reports whether it was known.
func (r *record) dropFile(path string) bool {
	for i := range r.Files {
		if string(r.Files[i].Path) == path {
			r.Files = append(r.Files[:i:i], r.Files[i+1:]...)
			return true
		}
	}
	return false
}

// of returns how many vectors of space there are.
func (r *record) of(space clipsearch.Space) stored {
	for _, s := range r.Stored {
		if string(s.Space) == string(space[:]) {
			return s
		}
	}
	return stored{Space: space[:]}
}

// setStored says how many vectors of a space there are.
func (r *record) setStored(s stored) {
	for i := range r.Stored {
		if string(r.Stored[i].Space) == string(s.Space) {
			r.Stored[i] = s
			return
		}
	}
	r.Stored = append(r.Stored, s)
}

func byteStrings(list []string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func stringsOf(list [][]byte) []string {
	var out []string
	for _, b := range list {
		out = append(out, string(b))
	}
	return out
}

func (r record) encode() []byte    { return encode(r) }
func (e pathEntry) encode() []byte { return encode(e) }

func encode(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic("index: a value of our own cannot be encoded: " + err.Error())
	}
	return append([]byte{recordVersion}, b...)
}

// decode reads what encode wrote.
func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != recordVersion {
		return fmt.Errorf("written in a format that this program does not know: update clipsearch")
	}
	return cbor.Unmarshal(b[1:], v)
}

func decodeRecord(b []byte) (r record, err error) {
	if err := decode(b, &r); err != nil {
		return r, err
	}
	if len(r.TakenAt) > 0 {
		err = new(time.Time).UnmarshalBinary(r.TakenAt)
	}
	return r, err
}

func decodePath(b []byte) (id clipsearch.ID, f file, err error) {
	var e pathEntry
	if err := decode(b, &e); err != nil {
		return id, f, err
	}
	if len(e.ID) != len(id) {
		return id, f, fmt.Errorf("an id of %d bytes", len(e.ID))
	}
	return clipsearch.ID(e.ID), e.File, nil
}

func encodeVector(v clipsearch.Vector) []byte {
	b := make([]byte, 0, 4*len(v)+crcLen)
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// decodeVector reads what encodeVector wrote into dst, whose length it must have.
func decodeVector(dst []float32, b []byte) error {
	if len(b) != 4*len(dst) {
		return fmt.Errorf("%d bytes, not %d: of another dimension", len(b), 4*len(dst))
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}

// unitLength returns an error unless v has length one and is finite.
func unitLength(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(math.Abs(sum-1) <= 1e-3) { // a NaN is not near anything
		return fmt.Errorf("length %.4g, not 1", math.Sqrt(sum))
	}
	return nil
}
