package clipsearch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// What a caller decides on; everything else is a failure. The command line
// exits 2 on ErrInvalid; the server answers 400, 404, 503 and 403.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid input")
	ErrNoSpace  = errors.New("no space left")
	ErrReadOnly = errors.New("read-only") // the index lies where nothing can be written
)

// ID names a picture: the first half of the SHA-256 of its file's bytes.
type ID [16]byte

// NewID returns the ID of a file with these bytes.
func NewID(file []byte) ID {
	sum := sha256.Sum256(file)
	return ID(sum[:16])
}

// ParseID reads what [ID.String] wrote: 32 hexadecimal digits.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("%q is no picture id (32 hexadecimal digits): %w", s, ErrInvalid)
	}
	return ID(b), nil
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText and UnmarshalText make an ID a string in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of [ID.MarshalText].
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Space is the digest of whatever decides a vector: the files of the model, the
// precision and the preprocessing.
type Space [32]byte

// ParseSpace reads what [Space.String] wrote: 64 hexadecimal digits.
func ParseSpace(s string) (Space, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Space{}) {
		return Space{}, fmt.Errorf("%q is no space (64 hexadecimal digits): %w", s, ErrInvalid)
	}
	return Space(b), nil
}

func (s Space) String() string { return hex.EncodeToString(s[:]) }

// MarshalText and UnmarshalText make a Space a string in JSON.
func (s Space) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of [Space.MarshalText].
func (s *Space) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSpace(string(b))
	return err
}

// Vector is an embedding of length one.
type Vector []float32

// Unit returns v scaled to length one, or an error wrapping [ErrInvalid] where v
// has no direction: it is empty, zero, or holds a NaN or an infinity.
func Unit(v []float32) (Vector, error) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	norm := math.Sqrt(sum)
	if norm == 0 || math.IsNaN(norm) || math.IsInf(norm, 0) {
		return nil, fmt.Errorf("embedding of %d numbers has length %v and no direction: %w", len(v), norm, ErrInvalid)
	}
	u := make(Vector, len(v))
	for i, x := range v {
		u[i] = float32(float64(x) / norm)
	}
	return u, nil
}

// Dot returns the inner product of two vectors of the same dimension: of unit
// vectors, their cosine.
func (v Vector) Dot(w Vector) float32 {
	w = w[:len(v)]
	var a, b, c, d float32
	i := 0
	for ; i+4 <= len(v); i += 4 {
		a += v[i] * w[i]
		b += v[i+1] * w[i+1]
		c += v[i+2] * w[i+2]
		d += v[i+3] * w[i+3]
	}
	for ; i < len(v); i++ {
		a += v[i] * w[i]
	}
	return a + b + c + d
}

// File is a place where a picture was seen, with what tells without reading it
// whether it has changed since.
type File struct {
	Path    string // absolute; the bytes the system gave, not always UTF-8
	Size    int64
	ModTime time.Time
}

// Image is what is known of a picture, its pixels aside.
type Image struct {
	ID            ID
	Files         []File // every place where these bytes were seen, in the order of their coming
	Format        string // "jpeg", "png", "gif", "webp", "bmp" or "tiff"
	Width, Height int    // as a person sees it: after the EXIF orientation
	Bytes         int64
	TakenAt       time.Time // zero if unknown
	Camera        string    // maker and model as EXIF has them; empty if unknown
	Captions      []string
	Tags          []string
}

// Paths returns the paths of m.Files.
func (m Image) Paths() []string {
	paths := make([]string, len(m.Files))
	for i, f := range m.Files {
		paths[i] = f.Path
	}
	return paths
}

// HasPath reports whether m was seen at path.
func (m Image) HasPath(path string) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == path })
}

// Caption returns the first caption, or "".
func (m Image) Caption() string {
	if len(m.Captions) == 0 {
		return ""
	}
	return m.Captions[0]
}

// Entry is a picture ready to be stored.
//
// For an ID that the index does not hold, Vectors and Thumb are required.
// For one that it holds, Files are added to those known, Captions and Tags
// replace those known unless nil, and Vectors and Thumb are kept as they are
// where the index has them.
type Entry struct {
	Image
	Space          Space
	Vectors        []Vector // of Space; the first is the whole picture, more are frames or tiles
	CaptionVectors []Vector // of Space, one for each of Captions, or nil
	Thumb          []byte   // JPEG
}

// Hit is a picture found. A larger score is better, everywhere.
type Hit struct {
	ID    ID
	Score float32
}
