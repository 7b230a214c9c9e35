package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/internal/captions"
)

// source is the pictures that a file names, of all its splits.
type source struct {
	name     string // for messages
	dir      string // that the pictures are near to
	pictures []picture
}

// open reads what data names.
func open(data string) (*source, error) {
	if data == "" {
		return nil, invalid("no data set is named")
	}
	if shards, err := shardsOf(data); len(shards) > 0 || err != nil {
		if err != nil {
			return nil, err
		}
		return openShards(data, shards)
	}
	file, err := listFile(data)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid("read annotations: %v", err)
	}
	all, err := parse(file, text)
	if err != nil {
		return nil, fmt.Errorf("read annotations %s: %w", file, err)
	}
	return &source{file, filepath.Dir(file), all}, nil
}

// listFile returns the file that data names: itself, or the one in the folder that it is.
func listFile(data string) (string, error) {
	if info, err := os.Stat(data); err == nil && info.IsDir() {
		entries, err := os.ReadDir(data)
		if err != nil {
			return "", invalid("data %s: %v", data, err)
		}
		var lists []string
		for _, e := range entries {
			if slices.Contains([]string{".tsv", ".csv", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(e.Name()))) {
				lists = append(lists, filepath.Join(data, e.Name()))
			}
		}
		known, err := captions.File(data, "karpathy")
		switch {
		case err == nil || len(lists) == 0:
			return known, err
		case len(lists) > 1:
			return "", invalid("data %s holds %d lists: name one of them, as %s", data, len(lists), lists[0])
		}
		return lists[0], nil
	}
	return captions.File(data, "karpathy")
}

// parse reads a file of captions in any of the forms. Its name counts only where the
// text may be of several.
func parse(name string, text []byte) ([]picture, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	head := bytes.TrimSpace(text)
	switch ext := strings.ToLower(filepath.Ext(name)); {
	case len(head) == 0:
		return nil, invalid("there is nothing in it")
	case head[0] == '[':
		return parseRecords(head)
	case head[0] == '{' && (ext == ".jsonl" || ext == ".ndjson" || isRecord(head)):
		return parseRecords(head)
	case head[0] == '{':
		all, err := captions.Parse(text)
		return pictures(all), err
	case ext == ".csv":
		return parseTable(text, ',')
	case ext == ".tsv":
		return parseTable(text, '\t')
	default:
		return parseTable(text, separator(text))
	}
}

// isRecord reports whether text begins with a line that is an object of its own, and
// not a file of images.
func isRecord(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	var keys map[string]json.RawMessage
	return json.Unmarshal(line, &keys) == nil && keys["images"] == nil
}

func pictures(all []captions.Picture) []picture {
	own := make([]picture, len(all))
	for i, p := range all {
		own[i].Picture, own[i].named = p, place{"picture", i + 1}
	}
	return own
}

// gatherer puts the captions of a picture together, in the order of their coming.
type gatherer struct {
	all []picture
	at  map[string]int
}

func (g *gatherer) add(named place, name, split string, texts ...string) {
	if g.at == nil {
		g.at = map[string]int{}
	}
	i, known := g.at[name]
	if !known {
		i = len(g.all)
		g.at[name] = i
		g.all = append(g.all, picture{Picture: captions.Picture{Name: filepath.FromSlash(name), Split: split}, named: named})
	}
	g.all[i].Captions = append(g.all[i].Captions, texts...)
}

// done returns the pictures; what names the lines that were read.
func (g *gatherer) done() ([]picture, error) {
	if len(g.all) == 0 {
		return nil, invalid("there are no captions in it")
	}
	return g.all, nil
}
