package captions

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
)

// Picture is a picture as an annotation file has it.
type Picture struct {
	Name, Folder string // of the file; the folder may be empty
	Split        string // empty where the file has no splits
	Captions     []string
}

// Parse reads any of the forms that captions circulate in, told apart
// by what is in them:
//
//   - Karpathy's JSON: images with sentences and split
//   - COCO's JSON: images, and annotations that name them by id
//   - CLIP_benchmark's text: a heading, then "name.jpg,caption" lines
//   - Flickr's token file: "name.jpg#0<tab>caption" lines
func Parse(text []byte) ([]Picture, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseJSON(text)
	}
	return parseLines(string(text))
}

func parseJSON(text []byte) ([]Picture, error) {
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
	all := make([]Picture, len(file.Images))
	at := map[string]int{}
	for i, m := range file.Images {
		p := Picture{Name: m.Filename, Folder: m.Filepath, Split: m.Split}
		for _, s := range m.Sentences {
			p.Captions = append(p.Captions, s.Raw)
		}
		if file.Annotations != nil {
			p = Picture{Name: m.FileName}
			at[string(m.ID)] = i
		}
		if p.Name == "" {
			return nil, invalid("image %d has no file name", i)
		}
		all[i] = p
	}
	for _, a := range file.Annotations {
		i, ok := at[string(a.ImageID)]
		if !ok {
			return nil, invalid("a caption names image %s, which is not among the images", a.ImageID)
		}
		all[i].Captions = append(all[i].Captions, a.Caption)
	}
	if len(all) == 0 {
		return nil, invalid("there are no images in it")
	}
	return all, nil
}

// parseLines gathers the captions of a picture in the order of the lines, and
// the pictures in the order of their first.
func parseLines(text string) ([]Picture, error) {
	var all []Picture
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
			i = len(all)
			at[name] = i
			all = append(all, Picture{Name: filepath.FromSlash(name), Split: split})
		}
		all[i].Captions = append(all[i].Captions, strings.TrimSpace(caption))
	}
	if len(all) == 0 {
		return nil, invalid("there are no captions in it")
	}
	return all, nil
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
