package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// captionImage is an element of "images", Karpathy's or COCO's.
type captionImage struct {
	ID        json.Number `json:"id"`
	FileName  string      `json:"file_name"`
	FilePath  string      `json:"filepath"`
	Filename  string      `json:"filename"`
	Sentences []struct {
		Raw string `json:"raw"`
	} `json:"sentences"`
}

// captionNote is an element of COCO's "annotations".
type captionNote struct {
	ImageID json.Number `json:"image_id"`
	Caption string      `json:"caption"`
}

// captionObject is a line of JSONL, or an element of a list.
type captionObject struct {
	Path     string    `json:"path"`
	File     string    `json:"file"`
	Filename string    `json:"filename"`
	FileName string    `json:"file_name"`
	Image    string    `json:"image"`
	Caption  oneOrMore `json:"caption"`
	Captions oneOrMore `json:"captions"`
	Text     oneOrMore `json:"text"`
}

func (o captionObject) addTo(c *Captions) error {
	for _, name := range []string{o.Path, o.File, o.Filename, o.FileName, o.Image} {
		if name != "" {
			c.add(name, slices.Concat(o.Caption, o.Captions, o.Text)...)
			return nil
		}
	}
	return fmt.Errorf(`no picture is named: "path", "file", "filename" or "image" is wanted: %w`, clipsearch.ErrInvalid)
}

// oneOrMore is a list of texts, written as one where it is only one.
type oneOrMore []string

func (t *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// jsonCaptions reads one element after the other, so that COCO's 100 MB are never
// in memory at once.
type jsonCaptions struct {
	*json.Decoder
	into  *Captions
	ids   []json.Number // of COCO's images, in their order
	names map[json.Number]string
	notes map[json.Number][]string
}

// readJSON reads one object of lists, a list of objects, or an object a line.
func readJSON(in io.Reader, into *Captions) error {
	d := jsonCaptions{json.NewDecoder(in), into, nil, map[json.Number]string{}, map[json.Number][]string{}}
	for {
		err := d.value()
		if err == io.EOF {
			break
		}
		if err != nil {
			return d.at(err)
		}
	}
	for _, id := range d.ids {
		into.add(d.names[id], d.notes[id]...)
	}
	return nil
}

// at says where d stands.
func (d *jsonCaptions) at(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends in the middle")
	}
	return &atOffset{d.InputOffset(), err}
}

// atOffset is an error at a byte of the file.
type atOffset struct {
	offset int64
	err    error
}

func (e *atOffset) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }

// Unwrap marks what is wrong with the file as the caller's mistake.
func (e *atOffset) Unwrap() []error { return []error{clipsearch.ErrInvalid, e.err} }

// value reads what the file, or the next line of it, consists of.
func (d *jsonCaptions) value() error {
	begin, err := d.Token()
	if err != nil {
		return err
	}
	switch begin {
	case json.Delim('['):
		return elements(d, func(o captionObject) error { return o.addTo(d.into) })
	case json.Delim('{'):
		return d.object()
	}
	return fmt.Errorf("%v is neither a list nor an object", begin)
}

// object reads the rest of an object: one that holds lists, or one that is a picture.
func (d *jsonCaptions) object() error {
	var fields map[string]json.RawMessage
	lists := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "images":
			lists, err = true, d.list(func() error { return elements(d, d.image) })
		case "annotations":
			lists, err = true, d.list(func() error { return elements(d, d.note) })
		default:
			var value json.RawMessage
			if err = d.Decode(&value); err == nil && !lists {
				if fields == nil {
					fields = map[string]json.RawMessage{}
				}
				fields[key.(string)] = value
			}
		}
		if err != nil {
			return ended(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return ended(err)
	}
	if lists {
		return nil
	}
	return d.picture(fields)
}

// picture takes an object of a JSONL file.
func (d *jsonCaptions) picture(fields map[string]json.RawMessage) error {
	whole, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	var o captionObject
	if err := json.Unmarshal(whole, &o); err != nil {
		return err
	}
	return o.addTo(d.into)
}

// list reads a value that must be a list.
func (d *jsonCaptions) list(elements func() error) error {
	begin, err := d.Token()
	if err != nil {
		return err
	}
	if begin != json.Delim('[') {
		return fmt.Errorf("%v where a list should be", begin)
	}
	return elements()
}

// elements reads the rest of a list.
func elements[T any](d *jsonCaptions, take func(T) error) error {
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			return ended(err)
		}
		if err := take(v); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return ended(err)
}

// ended tells an end within a value from the end of the file.
func ended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *jsonCaptions) image(m captionImage) error {
	switch {
	case m.Filename != "":
		for _, s := range m.Sentences {
			d.into.add(path.Join(m.FilePath, m.Filename), s.Raw)
		}
	case m.FileName != "" && m.ID != "":
		d.ids = append(d.ids, m.ID)
		d.names[m.ID] = m.FileName
	default:
		return errors.New(`an image has neither "filename" nor "id" and "file_name"`)
	}
	return nil
}

func (d *jsonCaptions) note(n captionNote) error {
	d.notes[n.ImageID] = append(d.notes[n.ImageID], n.Caption)
	return nil
}
