package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch/trainer"
)

// sample is a run with hostile words in every place that comes from outside.
func sample() Report {
	const evil = `<script>alert("x")</script>|` + "`\n"
	c := trainer.Defaults()
	c.Init, c.Optim.Steps = evil, 2000
	best := trainer.Figures{Step: 1500, TextToImage: &trainer.Recalls{R1: 0.1, R5: 0.3, R10: 0.456}, ImageToText: &trainer.Recalls{R1: 0.2, R5: 0.4, R10: 0.5}}
	r := Report{
		Model: "model " + evil,
		Record: trainer.Record{
			Command: []string{"clipsearch", "train", "--data", "it's " + evil}, Config: c, Batch: 128, Init: evil, Resumed: 2, Parameters: 16_300_000,
			Data:        trainer.DataRecord{File: evil, Train: trainer.SetRecord{Pictures: 6000, Captions: 30000}, Validate: trainer.SetRecord{Pictures: 1000, Captions: 5000}},
			Environment: trainer.Environment{Program: evil, Runtime: "1.27.0", System: "linux/amd64", Threads: 2},
			Result:      &trainer.Result{Steps: 2000, Loss: 1.25, Best: best, Seconds: 3661, Ended: time.Unix(1e9, 0).UTC()},
		},
		Samples: Samples{Pictures: 1000,
			Texts:  []TextSample{{Text: "a dog " + evil, Rank: 3, Hits: []Picture{{Name: evil, JPEG: []byte("jpeg")}, {Name: `" onerror="x`, Right: true}}}},
			Images: []ImageSample{{Picture: Picture{Name: evil, JPEG: []byte("jpeg")}, Rank: 1, Hits: []Caption{{Text: evil, Right: true}, {Text: "a cat"}}}},
		},
	}
	for i := range 2000 {
		x := float64(i)
		r.Steps = append(r.Steps, trainer.StepLine{Step: i + 1, Loss: 4.8*math.Exp(-x/900) + 0.3*math.Sin(x), Rate: 1e-3 * (1 + math.Cos(x/640)) / 2, LogitScale: 14 + x/300, SamplesPerSecond: 55 + 3*math.Sin(x/40), Norm: 1 + 0.4*math.Sin(x/3)})
	}
	for i := range 21 {
		share := float64(i) / 20
		r.Record.Validations = append(r.Record.Validations, trainer.Figures{Step: 100 * i,
			TextToImage: &trainer.Recalls{R1: 0.1 * share, R5: 0.3 * share, R10: 0.456 * share}, ImageToText: &trainer.Recalls{R1: 0.2 * share, R5: 0.4 * share, R10: 0.5 * share}})
	}
	return r
}

func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", `" onerror`, "NaN", "<?xml", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
	for _, want := range []string{"45.6", "16,300,000 parameters", "1h1m1s of training", "resumed 2 times", "a dog &lt;script&gt;", "data:image/jpeg;base64,anBlZw==", `class="right"`, "optim.weight_decay", "logit_scale", `aria-label="Learning rate"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q in it", want)
		}
	}
	if n := strings.Count(page, "<svg"); n != 6 {
		t.Errorf("%d curves, want 6", n)
	}
	if len(page) > 400_000 {
		t.Errorf("a page of %d bytes", len(page))
	}
}

// TestCurves: each is an XML document, also of a run of one step, of none, and of one
// without validation.
func TestCurves(t *testing.T) {
	all := sample()
	for _, tt := range []struct {
		steps       []trainer.StepLine
		validations []trainer.Figures
		want        int
	}{{all.Steps, all.Record.Validations, 6}, {all.Steps[:1], all.Record.Validations[:1], 6}, {all.Steps[:50], nil, 5}, {nil, nil, 0}, {all.Steps, []trainer.Figures{{Step: 3}}, 5}} {
		list, err := curves(tt.steps, tt.validations)
		if err != nil || len(list) != tt.want {
			t.Errorf("curves of %d steps and %d validations: %d, %v, want %d", len(tt.steps), len(tt.validations), len(list), err, tt.want)
		}
		for _, c := range list {
			d := xml.NewDecoder(strings.NewReader(string(c.SVG)))
			for {
				_, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("curve %s of %d steps: %v", c.Title, len(tt.steps), err)
				}
			}
		}
	}
}

func TestCard(t *testing.T) {
	card := sample().Card()
	for line := range strings.Lines(card) {
		if strings.Contains(line, "<script") && !strings.HasPrefix(line, "| Command | `clipsearch") { // code, which is shown as it is
			t.Errorf("the card has HTML in it: %s", line)
		}
	}
	for _, want := range []string{"| R@10 | 45.6 | 50.0 |", "| Seed | 1 |", "- optim.steps: 2000\n", `clipsearch train --data 'it'\''s `} {
		if !strings.Contains(card, want) {
			t.Errorf("the card has no %q in it:\n%s", want, card)
		}
	}
	r := sample()
	r.Record.Result.Best.TextToImage = nil
	if !strings.Contains(r.Card(), "was not validated") {
		t.Errorf("a card without figures:\n%s", r.Card())
	}
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"clipsearch", "train", "--data", "a.json"}, "clipsearch train --data a.json"},
		{[]string{"a b", "", "it's", "$HOME"}, `'a b' '' 'it'\''s' '$HOME'`},
	} {
		if got := Command(tt.args); got != tt.want {
			t.Errorf("Command(%q) = %s, want %s", tt.args, got, tt.want)
		}
	}
}
