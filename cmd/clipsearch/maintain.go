package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

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
	}
	st, err := lib.Stats(ctx)
	if err != nil {
		return err
	}
	if a.options.json {
		if problems == nil {
			problems = []clipsearch.Problem{}
		}
		err = a.printJSON(map[string]any{"ok": len(problems) == 0, "images": st.Images, "problems": problems})
	} else {
		for _, p := range problems {
			fmt.Fprintf(a.stdout, "%s: %s%s\n", p.ID, p.What, map[bool]string{true: " (check --repair puts it right)"}[p.Repairable])
		}
		_, err = fmt.Fprintf(a.stdout, "%d pictures, %d problems\n", st.Images, len(problems))
	}
	if err == nil && len(problems) > 0 {
		err = exitError(exitFailed)
	}
	return err
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
			if a.options.json {
				return a.printJSON(st)
			}
			return printStats(a.stdout, st)
		},
	}
}

func printStats(w io.Writer, st clipsearch.Stats) error {
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
	return err
}

func newCompactCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "compact", Short: "Give back the room of what was deleted", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := a.openIndex(cmd.Context(), openOptions{})
			if err != nil {
				return err
			}
			if err := lib.Compact(cmd.Context()); err != nil || !a.options.json {
				return err
			}
			st, err := lib.Stats(cmd.Context())
			if err != nil {
				return err
			}
			return a.printJSON(map[string]any{"bytes": st.Bytes})
		},
	}
}

func newPruneCommand(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Forget files that are gone, and pictures of which no file is left", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), a, dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count only")
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

func newExportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Write records and vectors as JSON lines (- for stdout)",
		Args:  exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			lib, err := a.openIndex(cmd.Context(), openOptions{})
			if err != nil {
				return err
			}
			return a.writeOut(args[0], func(w io.Writer) error { return lib.export(cmd.Context(), w) })
		},
	}
}

// exported is one line of an export; the first line is an exportHead.
type exported struct {
	ID       clipsearch.ID     `json:"id"`
	Paths    []string          `json:"paths"`
	Format   string            `json:"format"`
	Width    int               `json:"width"`
	Height   int               `json:"height"`
	Bytes    int64             `json:"bytes"`
	TakenAt  *time.Time        `json:"taken_at"`
	Camera   string            `json:"camera,omitempty"`
	Captions []string          `json:"captions,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Vector   clipsearch.Vector `json:"vector"`
}

type exportHead struct {
	Clipsearch int              `json:"clipsearch_export"`
	Model      string           `json:"model"`
	Space      clipsearch.Space `json:"space"`
	Dim        int              `json:"dim"`
	Images     int              `json:"images"`
}

func (c *collection) export(ctx context.Context, w io.Writer) error {
	st, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	files, err := c.Files(ctx)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(exportHead{1, st.Model, c.model.Space(), st.Dim, st.Images}); err != nil {
		return err
	}
	ids, err := c.Seen(ctx, files)
	if err != nil {
		return err
	}
	written := make(map[clipsearch.ID]bool, st.Images)
	for _, id := range ids {
		if written[id] || id == (clipsearch.ID{}) {
			continue
		}
		written[id] = true
		line, err := c.exported(ctx, id)
		if err != nil {
			return err
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return buf.Flush()
}

func (c *collection) exported(ctx context.Context, id clipsearch.ID) (exported, error) {
	m, err := c.Image(ctx, id)
	if err != nil {
		return exported{}, err
	}
	v, err := c.Vector(ctx, id)
	if err != nil {
		return exported{}, err
	}
	e := exported{
		ID: id, Paths: m.Paths(), Format: m.Format, Width: m.Width, Height: m.Height, Bytes: m.Bytes,
		Camera: m.Camera, Captions: m.Captions, Tags: m.Tags, Vector: v,
	}
	if !m.TakenAt.IsZero() {
		e.TakenAt = &m.TakenAt
	}
	return e, nil
}
