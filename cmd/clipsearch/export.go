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
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/stream"
	"github.com/clipsearch/clipsearch/internal/disk"
)

func newExportCommand(a *app) *cobra.Command {
	var damaged bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all that the index holds into one file (- for stdout)",
		Long: `export writes a tar: records as JSON lines, the vectors of every space and of captions as
.npy, thumbnails, and the models' files, so that an index that is made of it with
clipsearch import answers the same. The pictures' own files are not in it. The index may
be in use meanwhile: a picture is exported whole or not at all, and none that was there
before is missing. Of an index that is damaged nothing is written, unless --allow-damage
says that what can be read will do: it tells what is lost, and ends with 3.
docs/export.md describes the format for other programs.`,
		Example: `  clipsearch export pictures.tar
  clipsearch export - | ssh nas 'cat > pictures.tar'
  clipsearch export saved.tar --allow-damage; clipsearch import saved.tar --index ~/new`,
		Args: exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			x := &exporter{app: a, name: args[0], damaged: damaged, start: time.Now()}
			return x.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&damaged, "allow-damage", false, "save what can be read of a damaged index, and say what is lost")
	return cmd
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
	Lost     *losses `json:"lost,omitempty"` // with --allow-damage
}

// losses are what could not be read.
type losses struct {
	Images     int `json:"images"`
	Thumbnails int `json:"thumbnails"` // of pictures that were written
	Vectors    int `json:"vectors"`    // so
}

// exporter is one run of export.
type exporter struct {
	*app
	name    string
	damaged bool // what cannot be read is left out
	start   time.Time
	lib     *collection
	was     clipsearch.Stats
	lost    losses
}

func (x *exporter) run(ctx context.Context) (err error) {
	if x.name == "-" && isTerminal(x.stdout) {
		return mistake("export -: stdout is a terminal: name a file, or pipe it")
	}
	if x.lib, err = x.openIndex(ctx, openOptions{}); err != nil {
		return err
	}
	if x.was, err = x.stats(ctx); err != nil {
		return fmt.Errorf("export to %s: %w", x.name, err)
	}
	sum := exportSummary{Model: x.was.Model, Dim: x.was.Dim, Spaces: len(x.was.Spaces)}
	// Thumbnails and paths are private, as the index is.
	err = x.writeOutAs(x.name, 0o600, func(w io.Writer) error {
		counted := &countWriter{w: w}
		end, err := x.write(ctx, counted)
		sum.Images, sum.Files, sum.Captions, sum.Vectors, sum.Bytes = end.Images, end.Files, end.Captions, end.Vectors, counted.n
		return err
	})
	if err != nil {
		return x.failed(err)
	}
	sum.Seconds = seconds(time.Since(x.start))
	if x.damaged {
		x.lost.Images = max(x.lost.Images, x.was.Images-sum.Images)
		sum.Lost = &x.lost
	}
	if err := x.tell(sum); err != nil {
		return err
	}
	if x.lost != (losses{}) {
		return exitError(exitSomeFiles)
	}
	return nil
}

// tell says what was written, and what was not.
func (x *exporter) tell(sum exportSummary) error {
	out := x.stdout
	if x.name == "-" {
		out = x.stderr // stdout has the stream
	}
	if x.lost != (losses{}) {
		fmt.Fprintf(x.stderr, "lost to damage: %d pictures; of those that were written %d thumbnails and %d vectors, which an import has made again: make a new index with `clipsearch import`, and ingest the folders there\n",
			x.lost.Images, x.lost.Thumbnails, x.lost.Vectors)
	}
	if x.options.json {
		return writeJSON(out, sum)
	}
	if x.options.quiet && x.name == "-" {
		return nil
	}
	_, err := fmt.Fprintf(out, "%d pictures in %d files, %d vectors in %d spaces: %s in %.1f s\n",
		sum.Images, sum.Files, sum.Vectors, sum.Spaces, humanize.Bytes(uint64(sum.Bytes)), sum.Seconds)
	return err
}

