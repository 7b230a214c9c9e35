package stream

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// line is a picture in pictures/<shard>.ndjson.
type line struct {
	ID       clipsearch.ID            `json:"id"`
	Files    []fileLine               `json:"files"`
	Format   text                     `json:"format"`
	Width    int                      `json:"width"`
	Height   int                      `json:"height"`
	Bytes    int64                    `json:"bytes"`
	TakenAt  *moment                  `json:"taken_at,omitempty"`
	Camera   text                     `json:"camera,omitempty"`
	Captions []text                   `json:"captions,omitempty"`
	Tags     []text                   `json:"tags,omitempty"`
	NoThumb  bool                     `json:"no_thumbnail,omitempty"` // it was lost
	Vectors  map[clipsearch.Space]row `json:"vectors"`
}

type fileLine struct {
	Path    text    `json:"path"`
	Size    int64   `json:"size"`
	ModTime *moment `json:"mtime,omitempty"`
}

// row says where a picture's vectors are in the files of its shard.
type row struct {
	Row         int `json:"row"`
	Rows        int `json:"rows"`
	CaptionRow  int `json:"caption_row,omitempty"`
	CaptionRows int `json:"caption_rows,omitempty"`

	Thumb bool `json:"from_thumbnail,omitempty"` // the rows of the picture were made of its thumbnail
}

func newLine(r clipsearch.Record) line {
	l := line{
		ID: r.ID, Files: []fileLine{}, Format: text(r.Format), Width: r.Width, Height: r.Height, Bytes: r.Bytes,
		TakenAt: newMoment(r.TakenAt), Camera: text(r.Camera), Captions: textsOf(r.Captions), Tags: textsOf(r.Tags),
		NoThumb: len(r.Thumb) == 0, Vectors: map[clipsearch.Space]row{},
	}
	for _, f := range r.Files {
		l.Files = append(l.Files, fileLine{text(f.Path), f.Size, newMoment(f.ModTime.UTC())})
	}
	return l
}

// record is the inverse of newLine.
func (l line) record() clipsearch.Record {
	r := clipsearch.Record{Image: clipsearch.Image{
		ID: l.ID, Format: string(l.Format), Width: l.Width, Height: l.Height, Bytes: l.Bytes,
		TakenAt: l.TakenAt.time(), Camera: string(l.Camera), Captions: stringsOf(l.Captions), Tags: stringsOf(l.Tags),
	}}
	for _, f := range l.Files {
		r.Files = append(r.Files, clipsearch.File{Path: string(f.Path), Size: f.Size, ModTime: f.ModTime.time()})
	}
	return r
}

func textsOf(list []string) []text {
	var out []text
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}

func stringsOf(list []text) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// text is a string in JSON, or {"base64": …} where its bytes are not UTF-8.
type text string

type rawText struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements [json.Marshaler].
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // grep finds names with & in them
		err := enc.Encode(string(t))
		return b.Bytes(), err
	}
	return json.Marshal(rawText{[]byte(t)})
}

// UnmarshalJSON is the inverse of [text.MarshalJSON].
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var raw rawText
	err := json.Unmarshal(b, &raw)
	*t = text(raw.Base64)
	return err
}

// moment is a time as RFC 3339 has it, or {"seconds", "nanoseconds", "offset"} since
// 1970 where that cannot say it: in years of five digits, or with zones of odd
// seconds. nil is the zero time.
type moment time.Time

type rawMoment struct {
	Seconds     int64 `json:"seconds"`
	Nanoseconds int64 `json:"nanoseconds"`
	Offset      int   `json:"offset"` // of the zone, seconds east
}

func newMoment(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	return (*moment)(&t)
}

func (m *moment) time() time.Time {
	if m == nil {
		return time.Time{}
	}
	return time.Time(*m)
}

// MarshalJSON implements [json.Marshaler].
func (m moment) MarshalJSON() ([]byte, error) {
	t := time.Time(m)
	_, offset := t.Zone()
	if y := t.Year(); y >= 0 && y <= 9999 && offset%60 == 0 && offset > -24*3600 && offset < 24*3600 {
		return json.Marshal(t.Format(time.RFC3339Nano))
	}
	return json.Marshal(rawMoment{t.Unix(), int64(t.Nanosecond()), offset})
}

// UnmarshalJSON is the inverse of [moment.MarshalJSON].
func (m *moment) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		*m = moment(t)
		return err
	}
	var raw rawMoment
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if raw.Offset <= -24*3600 || raw.Offset >= 24*3600 || raw.Nanoseconds < 0 || raw.Nanoseconds >= 1e9 {
		return invalid("a time of %d nanoseconds in a zone of %d seconds", raw.Nanoseconds, raw.Offset)
	}
	t := time.Unix(raw.Seconds, raw.Nanoseconds)
	*m = moment(t.In(time.FixedZone("", raw.Offset)))
	if raw.Offset == 0 {
		*m = moment(t.UTC())
	}
	return nil
}
