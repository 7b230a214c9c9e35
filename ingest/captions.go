package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Captions tells what a captions file says of pictures. The zero value says nothing.
type Captions struct {
	byName map[string][]captioned // by base name
	images int
}

// captioned is one picture as the file names it.
type captioned struct {
	path  string // with slashes; absolute, relative, or a bare name
	texts []string
}

// LoadCaptions reads a captions file. Four formats are told apart by their content:
//
//	Karpathy JSON  {"images":[{"filepath","filename","sentences":[{"raw"}]}]}
//	COCO JSON      {"images":[{"id","file_name"}],"annotations":[{"image_id","caption"}]}
//	JSONL          {"path"|"file"|"filename"|"file_name"|"image": …, "caption"|"captions"|"text": …} a line,
//	               or one list of such objects; captions may be a string or a list
//	CSV, TSV       path,caption with or without a header; name.jpg#0<TAB>caption as Flickr30k has it
//
// An error wraps [clipsearch.ErrInvalid] and names the line.
func LoadCaptions(file string) (Captions, error) {
	f, err := os.Open(file)
	if err != nil {
		return Captions{}, fmt.Errorf("captions %q: %w: %w", file, plain(err), clipsearch.ErrInvalid)
	}
	defer f.Close()
	c, err := readCaptions(f, strings.ToLower(filepath.Ext(file)))
	if at, ok := errors.AsType[*atOffset](err); ok {
		err = fmt.Errorf("line %d, %w", lineOf(f, at.offset), err)
	}
	if err == nil && c.images == 0 {
		err = fmt.Errorf("no captions are in it: %w", clipsearch.ErrInvalid)
	}
	if err != nil {
		return Captions{}, fmt.Errorf("captions %q: %w", file, plain(err))
	}
	return c, nil
}

// lineOf counts the lines of f up to a byte of it.
func lineOf(f io.ReadSeeker, offset int64) int {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 1
	}
	lines := 1
	r := bufio.NewReader(io.LimitReader(f, offset))
	for {
		if _, err := r.ReadSlice('\n'); err == nil {
			lines++
		} else if err != bufio.ErrBufferFull {
			return lines
		}
	}
}

// readCaptions reads any of the formats; ext decides where the content does not.
func readCaptions(in io.Reader, ext string) (Captions, error) {
	r := bufio.NewReaderSize(in, 64<<10)
	if mark, err := r.Peek(3); err == nil && string(mark) == "\ufeff" {
		r.Discard(3) //nolint:errcheck // it has been peeked at
	}
	head, err := r.Peek(64 << 10)
	if err != nil && err != io.EOF {
		return Captions{}, err
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	first := bytes.TrimLeft(head, " \t\r\n")
	c := Captions{byName: map[string][]captioned{}}
	switch {
	case len(first) == 0:
		return c, nil
	case first[0] == '[' || first[0] == '{':
		err = readJSON(r, &c)
	case ext == ".csv" || ext != ".tsv" && !bytes.ContainsRune(line, '\t'):
		err = readCSV(r, &c)
	default:
		err = readTSV(r, &c)
	}
	return c, err
}

// add says that text describes the picture called name.
func (c *Captions) add(name string, texts ...string) {
	name = path.Clean(filepath.ToSlash(name))
	base := path.Base(name)
	var tidied []string
	for _, text := range texts {
		if text = tidy(text); text != "" {
			tidied = append(tidied, text)
		}
	}
	if len(tidied) == 0 || base == "." || base == "/" {
		return
	}
	same := c.byName[base]
	for i := range same {
		if same[i].path == name {
			same[i].texts = distinct(append(same[i].texts, tidied...))
			return
		}
	}
	c.byName[base] = append(same, captioned{name, distinct(tidied)})
	c.images++
}

// Lookup returns the captions of the picture at path, which must not be changed, or
// nil. Of the pictures that the file calls by this base name, the one that shares
// the most folders with path, from the end, is meant; nobody is where two share as
// many. That finds full paths, relative ones and bare names alike.
func (c Captions) Lookup(path string) []string {
	path = filepath.ToSlash(path)
	var best []string
	most := 0
	for _, cand := range c.byName[path[strings.LastIndexByte(path, '/')+1:]] {
		switch n := shared(path, cand.path); {
		case n > most:
			best, most = cand.texts, n
		case n == most:
			best = nil
		}
	}
	return best
}

// shared counts the elements that end both paths; a path that has no more to
// compare ends there, and then it counts as one more: all of it agrees.
func shared(a, b string) int {
	n := 0
	for a != "" && b != "" {
		i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
		if a[i+1:] != b[j+1:] {
			return n
		}
		n++
		a, b = a[:max(i, 0)], b[:max(j, 0)]
	}
	if b == "" {
		n++
	}
	return n
}
