package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch/trainer"
)

// Report is what there is to say about a run.
type Report struct {
	Record  trainer.Record // with its Result
	Model   string         // the model's name
	Steps   []trainer.StepLine
	Samples Samples
}

// Samples are some retrievals on the validation split.
type Samples struct {
	Pictures int // that were searched
	Texts    []TextSample
	Images   []ImageSample
}

// TextSample is a caption with the pictures that it found, best first.
type TextSample struct {
	Text string
	Rank int // where its own picture stands, from 1
	Hits []Picture
}

// ImageSample is a picture with the captions that it found, best first.
type ImageSample struct {
	Picture Picture
	Rank    int // where the first of its own captions stands, from 1
	Hits    []Caption
}

// Picture is one that is shown.
type Picture struct {
	Name  string
	JPEG  []byte // small; nil: it could not be read
	Right bool   // the caption is its own
}

// Caption is one that is shown.
type Caption struct {
	Text  string
	Right bool // it is the picture's own
}

// Source is the picture as the page has it.
func (p Picture) Source() template.URL {
	if len(p.JPEG) == 0 {
		return ""
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(p.JPEG))
}

//go:embed report.html
var pageHTML string

// Write writes the page.
func (r Report) Write(w io.Writer) error {
	t, err := template.New("report").Parse(pageHTML)
	if err != nil {
		return err
	}
	list, err := curves(r.Steps, r.Record.Validations)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		Report
		Curves []Curve
		Facts  []Fact
		Rows   []FigureRow
		Config []Setting
	}{r, list, r.facts(), r.figures(), settings(r.Record.Config)})
}

// Fact is a line of the page's first table.
type Fact struct{ Name, Value string }

func (r Report) facts() []Fact {
	d, c, res := r.Record.Data, r.Record.Config, r.Record.Result
	list := []Fact{
		{"Model", r.Model},
		{"Trained on", fmt.Sprintf("%s pictures with %s captions of %s", count(d.Train.Pictures), count(d.Train.Captions), d.File)},
	}
	if d.Validate.Pictures > 0 {
		list = append(list, Fact{"Validated on", fmt.Sprintf("%s pictures with %s captions of %s", count(d.Validate.Pictures), count(d.Validate.Captions), or(d.Eval, d.File))})
	}
	if c.Init != "" {
		list = append(list, Fact{"Begun with", fmt.Sprintf("%s (space %.12s)", c.Init, r.Record.Init)})
	}
	list = append(list, Fact{"Trained", count(int(r.Record.Parameters)) + " parameters"}, Fact{"Command", Command(r.Record.Command)}, Fact{"Seed", fmt.Sprint(c.Seed)})
	if res != nil {
		list = append(list,
			Fact{"Steps", fmt.Sprintf("%s, with batches of %d", count(res.Steps), r.Record.Batch)},
			Fact{"Loss at the end", fmt.Sprintf("%.4f", res.Loss)},
			Fact{"Duration", fmt.Sprintf("%s of training and validation%s", duration(res.Seconds), resumed(r.Record.Resumed))},
			Fact{"Ended", res.Ended.Format(time.RFC3339)})
	}
	e := r.Record.Environment
	return append(list, Fact{"With", fmt.Sprintf("%s, ONNX Runtime %s, %s, %d threads", e.Program, e.Runtime, e.System, e.Threads)})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func resumed(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", resumed once"
	}
	return fmt.Sprintf(", resumed %d times", n)
}

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// count is a number with its thousands apart.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Command is a command as it can be typed again.
func Command(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if a != "" && strings.IndexFunc(a, special) < 0 {
			quoted[i] = a
		} else {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func special(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%", r)
}

// FigureRow is a line of the table of figures.
type FigureRow struct {
	Name                     string
	TextToImage, ImageToText string
}

// figures are those of the weights that were exported, in percent.
func (r Report) figures() []FigureRow {
	if r.Record.Result == nil || r.Record.Result.Best.TextToImage == nil {
		return nil
	}
	best := r.Record.Result.Best
	t, i := best.TextToImage, best.ImageToText
	percent := func(x float64) string { return fmt.Sprintf("%.1f", 100*x) }
	return []FigureRow{
		{"R@1", percent(t.R1), percent(i.R1)},
		{"R@5", percent(t.R5), percent(i.R5)},
		{"R@10", percent(t.R10), percent(i.R10)},
	}
}

// Setting is a key of the configuration.
type Setting struct {
	Name, Value, Doc string
	Changed          bool // it is not the default
}

func settings(c trainer.Config) []Setting {
	usual := trainer.Defaults()
	usual.Init, usual.Train.LockImage = c.Init, c.Train.LockImage // which decide other defaults
	defaults := usual.Complete().Keys()
	var list []Setting
	for i, k := range c.Keys() {
		list = append(list, Setting{k.Name, k.JSON(), k.Doc, k.Name == "train.lock_image" && c.Train.LockImage || k.JSON() != defaults[i].JSON()})
	}
	return list
}
