package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed/quantize"
	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/picture"
	"github.com/clipsearch/clipsearch/trainer"
)

type trainOptions struct {
	data, images, eval string
	out, config, init  string
	resume, lock, keys bool
	steps              int
	seed               int64
	flags              *pflag.FlagSet // which of them were given
}

func newTrainCommand(a *app) *cobra.Command {
	var o trainOptions
	cmd := &cobra.Command{
		Use:   "train --data FILE --out DIR",
		Short: "Train a model on pictures and their captions, from scratch or from a model that is there",
		Long: `train makes a model of pictures and captions. Without --init that is a new, small CLIP with a
vocabulary of its own, learned from the captions; --init trains an existing model on; with
--lock-image its image tower stays as it is, and the text tower learns to go with it (LiT).

--out becomes a model's directory, for --model and model info, embed and eval. While it
trains, it holds checkpoints and a log; --resume goes on from the last checkpoint, with the
losses of a run that was never stopped, and takes what is not said from the run. A run that
has ended is never done again, and nothing of another's is overwritten.

--config is a JSON file; --keys lists its keys with their defaults and meaning. Flags win
over it. train.json in --out says all that the run was made from.`,
		Example: `  clipsearch train --data flickr8k/karpathy.json --images flickr8k/images --out my-clip
  clipsearch train --resume --out my-clip
  clipsearch train --data pairs.tsv --init clip-vit-b-32 --steps 500 --out finer
  clipsearch train --data pairs.tsv --init DIR --lock-image --out lit`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.flags = cmd.Flags()
			if o.keys {
				return a.printKeys()
			}
			return a.endTrain(cmd.Context(), runTrain(cmd.Context(), a, o))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "pictures and captions: `FILE` (Karpathy or COCO JSON, TSV, CSV, JSONL, webdataset .tar), or a folder with one")
	f.StringVar(&o.images, "images", "", "`DIR` with the pictures (default: beside --data); a path in --data that leads neither below it nor below the folder of --data is an error")
	f.StringVar(&o.eval, "eval-data", "", "validate on all of `FILE` (default: the val split of --data)")
	f.StringVar(&o.out, "out", "", "`DIR` of the run, and of the model that it makes")
	f.StringVar(&o.config, "config", "", "`FILE.json` with settings: see --keys")
	f.BoolVar(&o.resume, "resume", false, "go on with the run in --out from its last checkpoint")
	f.IntVar(&o.steps, "steps", 0, "train for `N` steps (optim.steps)")
	f.Int64Var(&o.seed, "seed", 0, "`N` for first weights, order and augmentation (seed)")
	f.StringVar(&o.init, "init", "", "train the model `NAME|DIR` on (init)")
	f.BoolVar(&o.lock, "lock-image", false, "lock the image tower of --init (train.lock_image)")
	f.BoolVar(&o.keys, "keys", false, "list the keys of --config")
	return cmd
}

func runTrain(ctx context.Context, a *app, o trainOptions) error {
	setup, err := o.setup(a)
	if err != nil {
		return err
	}
	if !o.resume {
		if err := trainer.Vacant(o.out); err != nil {
			return err
		}
	}
	if err := a.loadRuntime(); err != nil {
		return err
	}
	show := a.newTrainShow(setup.Config)
	setup.Note, setup.Progress = show.note, show.progress
	t, err := trainer.Prepare(ctx, setup)
	if err != nil {
		return err
	}
	a.onClose(t.Close)
	r := t.Run(o.out, o.resume)
	r.OnStep, r.OnValidation = show.step, show.validation
	r.Record.Name, r.Record.Command, r.Record.Environment = modelName(o.out), append([]string{"clipsearch"}, os.Args[1:]...), a.environment()
	r.Report = func(ctx context.Context, dir string, rec trainer.Record) error {
		return a.writeTrainReport(ctx, t, o.out, dir, rec)
	}
	res, err := r.Train(ctx)
	show.done()
	if err != nil {
		return err
	}
	return a.printTrained(res, o.out)
}

