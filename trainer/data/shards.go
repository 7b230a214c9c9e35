package data

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	maxShards  = 100_000
	maxCaption = 1 << 20 // bytes of a caption's file
)

// shardsOf returns the tars that data names: by braces or a pattern, itself, or those
// in the folder that it is. None and no error mean that it names something else.
func shardsOf(data string) ([]string, error) {
	if info, err := os.Stat(data); err == nil {
		if info.IsDir() {
			return tarsIn(data)
		}
		if strings.HasSuffix(data, ".tar") {
			return []string{data}, nil
		}
	}
	if packed := strings.HasSuffix(data, ".tar.gz") || strings.HasSuffix(data, ".tgz"); packed {
		return nil, invalid("data %s: pictures in a compressed tar cannot be reached singly: unpack it to a .tar", data)
	}
	if !strings.HasSuffix(data, ".tar") {
		return nil, nil
	}
	if strings.Contains(data, "{") {
		return expand(data)
	}
	found, err := filepath.Glob(data)
	if err != nil || len(found) == 0 {
		return nil, invalid("data %s: no such shard", data)
	}
	return found, nil
}

func tarsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, invalid("data %s: %v", dir, err)
	}
	var tars []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".tar") {
			tars = append(tars, filepath.Join(dir, e.Name()))
		}
	}
	return tars, nil
}

// expand returns the names that {000..009} and {a,b} in pattern stand for, all pairs of
// several, in order.
func expand(pattern string) ([]string, error) {
	head, rest, ok := strings.Cut(pattern, "{")
	if !ok {
		return []string{pattern}, nil
	}
	inner, tail, ok := strings.Cut(rest, "}")
	if !ok {
		return nil, invalid("shards %s: a { without its }", pattern)
	}
	choices := strings.Split(inner, ",")
	if from, to, ok := strings.Cut(inner, ".."); ok {
		var err error
		if choices, err = numbers(from, to); err != nil {
			return nil, fmt.Errorf("shards %s: %w", pattern, err)
		}
	}
	tails, err := expand(tail)
	if err != nil {
		return nil, err
	}
	if len(choices)*len(tails) > maxShards {
		return nil, invalid("shards %s: more than %d", pattern, maxShards)
	}
	var all []string
	for _, c := range choices {
		for _, t := range tails {
			all = append(all, head+c+t)
		}
	}
	return all, nil
}

// numbers returns those from one to another, as wide as they are written.
func numbers(from, to string) ([]string, error) {
	lo, err1 := strconv.ParseUint(from, 10, 32)
	hi, err2 := strconv.ParseUint(to, 10, 32)
	if err1 != nil || err2 != nil || hi < lo {
		return nil, invalid("{%s..%s} is no range of numbers", from, to)
	}
	if hi-lo >= maxShards {
		return nil, invalid("{%s..%s}: more than %d", from, to, maxShards)
	}
	var all []string
	for n := lo; n <= hi; n++ {
		all = append(all, fmt.Sprintf("%0*d", len(from), n))
	}
	return all, nil
}

// openShards indexes tars: where in which of them each picture lies, so that pictures
// can be read in any order.
func openShards(name string, shards []string) (*source, error) {
	s := &source{name: name, dir: filepath.Dir(shards[0])}
	for _, shard := range shards {
		all, err := openShard(shard)
		if errors.Is(err, fs.ErrNotExist) {
			err = invalid("%v", err)
		}
		if err != nil {
			return nil, fmt.Errorf("read shard %s: %w", shard, err)
		}
		s.pictures = append(s.pictures, all...)
	}
	if len(s.pictures) == 0 {
		return nil, invalid("%s: there are no samples in it", name)
	}
	return s, nil
}

func openShard(shard string) ([]picture, error) {
	f, err := os.Open(shard)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	all, err := indexTar(f, info.Size())
	for i := range all {
		if all[i].shard = shard; all[i].inside {
			all[i].file = shard
		}
	}
	return all, err
}

var pictureExtensions = []string{".jpg", ".jpeg", ".png", ".webp"}

// indexTar returns the samples of a tar of size bytes: the members that share a name up
// to the first dot. Nothing of a picture is read. Its memory grows with the number of
// members and the length of the captions, which the file holds as well.
func indexTar(r io.ReadSeeker, size int64) ([]picture, error) {
	var x tarIndex
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return x.all, nil
		}
		if err != nil {
			return nil, invalid("behind %d samples: %v", len(x.all), err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := r.Seek(0, io.SeekCurrent) // the reader has read the header and no more
		if err != nil {
			return nil, err
		}
		if h.Size > size-at {
			return nil, invalid("%s: %d bytes at %d, but the file ends at %d", h.Name, h.Size, at, size)
		}
		if err := x.add(t, h, at); err != nil {
			return nil, fmt.Errorf("%.200s: %w", h.Name, err)
		}
	}
}

type tarIndex struct {
	gatherer
	kind map[int]string // of what the captions of a sample were read from
}

func (x *tarIndex) add(r io.Reader, h *tar.Header, at int64) error {
	dir, file := path.Split(h.Name)
	key, ext, _ := strings.Cut(file, ".")
	if ext = "." + strings.ToLower(ext); key == "" {
		return nil
	}
	name := dir + key
	switch {
	case slices.Contains(pictureExtensions, ext):
		for record := range h.PAXRecords {
			if strings.HasPrefix(record, "GNU.sparse.") {
				return invalid("a sparse member cannot be reached singly")
			}
		}
		p := x.sample(name)
		if p.inside {
			return nil // the first counts, as with names that are there twice
		}
		p.at, p.size, p.inside = at, h.Size, true
	case ext == ".txt" || ext == ".json":
		text, err := io.ReadAll(io.LimitReader(r, maxCaption+1))
		if err != nil {
			return invalid("%v", err)
		}
		if len(text) > maxCaption {
			return invalid("a caption of more than %d bytes", maxCaption)
		}
		return x.caption(name, ext, text)
	}
	return nil
}

// sample returns the sample of a name, which is valid until the next is added.
func (x *tarIndex) sample(name string) *picture {
	if _, known := x.at[name]; !known {
		x.gatherer.add(place{}, name, "")
	}
	return &x.all[x.at[name]]
}

// caption adds the captions of a member. Where there is a text, what JSON says beside
// it is the same once more.
func (x *tarIndex) caption(name, ext string, text []byte) error {
	found := []string{string(text)}
	if ext == ".json" {
		var r record
		if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &r); err != nil {
			return invalid("this is not JSON with a caption: %v", err)
		}
		found = r.captions()
	}
	p := x.sample(name)
	i := x.at[name]
	if x.kind == nil {
		x.kind = map[int]string{}
	}
	if len(found) > 0 && (x.kind[i] == "" || x.kind[i] == ".json" && ext == ".txt") {
		p.Captions, x.kind[i] = found, ext
	}
	return nil
}
