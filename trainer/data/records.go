package data

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// record is a picture with captions as JSON has it, under one of several keys.
type record struct {
	Image, Filename, Filepath, Path string
	FileName                        string `json:"file_name"`
	ImagePath                       string `json:"image_path"`
	Split                           string

	Caption, Text, Title texts
	Captions, Texts      texts
}

func (r record) name() string {
	return cmp.Or(r.Image, r.FileName, r.Filename, r.Filepath, r.Path, r.ImagePath)
}

// captions returns those of the first key that has some: files that have several say
// the same under each.
func (r record) captions() []string {
	for _, t := range []texts{r.Captions, r.Caption, r.Text, r.Texts, r.Title} {
		if len(t) > 0 {
			return t
		}
	}
	return nil
}

// texts is a text or an array of them.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	*t = nil
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(t))
	}
	var one *string
	if err := json.Unmarshal(b, &one); err != nil || one == nil {
		return err
	}
	*t = texts{*one}
	return nil
}

// parseRecords reads records that follow one another, or an array of them.
func parseRecords(text []byte) ([]picture, error) {
	array := text[0] == '['
	d := json.NewDecoder(bytes.NewReader(text))
	if array {
		if _, err := d.Token(); err != nil {
			return nil, invalid("this is not JSON: %v", err)
		}
	}
	var g gatherer
	for n := 1; !array || d.More(); n++ {
		var r record
		err := d.Decode(&r)
		switch {
		case errors.Is(err, io.EOF) && !array:
			return g.done()
		case err != nil:
			return nil, invalid("record %d, in front of byte %d, is not a picture with captions: %v", n, d.InputOffset(), err)
		case strings.TrimSpace(r.name()) == "":
			return nil, invalid("record %d names no picture: its key must be image or file_name", n)
		}
		g.add(place{"record", n}, r.name(), r.Split, r.captions()...)
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid("the array of records does not end: %v", err)
	}
	return g.done()
}
