package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// shardReader makes records of the entries of a shard, whose sums are right.
type shardReader struct {
	name     string
	parts    map[string][]byte // not yet used
	spaces   []Space
	vectors  arrays
	captions arrays
}

// arrays are the rows of each space that no picture has taken.
type arrays map[clipsearch.Space]*array

type array struct {
	data []float32
	dim  int
	at   int // the next row
}

func (s *shardReader) read() ([]clipsearch.Record, error) {
	lines, ok := s.part("pictures/" + s.name + ".ndjson")
	if !ok {
		return nil, invalid("it has no pictures")
	}
	var err error
	if s.vectors, err = s.open("vectors"); err != nil {
		return nil, err
	}
	if s.captions, err = s.open("captions"); err != nil {
		return nil, err
	}
	var records []clipsearch.Record
	for dec := json.NewDecoder(bytes.NewReader(lines)); ; {
		var l line
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, invalid("line %d: %v", len(records)+1, err)
		}
		r, err := s.record(l)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	for name := range s.parts {
		return nil, invalid("entry %.100q belongs to no picture", name)
	}
	return records, nil
}

// part takes an entry.
func (s *shardReader) part(name string) ([]byte, bool) {
	b, ok := s.parts[name]
	delete(s.parts, name)
	return b, ok
}

// open reads the rows of every space.
func (s *shardReader) open(kind string) (arrays, error) {
	all := arrays{}
	for _, space := range s.spaces {
		all[space.Space] = &array{dim: space.Dim}
		name := rowsName(kind, space.Space, s.name)
		b, ok := s.part(name)
		if !ok {
			continue
		}
		a, err := npy.ReadFloat32(bytes.NewReader(b))
		if err != nil {
			return nil, invalid("%s: %v", name, err)
		}
		if len(a.Shape) != 2 || a.Shape[1] != space.Dim {
			return nil, invalid("%s has the shape %v, not [rows, %d]", name, a.Shape, space.Dim)
		}
		all[space.Space].data = a.Data
	}
	return all, nil
}

func (s *shardReader) record(l line) (clipsearch.Record, error) {
	r := l.record()
	var ok bool
	if r.Thumb, ok = s.part("thumbs/" + s.name + "/" + l.ID.String() + ".jpg"); ok == l.NoThumb {
		return r, invalid("picture %s is there twice, or has no thumbnail", l.ID)
	}
	known := 0
	for _, space := range s.spaces {
		at, has := l.Vectors[space.Space]
		if !has {
			continue
		}
		known++
		v := clipsearch.SpaceVectors{Space: space.Space, Thumb: at.Thumb}
		var err error
		if v.Vectors, err = s.vectors[space.Space].take(at.Row, at.Rows); err == nil {
			v.Captions, err = s.captions[space.Space].take(at.CaptionRow, at.CaptionRows)
		}
		if err != nil {
			return r, invalid("picture %s, space %.12s: %v", l.ID, space.Space, err)
		}
		r.Vectors = append(r.Vectors, v)
	}
	if known < len(l.Vectors) {
		return r, invalid("picture %s has vectors of a space that the manifest does not list", l.ID)
	}
	return r, nil
}

// take returns the next n rows, which must begin at row at; nil where n is 0.
func (a *array) take(at, n int) ([]clipsearch.Vector, error) {
	have := len(a.data) / a.dim
	if n == 0 {
		return nil, nil
	}
	if at != a.at || n < 0 || n > have-at {
		return nil, fmt.Errorf("rows from %d on, %d of them, where row %d of %d comes next", at, n, a.at, have)
	}
	a.at += n
	var list []clipsearch.Vector
	for i := at; i < at+n; i++ {
		list = append(list, a.data[i*a.dim:(i+1)*a.dim:(i+1)*a.dim])
	}
	return list, nil
}
