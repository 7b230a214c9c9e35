package eval

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
)

// entry is a picture as an annotation file has it.
type entry struct {
	name, folder string // of the file; the folder may be empty
	split        string // empty where the file has no splits
	captions     []string
}

// parseAnnotations reads any of the forms that captions circulate in, told apart
// by what is in them:
//
//   - Karpathy's JSON: images with sentences and split
//   - COCO's JSON: images, and annotations that name them by id
//   - CLIP_benchmark's text: a heading, then "name.jpg,caption" lines
//   - Flickr's token file: "name.jpg#0<tab>caption" lines
func parseAnnotations(text []byte) ([]entry, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseJSON(text)
	}
	return parseLines(string(text))
}

func parseJSON(text []byte) ([]entry, error) {
	var file struct {
		Images []struct {
			Filename  string
			Filepath  string
			Split     string
			Sentences []struct{ Raw string }

			FileName string          `json:"file_name"`
			ID       json.RawMessage // a number, or a string
		}
		Annotations []struct {
			ImageID json.RawMessage `json:"image_id"`
			Caption string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, invalid("this is not JSON with captions: %v", err)
	}
	entries := make([]entry, len(file.Images))
	at := map[string]int{}
	for i, m := range file.Images {
		e := entry{name: m.Filename, folder: m.Filepath, split: m.Split}
		for _, s := range m.Sentences {
			e.captions = append(e.captions, s.Raw)
		}
		if file.Annotations != nil {
			e = entry{name: m.FileName}
			at[string(m.ID)] = i
		}
		if e.name == "" {
			return nil, invalid("image %d has no file name", i)
		}
		entries[i] = e
	}
	for _, a := range file.Annotations {
		i, ok := at[string(a.ImageID)]
		if !ok {
			return nil, invalid("a caption names image %s, which is not among the images", a.ImageID)
		}
		entries[i].captions = append(entries[i].captions, a.Caption)
	}
	if len(entries) == 0 {
		return nil, invalid("there are no images in it")
	}
	return entries, nil
}

// parseLines gathers the captions of a picture in the order of the lines, and
// the pictures in the order of their first.
func parseLines(text string) ([]entry, error) {
	var entries []entry
	at := map[string]int{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		name, caption, split, ok := cutLine(line)
		if line == "" || n == 1 && !ok {
			continue // the heading
		}
		if !ok {
			return nil, invalid("line %d is neither \"name.jpg,caption\" nor \"name.jpg#0<tab>caption\"", n)
		}
		i, known := at[name]
		if !known {
			i = len(entries)
			at[name] = i
			entries = append(entries, entry{name: filepath.FromSlash(name), split: split})
		}
		entries[i].captions = append(entries[i].captions, strings.TrimSpace(caption))
	}
	if len(entries) == 0 {
		return nil, invalid("there are no captions in it")
	}
	return entries, nil
}

// cutLine reads one line. Captions may hold commas, so it is the extension in
// front of the first one that ends the name.
func cutLine(line string) (name, caption, split string, ok bool) {
	if head, tail, found := strings.Cut(line, "\t"); found {
		if name, _, numbered := strings.Cut(head, "#"); numbered && name != "" {
			return name, tail, "", true
		}
	}
	name, caption, ok = strings.Cut(line, ".jpg,")
	return name + ".jpg", caption, "test", ok && name != ""
}
