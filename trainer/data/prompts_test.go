package data

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestPrompts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(name, []byte(`{"templates":["a photo of a {}."],"name_templates":["two {}s"],"wnids":[1],
		"classes":[{"name":"dog","synonyms":["hound"],"definition":"an animal"},{"name":"cup"},{"name":"cat"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := ReadPrompts(name)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	count := map[int]int{}
	d := p.Drawer(1, 2)
	for step := range 300 {
		drawn := d.Draw(step)
		if len(drawn) != 2 || drawn[0].Class == drawn[1].Class || !slices.Equal(drawn, p.Drawer(1, 2).Draw(step)) {
			t.Fatalf("step %d draws %v, then another", step, drawn)
		}
		for _, x := range drawn {
			said[strings.Repeat("*", x.Class)+x.Text] = true
			count[x.Class]++
		}
	}
	for _, want := range []string{"a photo of a dog.", "a photo of a hound.", "two dogs", "an animal", "dog, an animal", "*a photo of a cup.", "*two cups", "**two cats"} {
		if !said[want] {
			t.Errorf("%q is never said", want)
		}
	}
	if len(said) != 9 || count[0] != 200 || count[1] != 200 {
		t.Errorf("%d texts, classes %v: want 9, and each class 200 times", len(said), count)
	}
	if n := len(p.Drawer(1, 99).Draw(0)); n != 3 {
		t.Errorf("99 of three classes are %d", n)
	}
}

func TestPromptErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "not JSON", `{}`: "no classes", `{"classes":[{"name":""}]}`: "class 0 has no name", `{"classes":[{"name":"a"},{"name":"a"}]}`: "both called",
		`{"templates":["a photo"],"classes":[{"name":"a"}]}`: "{} must stand", `{"name_templates":["{}{}"],"classes":[{"name":"a"}]}`: "{} must stand",
	} {
		if _, err := parsePrompts([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want %q and ErrInvalid", text, err, want)
		}
	}
	if _, err := ReadPrompts(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzPrompts(f *testing.F) {
	f.Add([]byte(`{"templates":["a {}"],"classes":[{"name":"a","synonyms":["b"],"definition":"c"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePrompts(text)
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		p.Drawer(1, 8).Draw(0)
	})
}
