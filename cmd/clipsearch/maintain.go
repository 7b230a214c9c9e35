package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

func newCheckCommand(a *app) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove that the index is whole: records, vectors, thumbnails, words and model agree",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCheck(cmd.Context(), a, repair) },
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "put right what can be derived from the rest")
	return cmd
}

func runCheck(ctx context.Context, a *app, repair bool) error {
	lib, err := a.openIndex(ctx, openOptions{})
	if err != nil {
		return err
	}
	problems, err := lib.Check(ctx, repair)
	if err != nil {
		return err
	}
	if repair && len(problems) > 0 {
		if problems, err = lib.Check(ctx, false); err != nil {
			return err
		}
		a.tellOwed(ctx, lib)
	}
	st, err := lib.Stats(ctx)
	if err != nil && len(problems) == 0 {
		return err
	}
	err = a.printCheck(problems, st, err == nil)
	if err == nil && len(problems) > 0 {
		err = exitError(exitFailed)
	}
	return err
}

// printCheck prints what was found. How many pictures there are is told only if it is
// known.
func (a *app) printCheck(problems []clipsearch.Problem, st clipsearch.Stats, known bool) error {
	if a.options.json {
		out := map[string]any{"ok": len(problems) == 0, "images": nil, "problems": append([]clipsearch.Problem{}, problems...)}
		if known {
			out["images"] = st.Images
		}
		return a.printJSON(out)
	}
	for _, p := range problems {
		fmt.Fprintf(a.stdout, "%s: %s%s\n", p.ID, p.What, map[bool]string{true: " (check --repair puts it right)"}[p.Repairable])
	}
	images := "an unknown number of"
	if known {
		images = fmt.Sprint(st.Images)
	}
	_, err := fmt.Fprintf(a.stdout, "%s pictures, %d problems\n", images, len(problems))
	return err
}

// tellOwed says who makes the vectors that a repair could not.
func (a *app) tellOwed(ctx context.Context, lib *collection) {
	if s, err := lib.Spaces(ctx); err == nil && s.Owed && !s.Carried && !a.options.quiet {
		fmt.Fprintln(a.stderr, "vectors are to be made again: a server, the next ingest or `clipsearch model switch --resume` does it")
	}
}

func newStatsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Say what the index holds", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := a.openIndex(cmd.Context(), openOptions{})
			if err != nil {
				return err
			}
			st, err := lib.Stats(cmd.Context())
			if err != nil {
				return err
			}
			under, err := lib.underWay(cmd.Context())
			if err != nil {
				return err
			}
			if a.options.json {
				return a.printJSON(struct {
					clipsearch.Stats
					Switch *underWay `json:"switch,omitempty"`
				}{st, under})
			}
			if err := printStats(a.stdout, st); err != nil {
				return err
			}
			return under.print(a.stdout)
		},
	}
}

func printStats(w io.Writer, st clipsearch.Stats) error {
	if st.Damage != "" {
		fmt.Fprintf(w, "damage: %s\n", st.Damage)
	}
	fmt.Fprintf(w, "%d pictures in %d files, %d captions\nmodel %s, %d numbers a vector\n", st.Images, st.Files, st.Captions, st.Model, st.Dim)
	var parts []string
	for part := range st.Bytes {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	for _, part := range parts {
		fmt.Fprintf(w, "%-8s %s on disk\n", part, humanize.Bytes(uint64(st.Bytes[part])))
	}
	_, err := fmt.Fprintf(w, "memory   %s\n", humanize.Bytes(uint64(st.MemoryBytes)))
	return errors.Join(err, printSpaces(w, st))
}

func newCompactCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "compact", Short: "Give back the room of what was deleted", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCompact(cmd.Context(), a) },
	}
}

func runCompact(ctx context.Context, a *app) error {
	lib, err := a.openIndex(ctx, openOptions{})
	if err != nil {
		return err
	}
	before, _ := lib.Stats(ctx) // of a damaged index compact itself tells more
	if err := lib.Compact(ctx); err != nil {
		return err
	}
	st, err := lib.Stats(ctx)
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"bytes": st.Bytes})
	}
	if a.options.quiet {
		return nil
	}
	_, err = fmt.Fprintf(a.stdout, "the index takes %s on disk, %s before\n", humanize.Bytes(total(st.Bytes)), humanize.Bytes(total(before.Bytes)))
	return err
}

// total adds up what the parts of an index take.
func total(parts map[string]int64) (n uint64) {
	for _, bytes := range parts {
		n += uint64(bytes)
	}
	return n
}

func newPruneCommand(a *app) *cobra.Command {
	var dryRun, spaces bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Forget files that are gone, and pictures of which no file is left", Args: noArgs,
		Long: `prune forgets files that are gone, and pictures of which no file is left. With --spaces it
leaves files alone and drops what models have left behind that do not answer any more:
their vectors, and the index's copies of them. There is no rollback to them then.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if spaces {
				return runPruneSpaces(cmd.Context(), a, dryRun)
			}
			return runPrune(cmd.Context(), a, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count only")
	cmd.Flags().BoolVar(&spaces, "spaces", false, "drop the vectors and models that do not answer any more, and nothing else")
	return cmd
}

func runPrune(ctx context.Context, a *app, dryRun bool) error {
	lib, err := a.openIndex(ctx, openOptions{})
	if err != nil {
		return err
	}
	files, err := lib.Files(ctx)
	if err != nil {
		return err
	}
	var gone []clipsearch.File
	var paths []string
	var bytes int64
	for _, f := range files {
		if ingest.Gone(f.Path) {
			gone, paths, bytes = append(gone, f), append(paths, f.Path), bytes+f.Size
		}
	}
	images := 0
	if dryRun {
		images, err = lib.orphans(ctx, gone)
	} else {
		images, err = lib.Forget(ctx, paths)
	}
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"files": len(gone), "images": images, "bytes": bytes})
	}
	_, err = fmt.Fprintf(a.stdout, "%d files gone, %d pictures with them\n", len(gone), images)
	return err
}

// orphans counts the pictures that would be left without a file.
func (c *collection) orphans(ctx context.Context, gone []clipsearch.File) (int, error) {
	ids, err := c.Seen(ctx, gone)
	if err != nil {
		return 0, err
	}
	left, n := map[clipsearch.ID]int{}, 0
	for _, id := range ids {
		if _, seen := left[id]; !seen {
			img, err := c.Image(ctx, id)
			if err != nil {
				return 0, err
			}
			left[id] = len(img.Files)
		}
		if left[id]--; left[id] == 0 {
			n++
		}
	}
	return n, nil
}
