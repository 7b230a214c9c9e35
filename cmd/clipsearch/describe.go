package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
)

type describeOptions struct {
	labels    string
	templates []string
	limit     int
}

func newDescribeCommand(a *app) *cobra.Command {
	var o describeOptions
	cmd := &cobra.Command{
		Use:   "describe IMAGE",
		Short: "Rank texts for a picture: the captions of the index, or labels from a file",
		Example: `  clipsearch describe photo.jpg
  clipsearch describe photo.jpg --labels animals.txt --template 'a photo of a {}.'`,
		Args: exactArgs(1, "one IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error { return runDescribe(cmd.Context(), a, o, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.labels, "labels", "", "`FILE` with one text a line (default: the captions in the index)")
	f.StringArrayVar(&o.templates, "template", nil, "put each label into `TEXT` at {}; of several, the mean")
	f.IntVarP(&o.limit, "limit", "n", 10, "print at most `N` texts")
	return cmd
}

type described struct {
	Image   string      `json:"image"`
	Results []textScore `json:"results"`
}

type textScore struct {
	Text        string  `json:"text"`
	Score       float64 `json:"score"`
	Probability float64 `json:"probability"`
}

func runDescribe(ctx context.Context, a *app, o describeOptions, name string) error {
	if o.limit <= 0 {
		return mistake("--limit %d: it must be positive", o.limit)
	}
	file, err := a.readFile(name)
	if err != nil {
		return err
	}
	hits, scale, err := o.rank(ctx, a, file, name)
	if err != nil {
		return err
	}
	out := described{Image: name, Results: softmax(hits, scale)}
	out.Results = out.Results[:min(o.limit, len(out.Results))]
	if a.options.json {
		return a.printJSON(out)
	}
	if len(hits) == 0 {
		fmt.Fprintln(a.stderr, "the index holds no captions: give texts with --labels FILE, or captions to `ingest --captions FILE`")
	}
	for _, r := range out.Results {
		if _, err := fmt.Fprintf(a.stdout, "%5.1f%%  %.4f  %s\n", 100*r.Probability, r.Score, r.Text); err != nil {
			return err
		}
	}
	return nil
}

// rank scores the labels, or else the index's captions, best first, and returns
// the model's logit_scale with them.
func (o describeOptions) rank(ctx context.Context, a *app, file []byte, name string) ([]clipsearch.TextHit, float64, error) {
	if o.labels == "" {
		lib, err := a.openIndex(ctx, openOptions{warm: []string{"image"}})
		if err != nil {
			return nil, 0, err
		}
		return o.rankCaptions(ctx, lib, file, name)
	}
	labels, err := readLines("labels", o.labels)
	if err != nil {
		return nil, 0, err
	}
	m, err := a.modelFor()
	if err != nil {
		return nil, 0, err
	}
	enc := a.open(m)
	v, err := encodeFile(ctx, enc, file, name)
	if err != nil {
		return nil, 0, err
	}
	texts, err := encodeLabels(ctx, enc, labels, o.templates)
	if err != nil {
		return nil, 0, err
	}
	return rankTexts(v, labels, texts), enc.Model().LogitScale, nil
}

// rankCaptions ranks the index's captions.
func (o describeOptions) rankCaptions(ctx context.Context, lib *collection, file []byte, name string) (hits []clipsearch.TextHit, scale float64, err error) {
	err = lib.pin(ctx, func(ctx context.Context) error {
		enc, err := lib.encoder(ctx)
		if err != nil {
			return err
		}
		v, err := encodeFile(ctx, enc.Encoder, file, name)
		if err != nil {
			return err
		}
		scale = enc.Model().LogitScale
		hits, err = lib.NearestCaptions(ctx, v, max(o.limit, 1000))
		return err
	})
	return hits, scale, err
}

func rankTexts(v clipsearch.Vector, labels []string, texts []clipsearch.Vector) []clipsearch.TextHit {
	hits := make([]clipsearch.TextHit, len(labels))
	for i, t := range texts {
		hits[i] = clipsearch.TextHit{Text: labels[i], Score: v.Dot(t)}
	}
	slices.SortStableFunc(hits, func(x, y clipsearch.TextHit) int { return cmp.Compare(y.Score, x.Score) })
	return hits
}

// encodeLabels returns a vector for each label: of several templates the mean of
// the unit vectors, brought to unit length (Radford et al. 2021, section 3.1.4).
func encodeLabels(ctx context.Context, enc textEncoder, labels, templates []string) ([]clipsearch.Vector, error) {
	if len(templates) == 0 {
		templates = []string{"{}"}
	}
	vectors := make([]clipsearch.Vector, len(labels))
	for i, label := range labels {
		prompts := make([]string, len(templates))
		for j, t := range templates {
			if !strings.Contains(t, "{}") {
				return nil, mistake("template %q has no {} for the label", t)
			}
			prompts[j] = strings.ReplaceAll(t, "{}", label)
		}
		some, err := enc.EncodeTexts(ctx, prompts)
		if err != nil {
			return nil, err
		}
		mean := make([]float32, len(some[0]))
		for _, v := range some {
			for d, x := range v {
				mean[d] += x
			}
		}
		if vectors[i], err = clipsearch.Unit(mean); err != nil {
			return nil, fmt.Errorf("label %q: %w", label, err)
		}
	}
	return vectors, nil
}

type textEncoder interface {
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
}

// softmax turns cosines into probabilities with the model's logit_scale.
func softmax(hits []clipsearch.TextHit, scale float64) []textScore {
	scores := make([]textScore, len(hits))
	var sum float64
	for i, h := range hits {
		p := math.Exp(scale * float64(h.Score-hits[0].Score)) // hits[0] is the largest
		scores[i] = textScore{Text: h.Text, Score: float64(h.Score), Probability: p}
		sum += p
	}
	for i := range scores {
		scores[i].Probability /= sum
	}
	return scores
}

// readLines reads the lines of a file that are not blank, what they are being for
// the errors.
func readLines(what, name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, mistake("read %s: %v", what, err)
	}
	defer f.Close()
	var lines []string
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if s := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff")); s != "" {
			lines = append(lines, s)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, mistake("read %s %s: %v", what, name, err)
	}
	if len(lines) == 0 {
		return nil, mistake("%s holds no %s", name, what)
	}
	return lines, nil
}
