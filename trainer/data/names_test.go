package data

import (
	"errors"
	"maps"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestNames(t *testing.T) {
	want := map[string]bool{"a.jpg": true, "b c.jpg": true}
	for _, text := range []string{"a.jpg\r\nb c.jpg\n\n", `["a.jpg", "b c.jpg"]`, "\ufeffa.jpg\nb c.jpg"} {
		if got, err := parseNames([]byte(text)); err != nil || !maps.Equal(got, want) {
			t.Errorf("parseNames(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "[]", "[1]", `{"a.jpg":1}`, "[", "\n \n"} {
		if got, err := parseNames([]byte(text)); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("parseNames(%q) = %v, %v, want ErrInvalid", text, got, err)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte(`["a.jpg"]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if names, err := parseNames(text); err == nil && len(names) == 0 || err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Fatalf("%d names, %v", len(names), err)
		}
	})
}
