package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/hub"
)

type pullOptions struct {
	files  []string
	accept bool
}

func newModelPullCommand(a *app) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull REPO[@REV]",
		Short: "Get a model from the Hugging Face hub",
		Long: `pull brings the files of a model that are needed into the cache that Python's
huggingface_hub uses too: ONNX graphs or safetensors, their configuration and the tokenizer;
never a pickle. REPO is ORG/NAME or a short name that model list knows; REV is a branch, a
tag or a commit. Each file must have the digest that the hub lists for it. What was broken
off is gone on with by the next pull; until everything is there, nothing is installed.

HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE are honoured. The token goes
to the endpoint and to nobody else.`,
		Example: `  clipsearch model pull siglip2-b-16
  clipsearch model pull openai/clip-vit-large-patch14@main
  clipsearch model import siglip2-b-16 --precision int8 --out fast   # int8 made and proven here
  clipsearch search a dog --model Xenova/clip-vit-base-patch32`,
		Args: exactArgs(1, "one REPO"),
		RunE: func(cmd *cobra.Command, args []string) error { return runModelPull(cmd.Context(), a, o, args[0]) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.files, "file", nil, "take the weights that match `GLOB`, not those that the layout suggests")
	f.BoolVar(&o.accept, "accept-licence", false, "accept a licence that allows no commercial use")
	return cmd
}

func runModelPull(ctx context.Context, a *app, o pullOptions, name string) error {
	s, err := sourceOf(name)
	if err != nil {
		return err
	}
	h, err := a.newHub()
	if err != nil {
		return err
	}
	if !a.options.quiet {
		h.Notice = func(s string) { fmt.Fprintln(a.stderr, s) }
	}
	wish := hub.Wish{Precision: a.options.precision, Files: o.files}
	if len(wish.Files) == 0 {
		wish.Files = s.known.Files()
	}
	if h.Offline {
		return a.printInstalled(h, s, name, wish)
	}
	if err := s.allowed(name, wish, o.accept); err != nil {
		return err
	}
	bar := a.newPullBar(name)
	p, err := h.Pull(ctx, s.repo, hub.Order{
		Wish: wish, Progress: bar.set,
		Agree: func(l hub.Listing, _ hub.Choice) error {
			if hub.NonCommercial(l.Licence) && !o.accept {
				return unaccepted(name, l.Licence, "")
			}
			return nil
		},
	})
	bar.done()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("pull %s: interrupted: what has come is kept, pull again to go on", name)
	}
	if err != nil {
		return err
	}
	return a.printPulled(name, s, p)
}

// allowed returns an error if the registry knows, before anything is asked, that a pull
// cannot be meant so: of a licence that is not accepted, or of several models at once.
func (s source) allowed(name string, wish hub.Wish, accept bool) error {
	var names []string
	for _, k := range hub.KnownAs(s.repo.Name) {
		if k.NonCommercial() && !accept {
			return unaccepted(name, k.Licence, k.Terms)
		}
		names = append(names, k.Name)
	}
	if len(names) > 1 && len(wish.Files) == 0 {
		return mistake("%s holds several models: pull one by its name (%s), or name files with --file", name, strings.Join(names, ", "))
	}
	return nil
}

// unaccepted is the error of a licence that must be accepted first.
func unaccepted(name, licence, terms string) error {
	if terms != "" {
		licence += ", " + terms
	}
	return mistake("%s may not be used commercially (licence: %s): if that suits you, pull it with --accept-licence", name, licence)
}

// printInstalled is a pull without the network: it is done if the model is there.
func (a *app) printInstalled(h *hub.Hub, s source, name string, wish hub.Wish) error {
	snap, err := h.Find(s.repo)
	if errors.Is(err, clipsearch.ErrNotFound) {
		return fmt.Errorf("%s is not installed, and HF_HUB_OFFLINE is set, so it cannot be fetched: unset it and pull again", name)
	}
	if err != nil {
		return err
	}
	p, err := snap.Describe(wish)
	if err != nil {
		return err
	}
	return a.printPulled(name, s, p)
}

func (a *app) printPulled(name string, s source, p hub.Pulled) error {
	licence := p.Licence
	if s.known.Licence != "" {
		licence = s.known.Licence
	}
	if a.options.json {
		return a.printJSON(struct {
			Name     string           `json:"name"`
			Repo     string           `json:"repo"`
			Revision string           `json:"revision"`
			Path     string           `json:"path"`
			Layout   string           `json:"layout"`
			Licence  string           `json:"licence"`
			Files    []hub.PulledFile `json:"files"`
			Bytes    int64            `json:"bytes"`
			Loaded   int64            `json:"downloaded_bytes"`
		}{name, p.Repo.Name, p.Commit, s.dir(p.Dir), p.Layout, licence, p.Files, p.Bytes, p.Loaded})
	}
	if licence == "" {
		licence = "not told: see its page"
	}
	what := "all of it was there"
	if p.Loaded > 0 {
		what = humanize.Bytes(uint64(p.Loaded)) + " loaded"
	}
	_, err := fmt.Fprintf(a.stdout, "%s at %.12s: %d files, %s, %s\nlicence: %s\n%s\nuse it with --model %s\n",
		name, p.Commit, len(p.Files), humanize.Bytes(uint64(p.Bytes)), what, licence, s.dir(p.Dir), name)
	return err
}

// pullBar shows on a terminal how many bytes have come.
type pullBar struct{ bar *progressbar.ProgressBar }

func (a *app) newPullBar(what string) *pullBar {
	if a.options.quiet || !isTerminal(a.stderr) {
		return &pullBar{}
	}
	return &pullBar{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true),
		progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth())}
}

func (b *pullBar) set(done, total int64) {
	if b.bar == nil {
		return
	}
	if b.bar.GetMax64() != total {
		b.bar.ChangeMax64(total)
	}
	b.bar.Set64(done) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
}

func (b *pullBar) done() {
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // as above
	}
}
