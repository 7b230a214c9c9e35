package ingest

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// columns are where a table has picture and caption. A row with more fields than
// the header is a caption with commas in it that nobody quoted.
type columns struct{ path, caption, fields int }

// header reads the first row: whether it names columns, and which.
func header(row []string) (columns, bool) {
	named := func(names ...string) int {
		return slices.IndexFunc(row, func(cell string) bool {
			return slices.Contains(names, strings.ToLower(strings.TrimSpace(cell)))
		})
	}
	p := named("path", "filepath", "file", "filename", "file_name", "image", "image_name", "image_path", "name")
	c := named("caption", "captions", "text", "comment", "sentence", "description", "title")
	if p < 0 || c < 0 {
		return columns{0, 1, 2}, false
	}
	return columns{p, c, len(row)}, true
}

// take adds one row.
func (k columns) take(into *Captions, row []string, separator string) error {
	if len(row) <= max(k.path, k.caption) {
		return errors.New("a path and a caption are wanted")
	}
	name := strings.TrimSpace(row[k.path])
	if name == "" {
		return errors.New("the path is empty")
	}
	caption := row[k.caption]
	if k.caption == k.fields-1 {
		caption = strings.Join(row[k.caption:], separator)
	}
	into.add(unnumbered(name), caption)
	return nil
}

// unnumbered drops the number of the caption: name.jpg#0 is name.jpg.
func unnumbered(name string) string {
	i := strings.LastIndexByte(name, '#')
	if i <= 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return name
	}
	return name[:i]
}

// readCSV reads comma-separated values. Quotes within a field that does not begin
// with one are text.
func readCSV(in io.Reader, into *Captions) error {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	var k columns
	for n := 0; ; n++ {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", err, clipsearch.ErrInvalid) // it tells the line
		}
		if n == 0 {
			var named bool
			if k, named = header(row); named {
				continue
			}
		}
		if err := k.take(into, row, ","); err != nil {
			line, _ := r.FieldPos(0)
			return atLine(line, err)
		}
	}
}

// readTSV reads lines of tab-separated values, in which quotes are text.
func readTSV(in io.Reader, into *Captions) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var k columns
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		row := strings.Split(line, "\t")
		if k.fields == 0 {
			var named bool
			if k, named = header(row); named {
				continue
			}
		}
		if err := k.take(into, row, " "); err != nil {
			return atLine(n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return atLine(n+1, err)
	}
	return nil
}

func atLine(n int, err error) error {
	return fmt.Errorf("line %d: %w: %w", n, err, clipsearch.ErrInvalid)
}
