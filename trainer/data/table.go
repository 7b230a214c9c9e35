package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
)

// The headings that columns go by, in lower case.
var (
	pathHeadings    = []string{"filepath", "file_path", "path", "image", "image_path", "file_name", "filename", "file", "image_name"}
	captionHeadings = []string{"title", "caption", "text", "sentence", "raw", "caption_text"}
	splitHeadings   = []string{"split"}
)

// separator returns what stands between the columns of a text's first line.
func separator(text []byte) rune {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.ContainsRune(line, '\t') {
		return '\t'
	}
	return ','
}

// columns say where in a row a path, a caption and a split are; -1: nowhere.
type columns struct{ path, caption, split int }

// heading returns the columns that a first row names, if it does.
func heading(row []string) (columns, bool) {
	find := func(names []string) int {
		for _, name := range names { // the first of the names counts, wherever it is
			at := slices.IndexFunc(row, func(s string) bool { return strings.ToLower(strings.TrimSpace(s)) == name })
			if at >= 0 {
				return at
			}
		}
		return -1
	}
	c := columns{find(pathHeadings), find(captionHeadings), find(splitHeadings)}
	return c, c.path >= 0 && c.caption >= 0
}

// parseTable reads rows of a path and a caption. A first row that names its columns
// may put them in any order.
func parseTable(text []byte, comma rune) ([]picture, error) {
	next := tabbed(string(text))
	if comma != '\t' {
		next = commas(text, comma)
	}
	var g gatherer
	c, whole := columns{0, 1, -1}, true // a caption may have commas in it
	for first := true; ; first = false {
		row, line, err := next()
		if errors.Is(err, io.EOF) {
			return g.done()
		}
		if err != nil {
			return nil, invalid("%v", err)
		}
		if len(row) == 0 || len(row) == 1 && strings.TrimSpace(row[0]) == "" {
			continue
		}
		if named, ok := heading(row); first && ok {
			c, whole = named, len(row) == 2 && named.caption == 1
			continue
		}
		if len(row) <= max(c.path, c.caption) || strings.TrimSpace(row[c.path]) == "" {
			return nil, invalid("line %d has %d columns: it must have the path of a picture and a caption, with %q between them", line, len(row), comma)
		}
		split := ""
		if c.split >= 0 && c.split < len(row) {
			split = strings.TrimSpace(row[c.split])
		}
		caption := row[c.caption]
		if whole {
			caption = strings.Join(row[c.caption:], string(comma))
		}
		g.add(place{"line", line}, unnumbered(strings.TrimSpace(row[c.path])), split, caption)
	}
}

// unnumbered cuts off the number of a caption that Flickr's files put behind a name.
func unnumbered(name string) string {
	head, tail, ok := strings.Cut(name, "#")
	if ok && head != "" && tail != "" && strings.Trim(tail, "0123456789") == "" {
		return head
	}
	return name
}

// rows returns the next row and the number of its line, or [io.EOF].
type rows func() (row []string, line int, err error)

// tabbed reads lines that tabs divide. Quotes are part of a caption unless they stand
// around all of it: many such files quote nothing.
func tabbed(text string) rows {
	line := 0
	return func() ([]string, int, error) {
		if text == "" {
			return nil, line, io.EOF
		}
		head, tail, _ := strings.Cut(text, "\n")
		text = tail
		line++
		row := strings.Split(strings.TrimSuffix(head, "\r"), "\t")
		for i, s := range row {
			if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
				row[i] = strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
			}
		}
		return row, line, nil
	}
}

func commas(text []byte, comma rune) rows {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = comma, -1, true, true
	return func() ([]string, int, error) {
		row, err := r.Read()
		if err != nil {
			return nil, 0, err
		}
		line, _ := r.FieldPos(0)
		return row, line, nil
	}
}