// modelName is what a model is called that lies in dir.
func modelName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// setup gathers what the run is made from: the configuration file, or the run that is
// gone on with, and flags, which win.
func (o *trainOptions) setup(a *app) (s trainer.Setup, err error) {
	var old *trainer.Record
	if o.out == "" {
		return s, mistake("where to? Name a directory with --out")
	}
	if o.resume {
		r, err := trainer.ReadRecord(o.out)
		if errors.Is(err, os.ErrNotExist) {
			return s, mistake("there is no run in %s to go on with: leave --resume out to begin one", o.out)
		} else if err != nil {
			return s, err
		}
		old = &r
		o.data, o.images, o.eval = cmp.Or(o.data, r.Data.File), cmp.Or(o.images, r.Data.Images), cmp.Or(o.eval, r.Data.Eval)
	}
	if o.data == "" {
		return s, mistake("what to train on? Name pictures and captions with --data")
	}
	if s.Config, err = o.configuration(a, old); err != nil {
		return s, err
	}
	s.Data, s.Images, s.Eval = absolute(o.data), absolute(o.images), absolute(o.eval)
	s.Decode, s.Judge, s.Card = decodeUpright, a.judgeRetrieval, a.modelCard
	s.Quantize = func(m clip.Model, dir string, pictures []image.Image) error {
		_, err := quantize.Write(m, dir, pictures)
		return err
	}
	s.Threads = a.options.threads
	if p := a.options.provider; p != "auto" && p != "cpu" {
		s.Provider = p
	}
	if old != nil && !o.flags.Changed("threads") {
		s.Threads = cmp.Or(old.Environment.Threads, s.Threads) // the last digits depend on it
		a.options.threads = s.Threads
	}
	if s.Config.Init != "" {
		var m clip.Model
		if m, err = a.readModel(s.Config.Init); err != nil {
			return s, err
		}
		s.Init = &m
	}
	return s, nil
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// configuration is the file's, or that of the run that is gone on with, with flags.
func (o *trainOptions) configuration(a *app, old *trainer.Record) (c trainer.Config, err error) {
	switch {
	case o.config != "":
		c, err = trainer.ReadConfig(o.config)
	case old != nil:
		c = old.Config
	default:
		c = trainer.Defaults()
	}
	if err != nil {
		return c, err
	}
	for flag, set := range map[string]func(){
		"steps":      func() { c.Optim.Steps = o.steps },
		"seed":       func() { c.Seed = o.seed },
		"init":       func() { c.Init = o.init },
		"lock-image": func() { c.Train.LockImage = o.lock },
		"precision":  func() { c.Run.Precision = cmp.Or(a.options.precision, c.Run.Precision) },
	} {
		if o.flags.Changed(flag) {
			set()
		}
	}
	return c.Complete(), c.Check()
}

func decodeUpright(file []byte) (*image.RGBA, error) {
	img, _, err := picture.Decode(file, picture.Options{Upright: true})
	return img, err
}

// judgeRetrieval is eval's, for the trainer.
func (a *app) judgeRetrieval(ctx context.Context, images, texts []float32, dim int, owner []int64) (t2i, i2t trainer.Recalls, err error) {
	r, err := eval.Retrieve(ctx, eval.Matrix{Dim: dim, Data: images}, eval.Matrix{Dim: dim, Data: texts}, owner, a.options.threads)
	recalls := func(m eval.Metrics) trainer.Recalls {
		return trainer.Recalls{R1: m.Recall1, R5: m.Recall5, R10: m.Recall10}
	}
	return recalls(r.TextToImage), recalls(r.ImageToText), err
}

// endTrain says how an interrupted run goes on, and leaves with the code that shells
// know for that.
func (a *app) endTrain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, trainer.ErrInterrupted):
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = fmt.Errorf("before the run was begun, so that nothing is kept: %w", trainer.ErrInterrupted)
	default:
		return err
	}
	fmt.Fprintf(a.stderr, "clipsearch train: %s\n", oneLine(err))
	return exitError(exitInterrupted)
}

// exitInterrupted is what shells take for SIGINT.
const exitInterrupted = 130

// printTrained is the last line.
func (a *app) printTrained(res trainer.Result, out string) error {
	if a.options.json {
		return a.printJSON(struct {
			Best    trainer.Figures `json:"best"`
			Out     string          `json:"out"`
			Steps   int             `json:"steps"`
			Seconds float64         `json:"seconds"`
		}{res.Best, out, res.Steps, res.Seconds})
	}
	figures := "it was not validated"
	if b := res.Best; b.TextToImage != nil {
		figures = fmt.Sprintf("best at step %d: text→image R@1/5/10 %.1f/%.1f/%.1f, image→text %.1f/%.1f/%.1f %%", b.Step,
			100*b.TextToImage.R1, 100*b.TextToImage.R5, 100*b.TextToImage.R10, 100*b.ImageToText.R1, 100*b.ImageToText.R5, 100*b.ImageToText.R10)
	}
	_, err := fmt.Fprintf(a.stdout, "%d steps in %.0f s; %s; the model is in %s\n", res.Steps, res.Seconds, figures, shortPath(absolute(out)))
	return err
}

// printKeys lists the keys of a configuration.
func (a *app) printKeys() error {
	type key struct {
		Name    string          `json:"name"`
		Default json.RawMessage `json:"default"`
		Allowed string          `json:"allowed,omitempty"`
		Doc     string          `json:"doc"`
	}
	var list []key
	for _, k := range trainer.Keys() {
		list = append(list, key{k.Name, json.RawMessage(k.JSON()), k.Allowed, k.Doc})
	}
	if a.options.json {
		return a.printJSON(list)
	}
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tDEFAULT\tALLOWED\t")
	for _, k := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.Name, k.Default, k.Allowed, k.Doc)
	}
	return t.Flush()
}
