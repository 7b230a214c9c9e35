package eval

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"
)

//go:embed report.html
var reportHTML string

// page is a report for people.
type page struct {
	Title, Summary string
	Tables         []table
	Legend, Source string // what the figures are, and where published ones come from; the latter may be empty
}

// table has a name in front of each row of cells.
type table struct {
	Columns []string
	Rows    [][]string
}

// write writes p as a page or as Markdown, as the extension of name says (.html or
// .md; another is an error wrapping [clipsearch.ErrInvalid]).
func (p page) write(w io.Writer, name string) error {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".html", ".htm":
		t, err := template.New("report").Parse(reportHTML)
		if err != nil {
			return err
		}
		return t.Execute(w, p)
	case ".md":
		_, err := io.WriteString(w, p.markdown())
		return err
	default:
		return invalid("report %q: its name must end in .html or .md", name)
	}
}

func (p page) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", p.Title, p.Summary)
	for _, t := range p.Tables {
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))
		for _, row := range t.Rows {
			for _, cell := range row {
				fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(cell, "|", `\|`))
			}
			b.WriteString("|\n")
		}
	}
	if p.Source != "" {
		fmt.Fprintf(&b, "\nPublished: %s.\n", p.Source)
	}
	return b.String()
}

// Write writes r for people: as a page or as Markdown, as the extension of name
// says (.html or .md; another is an error wrapping [clipsearch.ErrInvalid]).
func (r Report) Write(w io.Writer, name string) error {
	t := table{Columns: []string{"figure", "text to image", "image to text"}}
	for _, row := range r.Table() {
		t.Rows = append(t.Rows, []string{row.Name, row.TextToImage, row.ImageToText})
	}
	p := page{Title: r.Title(), Summary: r.Summary(), Tables: []table{t}, Source: r.Published.Source,
		Legend: "Figures in percent; in brackets, where 95% of them lie when pictures are drawn anew."}
	return p.write(w, name)
}

// Title names what was evaluated on what.
func (r Report) Title() string {
	return "Retrieval on " + subject(cmp.Or(r.Dataset, "embeddings"), r.Split, r.Model)
}

func subject(data, split, model string) string {
	if split != "" {
		data += ", " + split
	}
	if model != "" {
		data += ": " + model
	}
	return data
}

// Summary says how much was compared and what is missing.
func (r Report) Summary() string {
	return fmt.Sprintf("%d pictures, %d texts, %.1f seconds.", r.Images, r.Texts, r.Seconds) + caveat(r.Complete, r.Missing)
}

// caveat says what speaks against comparing figures with published ones.
func caveat(complete bool, missing int) string {
	switch {
	case missing > 0:
		return fmt.Sprintf(" %d pictures were missing and left out: these figures are not comparable with published ones.", missing)
	case !complete:
		return " This is a part of the split: these figures are not comparable with published ones."
	}
	return ""
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
