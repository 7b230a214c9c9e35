package eval

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Write writes r for people, with the classes from the worst to the best: as a page
// or as Markdown, as the extension of name says (.html or .md; another is an error
// wrapping [clipsearch.ErrInvalid]).
func (r Classification) Write(w io.Writer, name string) error {
	p := page{Title: r.Title(), Summary: r.Summary(), Legend: "Figures in percent. Named: for how many pictures of any class this one has the highest score."}
	figures := table{Columns: []string{"figure", "percent"}}
	for _, row := range r.Table() {
		figures.Rows = append(figures.Rows, row[:])
	}
	p.Tables = []table{figures, r.classTable()}
	return p.write(w, name)
}

// Title names what was evaluated on what.
func (r Classification) Title() string {
	return "Zero-shot classification of " + subject(cmp.Or(r.Dataset, "logits"), r.Split, r.Model)
}

// Summary says how much was judged and what is missing.
func (r Classification) Summary() string {
	s := fmt.Sprintf("%d pictures, %d classes", r.Images, r.Classes)
	switch {
	case r.Templates == 1:
		s += ", 1 template"
	case r.Templates > 1:
		s += fmt.Sprintf(", %d templates", r.Templates)
	}
	return s + fmt.Sprintf(", %.1f seconds.", r.Seconds) + caveat(r.Complete, r.Missing)
}

// Table returns the names of the figures and their values in percent.
func (r Classification) Table() [][2]string {
	row := func(name string, x float64) [2]string { return [2]string{name, fmt.Sprintf("%.2f", 100*x)} }
	rows := [][2]string{
		row("top-1", r.Top1), row("top-5", r.Top5),
		row("mean per-class recall", r.MeanClassRecall), row("macro F1", r.MacroF1),
	}
	if g := r.Generalization; g != nil {
		rows = append(rows,
			row(fmt.Sprintf("base classes (%d)", g.BaseClasses), g.BaseAccuracy),
			row(fmt.Sprintf("new classes (%d)", r.Classes-g.BaseClasses), g.NewAccuracy),
			row("harmonic mean", g.HarmonicMean))
	}
	return rows
}

// classTable has the classes with pictures, those with the lowest recall first.
func (r Classification) classTable() table {
	type class struct {
		name   string
		recall float64
		ClassFigures
	}
	var classes []class
	for c, f := range r.PerClass {
		if f.Images > 0 {
			classes = append(classes, class{cmp.Or(f.Name, fmt.Sprint(c)), float64(f.Hits) / float64(f.Images), f})
		}
	}
	slices.SortStableFunc(classes, func(a, b class) int { return cmp.Compare(a.recall, b.recall) })
	t := table{Columns: []string{"class", "recall", "pictures", "named"}}
	for _, c := range classes {
		t.Rows = append(t.Rows, []string{c.name, fmt.Sprintf("%.2f", 100*c.recall), fmt.Sprint(c.Images), fmt.Sprint(c.Named)})
	}
	return t
}
