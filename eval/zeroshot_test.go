package eval_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// named is a data set in which picture i is of colour i, and of a class whose name
// has i letters.
func named(n int) eval.ZeroShotOptions {
	d := eval.Labelled{Name: "x", Split: "test"}
	for i := range n {
		d.Classes = append(d.Classes, strings.Repeat("x", i+1))
		d.Items = append(d.Items, eval.LabelledItem{Path: fmt.Sprint(i + 1), Label: i})
	}
	return eval.ZeroShotOptions{Dataset: d, Encoder: painter{}, Decode: paint, Templates: []string{"{}"}, Model: "m", Threads: 3}
}

func TestZeroShot(t *testing.T) {
	o, last := named(40), 0
	o.BaseClasses = 10
	o.Progress = func(done, total int) {
		if done <= last || total != 80 {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}
	r, err := eval.ZeroShot(context.Background(), o)
	if err != nil || r.Top1 != 1 || r.HarmonicMean != 1 || r.Images != 40 || r.Classes != 40 || r.Templates != 1 || !r.Complete || last != 80 {
		t.Errorf("%+v, error %v, want full marks", r, err)
	}
	o.Progress, o.Dataset.Missing, o.Templates = nil, 1, []string{"{}!", "{}{}"} // two names: the name's own colour is no more the nearest
	r, err = eval.ZeroShot(context.Background(), o)
	if err != nil || r.Top1 > .1 || r.Templates != 2 || r.Complete || r.Missing != 1 {
		t.Errorf("with templates: %+v, error %v", r, err)
	}
}

// planes encodes the texts that it knows, and every picture as (.8, .6).
type planes map[string][]float32

func (planes) Fit(img image.Image) *image.RGBA { return img.(*image.RGBA) }

func (p planes) EncodeImages(context.Context, []image.Image) ([]clipsearch.Vector, error) {
	return []clipsearch.Vector{{.8, .6}}, nil
}

func (p planes) EncodeTexts(_ context.Context, texts []string) (out []clipsearch.Vector, err error) {
	for _, t := range texts {
		out = append(out, p[t])
	}
	return out, nil
}

// The mean of a class's prompts is brought to unit length: without that b, whose
// prompts disagree, would be further from the picture at (.8, .6) than a.
func TestZeroShotMean(t *testing.T) {
	enc := planes{
		"1 a": {.6, .8}, "2 a": {.6, .8}, // product .96
		"1 b": {0, 1}, "2 b": {1, 0}, // mean (.5, .5): product .7, of unit length .99
	}
	d := eval.Labelled{Classes: []string{"a", "b"}, Items: []eval.LabelledItem{{Path: "1", Label: 1}}}
	r, err := eval.ZeroShot(context.Background(), eval.ZeroShotOptions{Dataset: d, Encoder: enc, Decode: paint, Templates: []string{"1 {}", "2 {}"}})
	if err != nil || r.Top1 != 1 {
		t.Errorf("top-1 %v, error %v, want 1", r.Top1, err)
	}
	enc["2 b"] = []float32{0, -1}
	_, err = eval.ZeroShot(context.Background(), eval.ZeroShotOptions{Dataset: d, Encoder: enc, Decode: paint, Templates: []string{"1 {}", "2 {}"}})
	if err == nil || !strings.Contains(err.Error(), `class "b"`) {
		t.Errorf("prompts that cancel out: error %v", err)
	}
}

func TestZeroShotRefuses(t *testing.T) {
	for says, change := range map[string]func(*eval.ZeroShotOptions){
		"there is no template":   func(o *eval.ZeroShotOptions) { o.Templates = nil },
		"template 2, \"photo\",": func(o *eval.ZeroShotOptions) { o.Templates = []string{"a {}", "photo"} },
		"20 base classes of 20":  func(o *eval.ZeroShotOptions) { o.BaseClasses = 20 },
		"picture 17": func(o *eval.ZeroShotOptions) {
			o.Decode = func(path string) (image.Image, error) {
				if path == "17" {
					return nil, clipsearch.ErrInvalid
				}
				return paint(path)
			}
		},
	} {
		o := named(20)
		change(&o)
		if _, err := eval.ZeroShot(context.Background(), o); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want ErrInvalid that says %q", err, says)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := eval.ZeroShot(ctx, named(20)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

func TestClassificationWrite(t *testing.T) {
	o := named(20)
	o.Model, o.Dataset.Classes[3], o.BaseClasses = "a <b> model", "a|b which is far away", 5
	r, err := eval.ZeroShot(context.Background(), o)
	if err != nil || math.Abs(r.Top1-.95) > 1e-9 {
		t.Fatalf("top-1 %v, error %v", r.Top1, err)
	}
	for name, has := range map[string][]string{
		"r.md":   {"# Zero-shot classification of x, test: a <b> model", "| top-1 | 95.00 |", "| base classes (5) | ", `| a\|b which is far away | 0.00 | 1 | `, "20 pictures, 20 classes, 1 template, "},
		"r.HTML": {"a &lt;b&gt; model", `<th scope="row">top-1<td>95.00`, `<th scope="row">a|b which is far away<td>0.00<td>1`},
	} {
		var b bytes.Buffer
		if err := r.Write(&b, name); err != nil {
			t.Error(err)
		}
		for _, h := range has {
			if !strings.Contains(b.String(), h) {
				t.Errorf("%s lacks %q:\n%s", name, h, b.String())
			}
		}
	}
	if err := r.Write(&bytes.Buffer{}, "r.pdf"); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("a .pdf: error %v", err)
	}
}

func TestTemplates(t *testing.T) {
	for name, n := range map[string]int{"openai-imagenet": 80, "openai-imagenet-7": 7, "openai-cifar10": 18, "openai-caltech101": 34} {
		if set := eval.Templates(name); len(set) != n {
			t.Errorf("%s has %d templates, want %d", name, len(set), n)
		}
	}
	all := eval.Templates("openai-imagenet")
	for _, s := range eval.Templates("openai-imagenet-7") {
		if !slices.Contains(all, s) {
			t.Errorf("%q is not among the 80", s)
		}
	}
	for _, name := range eval.TemplateNames() {
		set := eval.Templates(name)
		for i, s := range set {
			if strings.Count(s, "{}") != 1 || slices.Contains(set[:i], s) {
				t.Errorf("%s: %q", name, s)
			}
		}
	}
	if eval.Templates("nothing") != nil {
		t.Error("there are templates called nothing")
	}
}
