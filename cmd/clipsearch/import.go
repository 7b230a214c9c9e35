package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/stream"
)

func newImportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Put what was exported into a new index, or into one that answers with the same model (- for stdin)",
		Long: `import reads what clipsearch export wrote. A new index answers as the exported one did.
An index that is there already gains what it has not, and loses nothing: its captions,
tags and paths stay as they are. A file that was cut or changed is refused before anything
is written; from stdin, what came before the damage was proven right and is kept in an
index that was there, and a new one is removed. Importing twice is importing once.`,
		Example: `  clipsearch import pictures.tar --index ~/restored
  ssh nas cat pictures.tar | clipsearch import -`,
		Args: exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return runImport(cmd.Context(), a, args[0]) },
	}
}

// importSummary is what `import --json` prints: what the stream held, and what became
// of its pictures.
type importSummary struct {
	Images   int `json:"images"`
	Files    int `json:"files"`
	Captions int `json:"captions"`
	Vectors  int `json:"vectors"`
	clipsearch.Imported
	Spaces  int     `json:"spaces"`
	Model   string  `json:"model"`
	Dim     int     `json:"dim"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func runImport(ctx context.Context, a *app, name string) error {
	start := time.Now()
	in, err := a.openStream(name)
	if err != nil {
		return err
	}
	defer in.close()
	im := &importer{app: a, name: name, in: in, dir: a.options.index}
	defer im.cleanUp()
	if err := im.open(ctx); err != nil {
		return im.failed(err)
	}
	m := im.reader.Manifest()
	show := a.newCount("import", m.Images)
	im.sum, err = im.reader.GiveAll(ctx, im.lib, show.set)
	show.done()
	if err != nil {
		return im.failed(err)
	}
	settle(ctx, im.lib)
	im.tellOwed(ctx, im.lib)
	if err := im.finish(); err != nil {
		return err
	}
	end := im.reader.End()
	sum := importSummary{
		Images: end.Images, Files: end.Files, Captions: end.Captions, Vectors: end.Vectors, Imported: im.sum,
		Spaces: len(m.Spaces), Model: m.Model, Dim: m.Dim, Bytes: in.counted.n, Seconds: seconds(time.Since(start)),
	}
	if a.options.json {
		return a.printJSON(sum)
	}
	_, err = fmt.Fprintf(a.stdout, "%d pictures: %d stored, %d known, %d left out, in %.1f s into %s\n",
		sum.Images, sum.Stored, sum.Known, sum.Skipped, sum.Seconds, shortPath(im.dir))
	return err
}

// input is a stream that has proven whole, where that can be done beforehand.
type input struct {
	io.Reader
	counted *countReader
	close   func()
}

type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func newInput(r io.Reader, close func()) input {
	c := &countReader{r: r}
	return input{bufio.NewReaderSize(c, 1<<20), c, close}
}

// openStream opens a file and reads all of it once, or takes stdin as it comes.
func (a *app) openStream(name string) (input, error) {
	if name == "-" {
		return newInput(a.stdin, func() {}), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return input{}, mistake("import: %v", err)
	}
	st, err := f.Stat()
	switch {
	case err == nil && st.IsDir():
		err = mistake("import %s: it is a folder: name a file that `clipsearch export` wrote", name)
	case err == nil && st.Mode().IsRegular():
		if _, err = stream.Verify(bufio.NewReaderSize(f, 1<<20)); err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			err = fmt.Errorf("import %s: %w", name, err)
		}
	}
	if err != nil {
		f.Close()
		return input{}, err
	}
	return newInput(f, func() { f.Close() }), nil
}

// importer is one run of import.
type importer struct {
	*app
	name   string
	in     input
	dir    string // of the index
	half   bool   // until this import ends, the index is half imported
	fresh  bool   // this import makes the index
	made   bool   // and its directory
	spool  *spool // models that the index has not
	reader *stream.Reader
	lib    *collection
	sum    clipsearch.Imported
}

// halfMark is a file in an index that is being made by an import. While it is there
// no other command takes the index for whole.
const halfMark = ".importing"

func (a *app) notHalfImported() error {
	if mark := filepath.Join(a.options.index, halfMark); exists(mark) {
		from, _ := os.ReadFile(mark)
		return fmt.Errorf("index %s is half imported from %s: wait for that to end, or run `clipsearch import` again, or remove the folder", a.options.index, from)
	}
	return nil
}

// open reads the head of the stream and opens the index for it, or makes one.
func (im *importer) open(ctx context.Context) error {
	meta, err := index.ReadMeta(im.dir)
	missing := errors.Is(err, clipsearch.ErrNotFound)
	if err != nil && !missing {
		return err
	}
	im.fresh = missing
	im.half = missing || exists(filepath.Join(im.dir, halfMark))
	if missing {
		if err := vacant(im.dir); err != nil {
			return err
		}
	}
	if err := im.begin(); err != nil {
		return err
	}
	if im.reader, err = stream.NewReader(im.in, im.takeModelFile); err != nil {
		return err
	}
	m := im.reader.Manifest()
	if !missing && meta.Space != m.Space {
		return mistake("index %s answers with model %s (space %.12s), and the export with %s (space %.12s): import it into a new one with --index, and change that with `clipsearch model switch`",
			im.dir, meta.Model, meta.Space, m.Model, m.Space)
	}
	model, err := im.model(m)
	if err != nil {
		return err
	}
	if im.lib, err = im.openWithModel(ctx, model, openOptions{create: missing, language: m.Language}); err != nil {
		return err
	}
	return im.keepModels(m)
}

// begin makes the directory, if need be, and room in it for the models.
func (im *importer) begin() error {
	if _, err := os.Stat(im.dir); err != nil {
		im.made = true
	}
	if err := os.MkdirAll(im.dir, 0o700); err != nil {
		return mistake("make index: %v", err)
	}
	if im.half {
		if err := os.WriteFile(filepath.Join(im.dir, halfMark), []byte(im.name), 0o600); err != nil {
			return err
		}
	}
	removeSpools(im.dir)
	var err error
	im.spool, err = newSpool(im.dir)
	return err
}

// takeModelFile keeps a file of a model that the index has not.
func (im *importer) takeModelFile(space clipsearch.Space, name string, _ int64, r io.Reader) error {
	if exists(index.ModelDir(im.dir, space)) {
		return nil
	}
	path := filepath.Join(im.spool.dir, space.String(), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// model returns the model of the space that answers: from the stream, from the index,
// or from this program.
func (im *importer) model(m stream.Manifest) (clip.Model, error) {
	model, err := im.findModel(m)
	if err != nil {
		return model, err
	}
	if model.Space() != m.Space {
		return model, fmt.Errorf("the model %s that was found for the export makes vectors of space %.12s, and the export has %.12s: %w",
			model.Name, model.Space(), m.Space, clipsearch.ErrInvalid)
	}
	if model.Dim == 0 {
		model.Dim = m.Dim
	}
	return model, nil
}

func (im *importer) findModel(m stream.Manifest) (clip.Model, error) {
	if im.options.model != "" {
		return im.readModel(im.options.model)
	}
	if model, err := builtin.Model(); err == nil && model.Space() == m.Space {
		return model, nil
	}
	if model := clip.Named(m.Model, m.Dim); model.Space() == m.Space {
		return model, nil
	}
	for _, dir := range []string{index.ModelDir(im.dir, m.Space), filepath.Join(im.spool.dir, m.Space.String())} {
		if exists(dir) {
			return clip.ReadCopy(dir, "")
		}
	}
	return clip.Model{}, mistake("the export has no files of its model %s, and this program has none of that space: name it with --model", m.Model)
}

// keepModels gives the index the models of its other spaces.
func (im *importer) keepModels(m stream.Manifest) error {
	for _, s := range m.Spaces {
		dir := filepath.Join(im.spool.dir, s.Space.String())
		if s.Space == m.Space || !exists(dir) {
			continue
		}
		model, err := clip.ReadCopy(dir, "")
		if err == nil && model.Space() != s.Space {
			err = fmt.Errorf("its files make vectors of space %.12s, not %.12s: %w", model.Space(), s.Space, clipsearch.ErrInvalid)
		}
		if err == nil {
			err = index.KeepModel(im.dir, s.Space, index.Options{SaveModel: model.WriteModel, CheckModel: checkModel})
		}
		if err != nil {
			return fmt.Errorf("model %s of the export: %w", s.Model, err)
		}
	}
	return nil
}

// finish says that the index is whole.
func (im *importer) finish() error {
	if !im.half {
		return nil
	}
	return os.Remove(filepath.Join(im.dir, halfMark))
}

// failed says what became of the index: one that this import made of a damaged
// stream is removed, so that it is not taken for whole; what an interruption left
// can be gone on with.
func (im *importer) failed(err error) error {
	done := im.sum.Stored + im.sum.Known + im.sum.Skipped
	bad := errors.Is(err, stream.ErrDamaged) || errors.Is(err, clipsearch.ErrInvalid)
	switch {
	case im.fresh && (bad || im.lib == nil):
		im.remove()
		return fmt.Errorf("import %s: %w", im.name, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("import %s: interrupted after %d pictures: run it again to go on", im.name, done)
	case bad && done > 0:
		return fmt.Errorf("import %s: %d pictures that came before are in the index: %w", im.name, done, err)
	case im.half:
		return fmt.Errorf("import %s: the index in %s is half imported, with %d pictures of this export: import again to go on: %w", im.name, im.dir, done, err)
	}
	return fmt.Errorf("import %s: %w", im.name, err)
}

// remove takes away the index that was being made.
func (im *importer) remove() {
	if im.lib != nil {
		im.lib.Close()
	}
	if im.made {
		os.RemoveAll(im.dir)
		return
	}
	for _, name := range []string{"clipsearch.json", "clipsearch.backup.json", "store", "text", "models", "store.seal", "text.seal", halfMark} {
		os.RemoveAll(filepath.Join(im.dir, name))
	}
}

func (im *importer) cleanUp() {
	if im.spool != nil {
		im.spool.remove()
	}
}
