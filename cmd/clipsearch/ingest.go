package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/ingest"
)

type ingestOptions struct {
	captions string
	exclude  []string
	jobs     int
	batch    int
	prune    bool
	dryRun   bool
	progress string
	ready    readyOptions
	language string
}

func newIngestCommand(a *app) *cobra.Command {
	var o ingestOptions
	cmd := &cobra.Command{
		Use:   "ingest PATH...",
		Short: "Put pictures into the index: folders, files, .tar and .zip archives, or - for paths on stdin",
		Long: `ingest walks folders and puts every picture into the index. What is there already
costs only the walk, so it can be run again at any time, also after it was stopped.

With --vectors and --paths the vectors have been made already: row i of an .npy (of any
numbers and any length: they are made float32, and unit vectors) belongs to the picture at
line i of a list. The pictures are read for their size, date and thumbnail, and not encoded. The vectors must come from the model that
the index answers with; for a new index --model says which that is. If clipsearch cannot run
it, --model-name gives their space a name: such an index answers similar ID and --mode text,
but can encode neither words nor pictures. A row that is zero or not finite fails, and is
named by its number, from 0; the row of a picture that the index has is not looked at.`,
		Example: `  clipsearch ingest ~/Pictures
  clipsearch ingest ./photos --captions captions.tsv --exclude '**/drafts/**'
  find . -name '*.jpg' -print0 | clipsearch ingest -
  clipsearch ingest --vectors clip.npy --paths clip.txt --model-name openai-ViT-L-14`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.ready.any() {
				return nil
			}
			return minArgs(1, "PATH")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runIngest(cmd.Context(), a, o, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.captions, "captions", "", "captions `FILE`: Karpathy or COCO JSON, TSV or CSV (path,caption), JSONL")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out paths that match `GLOB` (** crosses folders); may be repeated")
	f.IntVar(&o.jobs, "jobs", 0, "prepare `N` pictures at once (default: --threads)")
	f.IntVar(&o.batch, "batch", 0, "`N` pictures to the encoder at once (default 16)")
	f.BoolVar(&o.prune, "prune", false, "forget files below PATH that are gone")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.StringVar(&o.ready.vectors, "vectors", "", "take ready vectors from `F.npy` [N, dim], with --paths")
	f.StringVar(&o.ready.paths, "paths", "", "`F.txt` with the N pictures of --vectors, one a line, or ended by NUL bytes")
	f.StringVar(&o.ready.modelName, "model-name", "", "`NAME` of the model that made --vectors, if clipsearch cannot run it")
	f.StringVar(&o.language, "language", "", "`LANG` of captions, tags and names in an index that is made (default en; `clipsearch language` lists them)")
	f.StringVar(&o.progress, "progress", "", "`json`: one event a second on stderr")
	return cmd
}

func runIngest(ctx context.Context, a *app, o ingestOptions, args []string) error {
	if o.jobs < 0 || o.batch < 0 || o.jobs > 1024 || o.batch > 1024 {
		return mistake("--jobs %d --batch %d: both must be between 1 and 1024", o.jobs, o.batch)
	}
	if o.progress != "" && o.progress != "json" {
		return mistake("--progress %q is not json", o.progress)
	}
	if err := o.ready.valid(o, args); err != nil {
		return err
	}
	var captions ingest.Captions
	var err error
	if o.captions != "" {
		if captions, err = ingest.LoadCaptions(o.captions); err != nil {
			return err
		}
	}
	if o.ready.vectors != "" {
		return runReady(ctx, a, o, captions)
	}
	roots, err := a.roots(args)
	if err != nil {
		return err
	}
	store, enc, err := a.openStore(ctx, o)
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := a.rememberRoots(roots); err != nil {
			return err
		}
	}
	show := a.newProgress("ingest", o.progress == "json")
	p := a.pipeline(store, enc, o, show)
	p.Captions = captions
	sum, err := p.Run(ctx, roots...)
	if err == nil {
		err = a.completeOwed(ctx, store)
	}
	settle(ctx, store)
	show.done()
	return a.endIngest(sum, err)
}

// settle has an index derive what searches go by of what was written. Where that
// cannot be, or is cut short, the next who searches does it.
func settle(ctx context.Context, store any) {
	if s, ok := store.(interface{ Settle(context.Context) error }); ok {
		_ = s.Settle(ctx)
	}
}

