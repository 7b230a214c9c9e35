package stream

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Version is the version of the format that is written.
const Version = 1

const (
	formatName   = "clipsearch-export"
	manifestName = "manifest.json"
	endName      = "end.json"
	headName     = "head"
	headSums     = "sums/" + headName + ".sha256"
)

// Manifest is the first entry. Its counts are those of the moment when the export
// began; End has those of what was written.
type Manifest struct {
	Format   string           `json:"format"` // "clipsearch-export"
	Version  int              `json:"version"`
	Program  string           `json:"program,omitempty"` // that wrote it
	Created  time.Time        `json:"created"`
	Space    clipsearch.Space `json:"space"`              // the one that answers
	Model    string           `json:"model"`              // of that space
	Dim      int              `json:"dim"`                // of that space
	Language string           `json:"language,omitempty"` // of the words; empty is the index's default
	Images   int              `json:"images"`
	Files    int              `json:"files"`
	Captions int              `json:"captions"`
	Spaces   []Space          `json:"spaces"`
}

// Space is one space of a stream.
type Space struct {
	clipsearch.SpaceModel
	Images int  `json:"images"` // that have vectors of it, when the export began
	Files  bool `json:"files"`  // of the model are in the stream
}

// End is the last entry.
type End struct {
	Shards   int    `json:"shards"`
	Images   int    `json:"images"`
	Files    int    `json:"files"` // places where pictures were seen
	Captions int    `json:"captions"`
	Vectors  int    `json:"vectors"` // of pictures and captions, in all spaces
	SHA256   string `json:"sha256"`  // of the contents of all entries in sums/, one after the other
}

// valid returns an error wrapping [clipsearch.ErrInvalid] unless m can be worked with.
func (m Manifest) valid() error {
	switch {
	case m.Format != formatName:
		return invalid("its %s says format %q, not %q: it is no export of clipsearch", manifestName, m.Format, formatName)
	case m.Version < 1 || m.Version > Version:
		return invalid("it has version %d of the format and this program knows %d: update clipsearch", m.Version, Version)
	case len(m.Spaces) > 1<<10:
		return invalid("its %s lists %d spaces", manifestName, len(m.Spaces))
	}
	active := false
	seen := map[clipsearch.Space]bool{}
	for _, s := range m.Spaces {
		if s.Space == (clipsearch.Space{}) || s.Dim < 1 || s.Dim > 1<<16 || seen[s.Space] {
			return invalid("its %s lists a space %.12s of %d numbers that cannot be, or twice", manifestName, s.Space, s.Dim)
		}
		seen[s.Space] = true
		active = active || s.Space == m.Space && s.Dim == m.Dim && s.Model == m.Model
	}
	if !active {
		return invalid("its %s does not list the space that answers, %.12s of %d numbers", manifestName, m.Space, m.Dim)
	}
	return nil
}

// dims are the dimensions of the spaces.
func (m Manifest) dims() map[clipsearch.Space]int {
	dims := map[clipsearch.Space]int{}
	for _, s := range m.Spaces {
		dims[s.Space] = s.Dim
	}
	return dims
}

// Models are the spaces as an index wants to know them.
func (m Manifest) Models() []clipsearch.SpaceModel {
	list := make([]clipsearch.SpaceModel, len(m.Spaces))
	for i, s := range m.Spaces {
		list[i] = s.SpaceModel
	}
	return list
}

func shardName(n int) string { return fmt.Sprintf("%06d", n) }

func modelPrefix(s clipsearch.Space) string { return "models/" + s.String() + "/" }

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("stream: a value of our own cannot be encoded: " + err.Error())
	}
	return append(b, '\n')
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}