// stats are those of the index; of a damaged one what its files tell, where its store
// does not.
func (x *exporter) stats(ctx context.Context) (clipsearch.Stats, error) {
	st, err := x.lib.Stats(ctx)
	if !x.damaged {
		return st, err
	}
	meta, merr := index.ReadMeta(x.options.index)
	if err != nil {
		if merr != nil {
			return st, merr
		}
		st = clipsearch.Stats{Model: meta.Model, Dim: meta.Dim}
	}
	active := func(s clipsearch.SpaceStats) bool { return s.Active }
	if !slices.ContainsFunc(st.Spaces, active) {
		st.Spaces = append(st.Spaces, clipsearch.SpaceStats{Model: meta.Model, Digest: meta.Space, Dim: meta.Dim, Active: true})
	}
	return st, merr
}

// failed says what could not be written, and that nothing is left of it.
func (x *exporter) failed(err error) error {
	name := x.name
	if disk.IsFull(err) {
		return fmt.Errorf("export to %s: the disk is full, and nothing was left on it: free some or name a file elsewhere: %w", name, clipsearch.ErrNoSpace)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("export to %s: interrupted, nothing is left of it", name)
	}
	return fmt.Errorf("export to %s: %w", name, err)
}

// write writes the stream.
func (x *exporter) write(ctx context.Context, out io.Writer) (stream.End, error) {
	buf := bufio.NewWriterSize(out, 1<<20)
	m := x.manifest()
	w, err := stream.NewWriter(buf, m)
	if err != nil {
		return stream.End{}, err
	}
	for _, s := range m.Spaces {
		if err := x.exportModel(w, s); err != nil {
			return stream.End{}, err
		}
	}
	if err := x.writePictures(ctx, w); err != nil {
		return stream.End{}, err
	}
	end, err := w.Close()
	return end, errors.Join(err, buf.Flush())
}

// manifest says what the index is, as it is now.
func (x *exporter) manifest() stream.Manifest {
	st := x.was
	m := stream.Manifest{
		Program: "clipsearch " + version, Created: time.Now().UTC().Truncate(time.Second),
		Model: st.Model, Dim: st.Dim, Images: st.Images, Files: st.Files, Captions: st.Captions,
	}
	if meta, err := index.ReadMeta(x.options.index); err == nil {
		m.Language = meta.Language
	}
	for _, s := range st.Spaces {
		dir := index.ModelDir(x.options.index, s.Digest)
		kept := exists(dir) && (!x.damaged || len(checkModel(dir)) == 0)
		m.Spaces = append(m.Spaces, stream.Space{
			SpaceModel: clipsearch.SpaceModel{Space: s.Digest, Model: s.Model, Dim: s.Dim}, Images: s.Images, Files: kept,
		})
		if s.Active {
			m.Space = s.Digest
		}
	}
	return m
}

func (x *exporter) writePictures(ctx context.Context, w *stream.Writer) error {
	show := x.newCount("export", x.was.Images)
	defer show.done()
	if !x.damaged {
		n := 0
		err := w.AddAll(ctx, x.lib, func(images int) { n = images; show.set(images) })
		if err == nil {
			err = x.complete(ctx, n)
		}
		return err
	}
	lost, err := w.AddSalvaged(ctx, x.lib, show.set)
	for _, l := range lost {
		x.lost.Vectors += l.Vectors
		if l.Picture {
			x.lost.Images++
		}
		if l.Thumb {
			x.lost.Thumbnails++
		}
	}
	return err
}

// complete returns an error if pictures are missing of which the index knows, and
// nobody has taken them away meanwhile. n were added.
func (x *exporter) complete(ctx context.Context, n int) error {
	if n >= x.was.Images {
		return nil
	}
	now, err := x.lib.Stats(ctx)
	if err == nil && now.Images == x.was.Images && now.Files == x.was.Files {
		err = fmt.Errorf("%d of %d pictures could be read: `clipsearch check` says why, and --allow-damage saves those", n, now.Images)
	}
	return err
}

// exportModel writes the index's copy of a model, once it has proven whole: what is
// exported must be fit to be imported.
func (x *exporter) exportModel(w *stream.Writer, s stream.Space) error {
	if !s.Files {
		return nil
	}
	dir := index.ModelDir(x.options.index, s.Space)
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
