package eval

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"
)

//go:embed report.html
var reportHTML string

// Write writes r for people: as a page or as Markdown, as the extension of name
// says (.html or .md; another is an error wrapping [clipsearch.ErrInvalid]).
func (r Report) Write(w io.Writer, name string) error {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".html", ".htm":
		page, err := template.New("report").Parse(reportHTML)
		if err != nil {
			return err
		}
		return page.Execute(w, r)
	case ".md":
		_, err := io.WriteString(w, r.markdown())
		return err
	default:
		return invalid("report %q: its name must end in .html or .md", name)
	}
}

func (r Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", r.Title(), r.Summary())
	b.WriteString("| figure | text to image | image to text |\n|---|---|---|\n")
	for _, row := range r.Table() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.Name, row.TextToImage, row.ImageToText)
	}
	if r.Published.Source != "" {
		fmt.Fprintf(&b, "\nPublished: %s.\n", r.Published.Source)
	}
	return b.String()
}

// Title names what was evaluated on what.
func (r Report) Title() string {
	data, model := r.Dataset, r.Model
	if data == "" {
		data = "embeddings"
	}
	if r.Split != "" {
		data += ", " + r.Split
	}
	if model != "" {
		model = ": " + model
	}
	return "Retrieval on " + data + model
}

// Summary says how much was compared and what is missing.
func (r Report) Summary() string {
	s := fmt.Sprintf("%d pictures, %d texts, %.1f seconds.", r.Images, r.Texts, r.Seconds)
	switch {
	case r.Missing > 0:
		s += fmt.Sprintf(" %d pictures were missing and left out: these figures are not comparable with published ones.", r.Missing)
	case !r.Complete:
		s += " This is a part of the split: these figures are not comparable with published ones."
	}
	return s
}

// ReportRow is a line of the table of figures.
type ReportRow struct{ Name, TextToImage, ImageToText string }

// Table returns the figures in percent, with their intervals and, where there
// are such, those published.
func (r Report) Table() []ReportRow {
	names := [...]string{"R@1", "R@5", "R@10", "MRR", "mAP", "mINP"}
	rows := make([]ReportRow, len(keys), len(keys)+1)
	for i, key := range keys {
		rows[i] = ReportRow{
			names[i],
			r.cell("text_to_image", key, r.TextToImage.values()[i], r.Published.TextToImage),
			r.cell("image_to_text", key, r.ImageToText.values()[i], r.Published.ImageToText),
		}
	}
	return append(rows, ReportRow{"median rank", fmt.Sprint(r.TextToImage.MedianRank), fmt.Sprint(r.ImageToText.MedianRank)})
}

func (r Report) cell(side, key string, x float64, published map[string]float64) string {
	s := fmt.Sprintf("%.2f", 100*x)
	if ci, ok := r.CI95[side][key]; ok {
		s += fmt.Sprintf(" (%.1f–%.1f)", 100*ci[0], 100*ci[1])
	}
	if p, ok := published[key]; ok {
		s += fmt.Sprintf(", published %.2f", 100*p)
	}
	return s
}

// values are the figures of m in the order of keys.
func (m Metrics) values() outcome {
	return outcome{m.Recall1, m.Recall5, m.Recall10, m.MRR, m.MAP, m.MINP}
}
