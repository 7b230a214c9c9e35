package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
	"github.com/clipsearch/clipsearch/picture"
)

type zeroshotOptions struct {
	data                  eval.LabelledOptions
	templates, classnames string
	base                  int
	report                string
	exif                  bool
	logits, labels        string // .npy files

	given func(flag string) bool
}

// defaultTemplate is what CLIP's authors take where they take one.
const defaultTemplate = "a photo of a {}."

func newEvalZeroshotCommand(a *app) *cobra.Command {
	var o zeroshotOptions
	cmd := &cobra.Command{
		Use:   "zeroshot",
		Short: "Accuracy of naming what is on pictures, without training for it",
		Long: `zeroshot names each picture with that class whose description is nearest to it,
and tells how often that is right. --data is a folder with a folder of pictures for
each class, or with an annotations.json of {"classes": [NAME...], "images":
[{"filename", "label", "split"}...]}, labels counted from 0.

A class is described by its name in each template; of several templates the mean
is taken. Sets of templates that have a name, from CLIP's repository:
` + strings.Join(eval.TemplateNames(), ", ") + `.`,
		Example: `  clipsearch eval zeroshot --data ~/imagenet-sample --templates openai-imagenet
  clipsearch eval zeroshot --data ~/birds --classnames birds.txt --report birds.html
  clipsearch eval zeroshot --logits l.npy --labels y.npy`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			return runEvalZeroshot(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data.Data, "data", "", "pictures with their classes: `DIR|FILE`")
	f.StringVar(&o.data.Images, "images", "", "where the pictures of an annotations.json are: `DIR`")
	f.StringVar(&o.data.Split, "split", "", "`SPLIT` to judge (default: test, where there are splits)")
	f.IntVar(&o.data.Limit, "limit", 0, "judge `N` pictures alone, evenly over the split")
	f.BoolVar(&o.data.AllowMissing, "allow-missing", false, "leave out pictures that are not there, and say so")
	f.StringVar(&o.templates, "templates", "", "`FILE|NAME`: a template a line with {} for the class, or a set by its name (default: '"+defaultTemplate+"')")
	f.StringVar(&o.classnames, "classnames", "", "`FILE` with the names of the classes, one a line, in place of the data's own")
	f.IntVar(&o.base, "base-classes", 0, "compare the first `N` classes with the others")
	f.StringVar(&o.report, "report", "", "write a report with every class to `FILE.html|.md`")
	f.BoolVar(&o.exif, "exif", false, "turn pictures by their EXIF orientation (the references do not)")
	f.StringVar(&o.logits, "logits", "", "judge scores from `F.npy`, a row a picture and a column a class")
	f.StringVar(&o.labels, "labels", "", "and `F.npy`: int64, the class of each picture")
	return cmd
}

func runEvalZeroshot(ctx context.Context, a *app, o zeroshotOptions) error {
	if o.report != "" { // what it cannot be called is told before the work
		if err := (eval.Classification{}).Write(io.Discard, o.report); err != nil {
			return err
		}
	}
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
	fmt.Fprintln(a.stdout, r.Title())
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range r.Table() {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, r.Summary())
	return err
}

func (o zeroshotOptions) run(ctx context.Context, a *app) (eval.Classification, error) {
	if o.given("base-classes") && o.base < 1 {
		return eval.Classification{}, mistake("--base-classes %d: it must be at least 1", o.base)
	}
	if o.given("logits") || o.given("labels") {
		return o.judgeArrays(ctx, a)
	}
	if o.data.Data == "" {
		return eval.Classification{}, mistake("--data is needed, or --logits and --labels")
	}
	templates, err := readTemplates(o.templates)
	if err != nil {
		return eval.Classification{}, err
	}
	if o.classnames != "" {
		if o.data.ClassNames, err = readLines("class names", o.classnames); err != nil {
			return eval.Classification{}, err
		}
	}
	o.data.IsPicture = func(name string) bool {
		return slices.Contains(picture.Extensions(), strings.ToLower(filepath.Ext(name)))
	}
	data, err := eval.ReadLabelled(o.data)
	if err != nil {
		return eval.Classification{}, err
	}
	m, err := a.readModel(a.options.model)
	if err != nil {
		return eval.Classification{}, err
	}
	enc := a.open(m)
	return eval.ZeroShot(ctx, eval.ZeroShotOptions{
		Dataset: data, Encoder: enc, Model: enc.Model().Name, Templates: templates, BaseClasses: o.base, Threads: a.options.threads,
		Decode:   func(path string) (image.Image, error) { return decodeFile(path, o.exif) },
		Progress: a.countTo("encode"),
	})
}

// readTemplates returns the templates of a set that is called so, or those of a file.
func readTemplates(name string) ([]string, error) {
	if name == "" {
		return []string{defaultTemplate}, nil
	}
	if set := eval.Templates(name); set != nil {
		return set, nil
	}
	if _, err := os.Stat(name); err != nil {
		return nil, mistake("--templates %s: there is no such file, and the sets are %s", name, strings.Join(eval.TemplateNames(), ", "))
	}
	templates, err := readLines("templates", name)
	if err != nil {
		return nil, err
	}
	for _, t := range templates {
		if !strings.Contains(t, "{}") {
			return nil, mistake("--templates %s: %q has no {} for the class to stand in", name, t)
		}
	}
	return templates, nil
}

func (o zeroshotOptions) judgeArrays(ctx context.Context, a *app) (eval.Classification, error) {
	for _, flag := range []string{"data", "images", "split", "limit", "allow-missing", "templates", "classnames", "exif"} {
		if o.given(flag) {
			return eval.Classification{}, mistake("--%s has no place beside --logits and --labels: leave it out", flag)
		}
	}
	if o.logits == "" || o.labels == "" {
		return eval.Classification{}, mistake("--logits and --labels belong together")
	}
	logits, err := readMatrix(o.logits)
	if err != nil {
		return eval.Classification{}, err
	}
	labels, err := readNPY(o.labels, npy.ReadInt64)
	if err != nil {
		return eval.Classification{}, err
	}
	if len(labels.Shape) != 1 {
		return eval.Classification{}, mistake("%s has the shape %v, not [rows]", o.labels, labels.Shape)
	}
	return eval.Classify(ctx, logits, labels.Data, o.base, a.options.threads)
}
