package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/query"
)

type demoOptions struct {
	photos  string
	addr    string
	noServe bool
}

func newDemoCommand(a *app) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Ingest a folder into an index of its own, search it three times, then serve the page",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("index") && a.getenv("CLIPSEARCH_INDEX") == "" {
				return mistake("the demo must not touch your own index: give it one with --index DIR")
			}
			return runDemo(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.photos, "photos", filepath.Join("testdata", "photos"), "`DIR` of pictures")
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:8080", "serve at `ADDR`; if it is taken, at a free port")
	cmd.Flags().BoolVar(&o.noServe, "no-serve", false, "end after the searches")
	return cmd
}

// runDemo searches with words that no file name holds: what is found is found by
// its looks.
func runDemo(ctx context.Context, a *app, o demoOptions) error {
	roots, err := a.roots([]string{o.photos})
	if err != nil {
		return err
	}
	lib, err := a.openIndex(ctx, openOptions{create: true, serve: !o.noServe, warm: []string{"image", "text"}})
	if err != nil {
		return err
	}
	if err := a.rememberRoots(roots); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "$ clipsearch ingest %s --index %s\n", o.photos, shortPath(a.options.index))
	show := a.newProgress("ingest", false)
	enc, err := lib.encoder(ctx)
	if err != nil {
		return err
	}
	sum, err := a.pipeline(lib.Handle, enc, ingestOptions{}, show).Run(ctx, roots...)
	show.done()
	if err := a.endIngest(sum, err); err != nil && err != exitError(exitSomeFiles) {
		return err
	}
	for _, words := range []string{"a sleepy pet", "something hot to drink", "stars in space"} {
		if err := a.demoSearch(ctx, lib, words); err != nil {
			return err
		}
	}
	if o.noServe {
		fmt.Fprintf(a.stdout, "\nSearch on with: clipsearch search --index %s WORDS, or run the demo without DEMO_SERVE=0 for the page.\n", shortPath(a.options.index))
		return nil
	}
	return a.serve(ctx, lib, serveOptions{addr: o.addr, anyPort: true})
}

func (a *app) demoSearch(ctx context.Context, lib *collection, words string) error {
	fmt.Fprintf(a.stdout, "\n$ clipsearch search %s\n", words)
	q, _, err := query.Parse(words, query.ParseOptions{})
	if err != nil {
		return err
	}
	q.Limit = 3
	answer, err := lib.engine().Search(ctx, q)
	if err != nil {
		return err
	}
	return searchOptions{format: "table"}.print(ctx, a, lib, answer)
}
