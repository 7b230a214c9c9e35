package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

type searchOptions struct {
	limit, offset int
	image         string
	not           []string
	minRelevance  float64
	sort, mode    string
	exact, strict bool
	format        string
	preview       bool
}

func (o *searchOptions) register(f *pflag.FlagSet) {
	f.IntVarP(&o.limit, "limit", "n", 20, "print at most `N` pictures")
	f.IntVar(&o.offset, "offset", 0, "leave out the first `N`")
	f.StringVar(&o.image, "image", "", "look for what looks like `FILE` (- for stdin); with words, for both")
	f.StringArrayVar(&o.not, "not", nil, "push away what looks like `TEXT`; may be repeated")
	f.Float64Var(&o.minRelevance, "min-relevance", 0, "only pictures of at least this relevance, `0..1` (not calibrated yet: nothing is left out)")
	f.StringVar(&o.sort, "sort", "relevance", "`relevance|date`")
	f.StringVar(&o.mode, "mode", "hybrid", "`hybrid|semantic|text`")
	f.BoolVar(&o.exact, "exact", false, "compare with every picture, without the approximate index")
	f.BoolVar(&o.strict, "strict", false, "refuse what the query language does not know")
	f.StringVar(&o.format, "format", "table", "`table|json|ndjson|paths|paths0`")
	f.BoolVar(&o.preview, "preview", false, "show the pictures in the terminal")
}

func newSearchCommand(a *app) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search QUERY...",
		Short: "Print the pictures that match a query, best first",
		Example: `  clipsearch search a dog on the beach
  clipsearch search 'red car -rain path:holiday after:2024-05'
  clipsearch search --image sunset.jpg --format paths0 | xargs -0 open`,
		RunE: func(cmd *cobra.Command, args []string) error { return runSearch(cmd.Context(), a, o, args) },
	}
	o.register(cmd.Flags())
	return cmd
}

func newSimilarCommand(a *app) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "similar ID|IMAGE",
		Short: "Print the pictures that look like one of the index, or like a file",
		Args:  exactArgs(1, "one ID or IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := clipsearch.ParseID(args[0]); err == nil && !exists(args[0]) {
				return runSearch(cmd.Context(), a, o, []string{"similar:" + args[0]})
			}
			o.image = args[0]
			return runSearch(cmd.Context(), a, o, nil)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func runSearch(ctx context.Context, a *app, o searchOptions, words []string) error {
	start := time.Now()
	if a.options.json {
		o.format = "json"
	}
	q, notes, err := o.query(strings.Join(words, " "))
	if err != nil {
		return err
	}
	var file []byte
	if o.image != "" {
		if file, err = a.readFile(o.image); err != nil {
			return err
		}
	}
	lib, err := a.openIndex(ctx, openOptions{warm: warmFor(q, o), once: true})
	if err != nil {
		return err
	}
	answer, err := lib.search(ctx, q, file, o.image)
	if errors.Is(err, clipsearch.ErrNotFound) {
		err = lib.unknown(ctx, q, err)
	}
	if err != nil {
		return err
	}
	answer.Query, answer.Notes = strings.Join(words, " "), append(notes, answer.Notes...)
	answer.TookMS = float64(time.Since(start).Microseconds()) / 1000
	if err := o.print(ctx, a, lib, answer); err != nil {
		return err
	}
	if len(answer.Results) == 0 && o.minRelevance > 0 {
		return exitError(exitNoMatch)
	}
	return nil
}

// unknown says of which picture that q names the index has nothing: err is about that.
// It is the caller's mistake, unless the index has it and has lost its vector.
func (c *collection) unknown(ctx context.Context, q query.Query, err error) error {
	ids := append(slices.Clone(q.Similar), q.Unlike...)
	has, herr := c.Has(ctx, ids)
	if herr != nil {
		return err
	}
	if what := c.damage(ctx); what != "" {
		return fmt.Errorf("%w: %s", err, what)
	}
	for i, known := range has {
		if !known {
			return mistake("similar:%s: the index has no such picture: `clipsearch search QUERY --json` tells the ids of those it has, and `clipsearch similar FILE` needs none", ids[i])
		}
	}
	return fmt.Errorf("%w: `clipsearch check` tells why", err)
}

// warmFor names the towers that a search will need.
func warmFor(q query.Query, o searchOptions) []string {
	var towers []string
	if o.mode != "text" && q.HasText() {
		towers = append(towers, "text")
	}
	if o.image != "" {
		towers = append(towers, "image")
	}
	return towers
}

func (o searchOptions) query(words string) (query.Query, []query.Note, error) {
	formats := []string{"table", "json", "ndjson", "paths", "paths0"}
	if !slices.Contains(formats, o.format) {
		return query.Query{}, nil, mistake("--format %q is none of %s", o.format, strings.Join(formats, ", "))
	}
	if strings.TrimSpace(words) == "" && o.image == "" {
		return query.Query{}, nil, mistake("the query is empty: say what to look for, or give --image FILE")
	}
	q, notes, err := query.Parse(words, query.ParseOptions{Strict: o.strict})
	if err != nil {
		return q, nil, err
	}
	q.Not = append(q.Not, o.not...)
	q.Limit, q.Offset, q.Mode, q.Sort, q.Exact, q.MinRelevance = o.limit, o.offset, o.mode, o.sort, o.exact, o.minRelevance
	return q, notes, q.Valid()
}

// readFile reads a picture from a file, or from stdin.
func (a *app) readFile(name string) ([]byte, error) {
	if name != "-" {
		return readPictureFile(name)
	}
	data, err := io.ReadAll(io.LimitReader(a.stdin, maxFile+1))
	if err != nil {
		return nil, mistake("read a picture from stdin: %v", err)
	}
	if len(data) > maxFile {
		return nil, mistake("the picture on stdin is larger than %d MB", maxFile>>20)
	}
	return data, nil
}

func (o searchOptions) print(ctx context.Context, a *app, lib *collection, ans query.Answer) error {
	if o.format != "json" {
		for _, n := range ans.Notes {
			fmt.Fprintln(a.stderr, noteLine(n))
		}
	}
	switch o.format {
	case "json":
		return a.printJSON(ans)
	case "ndjson":
		for _, r := range ans.Results {
			if err := a.printJSON(r); err != nil {
				return err
			}
		}
		return nil
	case "paths", "paths0":
		end := map[string]string{"paths": "\n", "paths0": "\x00"}[o.format]
		for _, r := range ans.Results {
			if _, err := io.WriteString(a.stdout, r.Path()+end); err != nil {
				return err
			}
		}
		return nil
	}
	for i, r := range ans.Results {
		if _, err := fmt.Fprintf(a.stdout, "%3d  %.4f  %s%s\n", o.offset+i+1, r.Score, shortPath(r.Path()), captionOf(r)); err != nil {
			return err
		}
		if o.preview {
			if err := a.preview(ctx, lib, r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteLine is a note for a person: one on the query says where in it.
func noteLine(n query.Note) string {
	if n.Damage {
		return "warning: " + n.Text
	}
	return fmt.Sprintf("note, byte %d: %s", n.Offset, n.Text)
}

func captionOf(r query.Result) string {
	if c := r.Caption(); c != "" {
		return "  " + c
	}
	return ""
}
