package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/hub"
)

type listOptions struct {
	memory   string
	language string
}

func newModelListCommand(a *app) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use: "list", Short: "List the models that are here, and good ones that can be pulled",
		Long: `list names what --model knows here, and the models of the registry: what they are, what
they need and how good their authors or others found them. With --for and --language it
recommends of these what fits a memory and knows a language, the best published recall first.`,
		Example: "  clipsearch model list --for 8GB --language ja",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runModelList(a, o) },
	}
	cmd.Flags().StringVar(&o.memory, "for", "", "recommend what works with this `MEMORY`, such as 8GB")
	cmd.Flags().StringVar(&o.language, "language", "", "recommend what knows this language, by its `CODE`: de, ja, …")
	return cmd
}

func runModelList(a *app, o listOptions) error {
	if o.memory != "" || o.language != "" {
		return a.recommend(o)
	}
	rows, err := a.modelRows()
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"models": rows, "known": hub.Registry()})
	}
	for _, r := range rows {
		fmt.Fprintf(a.stdout, "%s\t%s\n", r.Name, r.Path)
	}
	fmt.Fprintf(a.stdout, "\nto be had with `clipsearch model pull NAME`:\n")
	var list []hub.Recommended
	for _, k := range hub.Registry() {
		list = append(list, hub.Recommended{Known: k})
	}
	return a.printKnown(list)
}

// modelRow is a model that is here.
type modelRow struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// modelRows lists the built-in model, the user's own, those of the hub's cache and
// those that the index keeps.
func (a *app) modelRows() ([]modelRow, error) {
	rows := []modelRow{}
	if m, err := builtin.Model(); err == nil {
		rows = append(rows, modelRow{m.Name, "builtin"})
	}
	entries, err := os.ReadDir(modelsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			rows = append(rows, modelRow{e.Name(), filepath.Join(modelsDir(), e.Name())})
		}
	}
	h, err := a.newHub()
	if err != nil {
		return nil, err
	}
	for _, s := range h.Installed() {
		rows = append(rows, modelRow{s.Repo.String(), s.Dir})
	}
	for _, m := range a.keptModels() {
		if !slices.ContainsFunc(rows, func(r modelRow) bool { return r.Name == m.Name }) {
			rows = append(rows, modelRow{m.Name, m.Path("")})
		}
	}
	return rows, nil
}

func (a *app) recommend(o listOptions) error {
	var memory uint64
	if o.memory != "" {
		var err error
		if memory, err = humanize.ParseBytes(o.memory); err != nil || memory == 0 || memory > 1<<50 {
			return mistake("--for %q is no size of memory: write 8GB or 512MiB", o.memory)
		}
	}
	language := strings.ToLower(o.language)
	list := hub.Recommend(int64(memory), language)
	if len(list) == 0 {
		return mistake("no known model fits --for %s --language %s: %s", cmp.Or(o.memory, "any memory"), cmp.Or(o.language, "any"), spoken())
	}
	if a.options.json {
		return a.printJSON(map[string]any{"recommended": list})
	}
	return a.printKnown(list)
}

// spoken names the languages that some known model knows.
func spoken() string {
	var all []string
	for _, k := range hub.Registry() {
		all = append(all, k.Speaks...)
	}
	slices.Sort(all)
	return "languages are " + strings.Join(slices.Compact(all), " ")
}

// printKnown prints a table of known models.
func (a *app) printKnown(list []hub.Recommended) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tNUMBERS\tPIXELS\tMEMORY\tLANGUAGES\tCOCO R@1\tLICENCE\tREPOSITORY")
	for _, r := range list {
		recall, languages := "-", strings.Join(r.Speaks, " ")
		if len(r.Recalls.COCOImages) > 0 {
			recall = fmt.Sprintf("%.1f", r.Recalls.COCOImages[0])
		}
		if len(r.Speaks) > 3 {
			languages = fmt.Sprintf("%d", len(r.Speaks))
		}
		licence := r.Licence
		if r.NonCommercial() {
			licence += " (non-commercial)"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Dim, r.ImageSize, humanize.IBytes(uint64(r.Memory)<<20), languages, recall, licence, r.Source())
		if r.Why != "" {
			fmt.Fprintf(w, "  %s\n", r.Why)
		}
	}
	return w.Flush()
}