// openStore opens the index, and makes it if there is none and nothing stands in
// the way of filling it. A dry run makes nothing.
func (a *app) openStore(ctx context.Context, o ingestOptions) (ingest.Store, *embed.Encoder, error) {
	meta, err := index.ReadMeta(a.options.index)
	fresh := errors.Is(err, clipsearch.ErrNotFound)
	if err := checkLanguage(a.options.index, o.language, meta, fresh); err != nil {
		return nil, nil, err
	}
	if fresh && o.dryRun {
		m, err := a.readModel(a.options.model)
		if err == nil {
			err = seesPictures(m)
		}
		return nothing{}, a.open(m), err
	}
	if fresh {
		if _, err := a.library(); err != nil {
			return nil, nil, err
		}
	}
	vet := func(m clip.Model) error {
		if err := seesPictures(m); err != nil {
			return err
		}
		return a.refuseBroken(ctx, m)
	}
	opening := openOptions{create: true, language: o.language, vet: vet}
	if fresh {
		opening.warm = []string{"image"} // while the copy of the model is written
	}
	lib, err := a.openIndex(ctx, opening)
	if err != nil {
		return nil, nil, err
	}
	enc, err := lib.encoder(ctx)
	if err != nil {
		return nil, nil, err
	}
	if m := enc.Model(); !m.Runs() {
		return nil, nil, mistake("index %s answers with model %s, which clipsearch cannot run: bring the vectors of its pictures with --vectors and --paths",
			a.options.index, m.Name)
	}
	if err := seesPictures(enc.Model()); err != nil {
		return nil, nil, err
	}
	if !fresh && !o.dryRun {
		if err := vet(enc.Model()); err != nil {
			return nil, nil, err
		}
	}
	return lib.Handle, enc.Encoder, nil
}

// seesPictures returns an error if a model has no tower for pictures.
func seesPictures(m clip.Model) error {
	if m.Image == "" {
		return mistake("model %s reads texts only: pair it with the model whose pictures it is for (`clipsearch model import IMAGE-MODEL --text %s --out DIR`), or bring the vectors of pictures with --vectors and --paths", m.Name, m.Name)
	}
	return nil
}

// nothing is the index that a dry run finds where there is none.
type nothing struct{}

func (nothing) Seen(_ context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	return make([]clipsearch.ID, len(files)), nil
}

func (nothing) Image(_ context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	return clipsearch.Image{}, fmt.Errorf("picture %s: %w", id, clipsearch.ErrNotFound)
}

func (nothing) Put(context.Context, []clipsearch.Entry) error    { return nil }
func (nothing) Forget(context.Context, []string) (int, error)    { return 0, nil }
func (nothing) Files(context.Context) ([]clipsearch.File, error) { return nil, nil }

func (a *app) pipeline(store ingest.Store, enc ingest.Encoder, o ingestOptions, show *progress) *ingest.Pipeline {
	return &ingest.Pipeline{
		Encoder: enc, Store: store,
		Jobs: cmp.Or(o.jobs, a.options.threads), Encoders: a.options.threads, Batch: o.batch,
		Exclude: o.exclude, DryRun: o.dryRun, Prune: o.prune,
		Skip: []string{a.options.index}, Report: show.report, Failed: show.failed,
	}
}

// roots are the paths of the arguments, - standing for those on stdin.
func (a *app) roots(args []string) ([]string, error) {
	var roots []string
	for _, arg := range args {
		if arg != "-" {
			roots = append(roots, arg)
			continue
		}
		more, err := ingest.ReadPaths(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read paths from stdin: %w", err)
		}
		roots = append(roots, more...)
	}
	for _, root := range roots {
		if _, err := os.Lstat(root); err != nil {
			return nil, mistake("%s: there is no such file or folder", root)
		}
	}
	return roots, nil
}

// summary is the last line of `ingest --json`.
type summary struct {
	Found           int              `json:"found"`
	Stored          int              `json:"stored"`
	Known           int              `json:"known"`
	Moved           int              `json:"moved"`
	Failed          int              `json:"failed"`
	Skipped         int              `json:"skipped"`
	Pruned          int              `json:"pruned"`
	Bytes           int64            `json:"bytes"`
	Seconds         float64          `json:"seconds"`
	ImagesPerSecond float64          `json:"images_per_second"`
	Failures        []ingest.Failure `json:"failures"`
}

func (a *app) endIngest(s ingest.Summary, err error) error {
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %d pictures stored, run it again to go on", s.Stored)
	}
	if err != nil {
		return err
	}
	out := summary{
		Found: s.Found, Stored: s.Stored, Known: s.Known, Moved: s.Moved, Failed: s.Failed, Skipped: s.Skipped,
		Pruned: s.Pruned, Bytes: s.Bytes, Seconds: seconds(s.Elapsed),
	}
	if out.Seconds > 0 {
		out.ImagesPerSecond = float64(s.Stored) / out.Seconds
	}
	out.Failures = make([]ingest.Failure, len(s.Failures))
	for i, f := range s.Failures {
		out.Failures[i] = ingest.Failure{Path: f.Path, Error: withoutKind(f.Error)}
	}
	if a.options.json {
		err = a.printJSON(out)
	} else {
		_, err = fmt.Fprintf(a.stdout, "%d files: %d stored, %d known, %d moved, %d failed, in %.1f s (%.0f pictures/s) into %s\n",
			s.Found, s.Stored, s.Known, s.Moved, s.Failed, out.Seconds, out.ImagesPerSecond, shortPath(a.options.index))
	}
	if err == nil && s.Failed > 0 {
		err = exitError(exitSomeFiles)
	}
	return err
}

// shortPath is path relative to the working directory where that is shorter.
func shortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}
