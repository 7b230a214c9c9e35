package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
)

func newEvalCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "eval", Short: "Measure how good a model is, and its index", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newEvalRetrievalCommand(a), newEvalZeroshotCommand(a), newEvalIndexCommand(a))
	return cmd
}

type retrievalOptions struct {
	data                 eval.DatasetOptions
	prompt, report       string
	exif                 bool
	images, texts, owner string // .npy files
}

func newEvalRetrievalCommand(a *app) *cobra.Command {
	var o retrievalOptions
	cmd := &cobra.Command{
		Use:   "retrieval",
		Short: "recall@k of text→image and image→text over a data set, as the CLIP paper has it",
		Example: `  clipsearch eval retrieval --dataset flickr30k --data ~/flickr30k
  clipsearch eval retrieval --images-embeddings i.npy --texts-embeddings t.npy --owner o.npy`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEvalRetrieval(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data.Name, "dataset", "", "`flickr30k|flickr8k|coco|karpathy`")
	f.StringVar(&o.data.Data, "data", "", "its annotations: `DIR|FILE`")
	f.StringVar(&o.data.Images, "images", "", "where its pictures are: `DIR`")
	f.StringVar(&o.data.Split, "split", "test", "`SPLIT` to judge")
	f.IntVar(&o.data.Limit, "limit", 0, "judge the first `N` pictures alone")
	f.BoolVar(&o.data.AllowMissing, "allow-missing", false, "leave out pictures that are not there, and say so")
	f.StringVar(&o.prompt, "prompt", "", "put each caption into `TEXT` at {}, such as 'a photo of {}'")
	f.StringVar(&o.report, "report", "", "write a report to `FILE.html|.md`")
	f.BoolVar(&o.exif, "exif", false, "turn pictures by their EXIF orientation (the references do not)")
	f.StringVar(&o.images, "images-embeddings", "", "judge embeddings from `F.npy`, one row a picture")
	f.StringVar(&o.texts, "texts-embeddings", "", "and from `F.npy`, one row a text")
	f.StringVar(&o.owner, "owner", "", "and `F.npy`: int64, the image row of each text")
	return cmd
}

func runEvalRetrieval(ctx context.Context, a *app, o retrievalOptions) error {
	r, err := o.run(ctx, a)
	if err != nil {
		return err
	}
	if err := a.writeReport(o.report, r); err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(r)
	}
	return printReport(a.stdout, r)
}

// writeReport writes a report into a file, if one is named.
func (a *app) writeReport(name string, r interface{ Write(io.Writer, string) error }) error {
	if name == "" {
		return nil
	}
	return a.writeOut(name, func(w io.Writer) error { return r.Write(w, name) })
}

func printReport(w io.Writer, r eval.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\ttext→image\timage→text\n", r.Title())
	for _, row := range r.Table() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", row.Name, row.TextToImage, row.ImageToText)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.Summary())
	return err
}

func (o retrievalOptions) run(ctx context.Context, a *app) (eval.Report, error) {
	arrays := o.images != "" || o.texts != "" || o.owner != ""
	switch {
	case arrays && (o.data.Name != "" || o.data.Data != ""):
		return eval.Report{}, mistake("give either --dataset and --data, or embeddings, not both")
	case arrays:
		return o.judgeArrays(ctx, a)
	case o.data.Name == "" || o.data.Data == "":
		return eval.Report{}, mistake("--dataset and --data are needed, or --images-embeddings, --texts-embeddings and --owner")
	}
	data, err := eval.ReadDataset(o.data)
	if err != nil {
		return eval.Report{}, err
	}
	m, err := a.readModel(a.options.model)
	if err != nil {
		return eval.Report{}, err
	}
	enc := a.open(m)
	return eval.Run(ctx, eval.Options{
		Dataset: data, Encoder: enc, Model: enc.Model().Name, Prompt: o.prompt, Threads: a.options.threads,
		Decode:   func(path string) (image.Image, error) { return decodeFile(path, o.exif) },
		Progress: a.countTo("encode"),
	})
}

func (o retrievalOptions) judgeArrays(ctx context.Context, a *app) (eval.Report, error) {
	if o.images == "" || o.texts == "" || o.owner == "" {
		return eval.Report{}, mistake("--images-embeddings, --texts-embeddings and --owner belong together")
	}
	images, err := readMatrix(o.images)
	if err != nil {
		return eval.Report{}, err
	}
	texts, err := readMatrix(o.texts)
	if err != nil {
		return eval.Report{}, err
	}
	owner, err := readNPY(o.owner, npy.ReadInt64)
	if err != nil {
		return eval.Report{}, err
	}
	if len(owner.Shape) != 1 {
		return eval.Report{}, mistake("%s has the shape %v, not [texts]", o.owner, owner.Shape)
	}
	return eval.Retrieve(ctx, images, texts, owner.Data, a.options.threads)
}

func readMatrix(name string) (eval.Matrix, error) {
	x, err := readNPY(name, npy.ReadFloat32)
	if err != nil {
		return eval.Matrix{}, err
	}
	if len(x.Shape) != 2 {
		return eval.Matrix{}, mistake("%s has the shape %v, not [rows, dimensions]", name, x.Shape)
	}
	return eval.Matrix{Dim: x.Shape[1], Data: x.Data}, nil
}

// countTo draws a bar on a terminal, and nothing elsewhere.
func (a *app) countTo(what string) func(done, total int) {
	if a.options.quiet || !isTerminal(a.stderr) {
		return nil
	}
	bar := a.newBar(what)
	return func(done, total int) {
		bar.ChangeMax(total)
		bar.Set(done) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
	}
}
