package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/stream"
)

func newExportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Write all that the index holds into one file (- for stdout)",
		Long: `export writes a tar: records as JSON lines, the vectors of every space and of captions as
.npy, thumbnails, and the models' files, so that an index that is made of it with
clipsearch import answers the same. The pictures' own files are not in it. The index may
be in use meanwhile: a picture is exported whole or not at all, and none that was there
before is missing. docs/export.md describes the format for other programs.`,
		Example: `  clipsearch export pictures.tar
  clipsearch export - | ssh nas 'cat > pictures.tar'`,
		Args: exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return runExport(cmd.Context(), a, args[0]) },
	}
}

// exportSummary is what `export --json` prints: what was written.
type exportSummary struct {
	Images   int     `json:"images"`
	Files    int     `json:"files"` // places where they were seen
	Captions int     `json:"captions"`
	Vectors  int     `json:"vectors"`
	Spaces   int     `json:"spaces"`
	Model    string  `json:"model"`
	Dim      int     `json:"dim"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
}

func runExport(ctx context.Context, a *app, name string) error {
	if name == "-" && isTerminal(a.stdout) {
		return mistake("export -: stdout is a terminal: name a file, or pipe it")
	}
	start := time.Now()
	lib, err := a.openIndex(ctx, openOptions{})
	if err != nil {
		return err
	}
	st, err := lib.Stats(ctx)
	if err != nil {
		return err
	}
	sum := exportSummary{Model: st.Model, Dim: st.Dim, Spaces: len(st.Spaces)}
	// Thumbnails and paths are private, as the index is.
	err = a.writeOutAs(name, 0o600, func(w io.Writer) error {
		counted := &countWriter{w: w}
		end, err := a.export(ctx, lib, st, counted)
		sum.Images, sum.Files, sum.Captions, sum.Vectors, sum.Bytes = end.Images, end.Files, end.Captions, end.Vectors, counted.n
		return err
	})
	if err != nil {
		return a.exportError(name, err)
	}
	sum.Seconds = seconds(time.Since(start))
	out := a.stdout
	if name == "-" {
		out = a.stderr // stdout has the stream
	}
	if a.options.json {
		return writeJSON(out, sum)
	}
	if a.options.quiet && name == "-" {
		return nil
	}
	_, err = fmt.Fprintf(out, "%d pictures in %d files, %d vectors in %d spaces: %s in %.1f s\n",
		sum.Images, sum.Files, sum.Vectors, sum.Spaces, humanize.Bytes(uint64(sum.Bytes)), sum.Seconds)
	return err
}

// exportError says what could not be written, and that nothing is left of it.
func (a *app) exportError(name string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("export to %s: the disk is full, and nothing was left on it: free some or name a file elsewhere: %w", name, clipsearch.ErrNoSpace)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("export to %s: interrupted, nothing is left of it", name)
	}
	return fmt.Errorf("export to %s: %w", name, err)
}

// export writes the stream.
func (a *app) export(ctx context.Context, lib *collection, st clipsearch.Stats, out io.Writer) (stream.End, error) {
	buf := bufio.NewWriterSize(out, 1<<20)
	m := stream.Manifest{
		Program: "clipsearch " + version, Created: time.Now().UTC().Truncate(time.Second),
		Model: st.Model, Dim: st.Dim, Images: st.Images, Files: st.Files, Captions: st.Captions,
	}
	if meta, err := index.ReadMeta(a.options.index); err == nil {
		m.Language = meta.Language
	}
	for _, s := range st.Spaces {
		kept := exists(index.ModelDir(a.options.index, s.Digest))
		m.Spaces = append(m.Spaces, stream.Space{
			SpaceModel: clipsearch.SpaceModel{Space: s.Digest, Model: s.Model, Dim: s.Dim}, Images: s.Images, Files: kept,
		})
		if s.Active {
			m.Space = s.Digest
		}
	}
	w, err := stream.NewWriter(buf, m)
	if err != nil {
		return stream.End{}, err
	}
	for _, s := range m.Spaces {
		if err := a.exportModel(w, s); err != nil {
			return stream.End{}, err
		}
	}
	show := a.newCount("export", st.Images)
	defer show.done()
	if err := w.AddAll(ctx, lib, show.set); err != nil {
		return stream.End{}, err
	}
	end, err := w.Close()
	return end, errors.Join(err, buf.Flush())
}

// exportModel writes the index's copy of a model, once it has proven whole: what is
// exported must be fit to be imported.
func (a *app) exportModel(w *stream.Writer, s stream.Space) error {
	if !s.Files {
		return nil
	}
	dir := index.ModelDir(a.options.index, s.Space)
	if wrong := checkModel(dir); len(wrong) > 0 {
		return fmt.Errorf("the copy of model %s is damaged (%s): run `clipsearch check --repair`", s.Model, wrong[0])
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		return w.AddModelFile(s.Space, filepath.ToSlash(name), st.Size(), f)
	})
}

// countWriter counts what goes through it.
type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
