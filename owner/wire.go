package owner

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/clipsearch/clipsearch"
)

const (
	maxBody = 256 << 20 // of a call, and so of a batch
	maxText = 1 << 30   // of an answer: the files of millions of pictures

	kindHeader  = "Clipsearch-Error" // the kinds of an error; its message is the body
	nonceHeader = "Clipsearch-Nonce"
	proofHeader = "Clipsearch-Proof"
	spaceHeader = "Clipsearch-Space" // that a call must meet, if any

	lifePath = "/life"
	leftLine = "left\n" // the last word on a lifeline
)

// hello is the first line on a lifeline, as JSON, in every protocol.
type hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version,omitempty"`
	Proof    string `json:"proof"` // that this is the process which wrote the token into owner.json
}

// proof shows that who made it knows the token, and does not show the token.
func proof(token, role, nonce string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(role + " " + nonce))
	return hex.EncodeToString(mac.Sum(nil))
}

// fits refuses a call that is too large before anybody holds it in memory twice.
func fits(name string, size int) error {
	if size > maxBody {
		return fmt.Errorf("%s: %d MB in one call, %d MB at most: use smaller batches: %w", name, size>>20, maxBody>>20, clipsearch.ErrInvalid)
	}
	return nil
}

// Paths are bytes, not always UTF-8, on both ends.
var (
	encMode = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode())
	decMode = must(cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: math.MaxInt32, MaxNestedLevels: 16}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode(v any) ([]byte, error) {
	return encMode.Marshal(portable(v))
}

func decode(data []byte, v any) error {
	if err := decMode.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", err, clipsearch.ErrInvalid)
	}
	return nil
}

// portable is v with times that RFC 3339 can say. A damaged file system has
// files of the year 30828; one of them must not stop its whole batch.
func portable(v any) any {
	switch v := v.(type) {
	case []clipsearch.File:
		return portableFiles(v)
	case []clipsearch.Lack:
		list := append([]clipsearch.Lack{}, v...)
		for i := range list {
			list[i].Image = portableImage(list[i].Image)
		}
		return list
	case clipsearch.Image:
		return portableImage(v)
	case []clipsearch.Entry:
		batch := append([]clipsearch.Entry{}, v...)
		for i := range batch {
			batch[i].Image = portableImage(batch[i].Image)
		}
		return batch
	case []clipsearch.Record:
		return portableRecords(v)
	case clipsearch.Salvaged:
		v.Records = portableRecords(v.Records)
		return v
	case importQuery:
		v.Batch = portableRecords(v.Batch)
		return v
	}
	return v
}

func portableRecords(batch []clipsearch.Record) []clipsearch.Record {
	batch = append([]clipsearch.Record{}, batch...)
	for i := range batch {
		batch[i].Image = portableImage(batch[i].Image)
	}
	return batch
}

func portableImage(m clipsearch.Image) clipsearch.Image {
	m.Files = portableFiles(m.Files)
	if _, offset := m.TakenAt.Zone(); offset%60 != 0 {
		m.TakenAt = m.TakenAt.UTC() // local mean time, before there were zones
	}
	m.TakenAt = portableTime(m.TakenAt)
	return m
}

func portableFiles(files []clipsearch.File) []clipsearch.File {
	if files == nil {
		return nil
	}
	out := make([]clipsearch.File, len(files))
	for i, f := range files {
		f.ModTime = portableTime(f.ModTime.UTC()) // an instant; its zone says nothing
		out[i] = f
	}
	return out
}

// portableTime is t, or no time where its year has more than four digits.
func portableTime(t time.Time) time.Time {
	if y := t.Year(); y < 1 || y > 9998 { // the margin is for zones
		return time.Time{}
	}
	return t
}
