package report

import (
	"fmt"
	"strings"
)

// Card is the model's card, in Markdown.
func (r Report) Card() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nMade by `clipsearch train`. report.html beside it shows the curves and some retrievals.\n\n| | |\n|---|---|\n", plain(r.Model))
	for _, f := range r.facts()[1:] {
		value := plain(f.Value)
		if f.Name == "Command" {
			value = "`" + strings.NewReplacer("`", "'", "|", `\|`, "\n", " ").Replace(f.Value) + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, value)
	}
	if rows := r.figures(); len(rows) > 0 {
		fmt.Fprintf(&b, "\n**Figures** on the validation split (%s pictures; in %%; of the weights of step %d, which were chosen by them):\n\n| | text→image | image→text |\n|---|---|---|\n",
			count(r.Record.Data.Validate.Pictures), r.Record.Result.Best.Step)
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.Name, row.TextToImage, row.ImageToText)
		}
	} else {
		b.WriteString("\nIt was not validated: there were no pictures to do it on.\n")
	}
	b.WriteString("\n**Settings** that are not the defaults (all are in train.json; `clipsearch train --keys` says what they mean):\n\n")
	changed := false
	for _, s := range settings(r.Record.Config) {
		if s.Changed {
			changed = true
			fmt.Fprintf(&b, "- %s: %s\n", s.Name, plain(s.Value))
		}
	}
	if !changed {
		b.WriteString("- none\n")
	}
	b.WriteString("\n**Licence and limits.** The weights owe what they know to the pictures and captions above, and to the model that they began with: their licences decide what it may be\nused for. It has their biases, and knows little of what they do not show. Fill in both before it is passed on.\n")
	return b.String()
}

// plain is a text that Markdown takes as it is.
func plain(s string) string {
	return strings.NewReplacer("\\", `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "&", "&amp;", "[", `\[`, "\n", " ", "\r", " ").Replace(s)
}
