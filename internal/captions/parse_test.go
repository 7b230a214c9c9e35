package captions

import (
	"errors"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"images":[{"filename":"a.jpg","split":"test","sentences":[{"raw":"one"}]}]}`,
		`{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"caption":"one"}]}`,
		"image,caption\na.jpg,one\n", "a.jpg#0\tone\n", "\ufeff{}", "\n\n", ".jpg,x", "#0\tx",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", text, err)
			}
			return
		}
		for _, e := range entries {
			if e.Name == "" {
				t.Fatalf("%q: a picture without a name", text)
			}
		}
	})
}
