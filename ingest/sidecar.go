package ingest

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// maxSidecar bounds what is read of a text beside a picture.
const maxSidecar = 64 << 10

// sidecarNames are the paths where texts on the picture at path may lie:
// photo.txt and photo.jpg.txt for photo.jpg.
func sidecarNames(path string) []string {
	return []string{strings.TrimSuffix(path, filepath.Ext(path)) + ".txt", path + ".txt"}
}

// texts are the names of the .txt files of one folder: its listing tells which
// pictures have sidecars, without a look at the disk for each.
type texts map[string]bool

func textNames(entries []fs.DirEntry) texts {
	t := texts{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".txt") && !e.IsDir() {
			t[e.Name()] = true
		}
	}
	return t
}

// of returns the sidecars of the picture at path.
func (t texts) of(path string) []string {
	if len(t) == 0 {
		return nil
	}
	var have []string
	for _, text := range sidecarNames(path) {
		if t[filepath.Base(text)] {
			have = append(have, text)
		}
	}
	return have
}

// captions returns what the captions file and the sidecars say of f, each text once;
// nil where nothing does. A sidecar that cannot be read says nothing.
func (p *Pipeline) captions(f found) []string {
	all := slices.Clone(p.Captions.Lookup(f.file.Path))
	for _, path := range f.texts {
		all = append(all, readSidecar(path)...)
	}
	return distinct(all)
}

func readSidecar(path string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSidecar))
	if err != nil {
		return nil
	}
	if len(data) == maxSidecar { // the last line may be cut
		data = data[:strings.LastIndexByte(string(data), '\n')+1]
	}
	return parseSidecar(string(data))
}

// parseSidecar takes each line that is not empty as a caption.
func parseSidecar(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = tidy(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// tidy makes a text one line of UTF-8 without space around it.
func tidy(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
}

// distinct drops what came before; nil stays nil.
func distinct(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}

// change returns the captions that the record of a picture should have when the
// file at path brings these, or nil where it has them. A picture with other files
// keeps what those have brought.
func change(rec clipsearch.Image, path string, captions, gone []string) []string {
	if captions == nil {
		return nil
	}
	others := slices.ContainsFunc(rec.Files, func(f clipsearch.File) bool {
		return f.Path != path && !slices.Contains(gone, f.Path)
	})
	if others {
		captions = distinct(slices.Concat(rec.Captions, captions))
	}
	if slices.Equal(captions, rec.Captions) {
		return nil
	}
	return captions
}
