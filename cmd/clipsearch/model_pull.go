package main

import (
	"cmp"
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
	if len(o.files) > 0 {
		s.globs = o.files
	}
	if !h.Offline {
		if err := s.allowed(name, o.files, o.accept); err != nil {
			return err
		}
	}
	whole := pulled{source: s}
	if whole.Pulled, err = a.pull(ctx, h, s, o, name); err != nil {
		return err
	}
	if images, apart := s.images(); apart {
		whole.images = &pulled{source: images}
		if whole.images.Pulled, err = a.pull(ctx, h, images, o, name); err != nil {
			return fmt.Errorf("the image tower of %s: %w", name, err)
		}
	}
	return a.printPulled(name, whole)
}

// pulled is what a pull has brought, or found.
type pulled struct {
	hub.Pulled
	source source
	images *pulled // the image tower, where that is another repository's
}

// licence is the registry's, else what the hub says.
func (p pulled) licence() string { return cmp.Or(p.source.known.Licence, p.Licence) }

// pull brings one repository.
func (a *app) pull(ctx context.Context, h *hub.Hub, s source, o pullOptions, name string) (hub.Pulled, error) {
	wish := hub.Wish{Precision: a.options.precision, Files: s.files()}
	if h.Offline {
		return pullOffline(h, s, wish)
	}
	bar := a.newPullBar(s.repo.Name)
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
		return p, fmt.Errorf("pull %s: interrupted: what has come is kept, pull again to go on", name)
	}
	return p, err
}

// allowed returns an error if the registry knows, before anything is asked, that a pull
// cannot be meant so: of a licence that is not accepted, or of several models at once.
func (s source) allowed(name string, files []string, accept bool) error {
	var names []string
	for _, k := range hub.KnownAs(s.repo.Name) {
		if k.NonCommercial() && !accept {
			return unaccepted(name, k.Licence, k.Terms)
		}
		names = append(names, k.Name)
	}
	if len(names) > 1 && len(files) == 0 && s.known.Folder == "" {
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

// pullOffline is a pull without the network: it is done if the model is there.
func pullOffline(h *hub.Hub, s source, wish hub.Wish) (hub.Pulled, error) {
	snap, err := h.Find(s.repo)
	if errors.Is(err, clipsearch.ErrNotFound) {
		return hub.Pulled{}, fmt.Errorf("%s is not installed, and HF_HUB_OFFLINE is set, so it cannot be fetched: unset it and pull again", s.repo)
	}
	if err != nil {
		return hub.Pulled{}, err
	}
	return snap.Describe(wish)
}

// pulledJSON is what --json prints of a repository.
type pulledJSON struct {
	Name     string           `json:"name"`
	Repo     string           `json:"repo"`
	Revision string           `json:"revision"`
	Path     string           `json:"path"`
	Layout   string           `json:"layout"`
	Licence  string           `json:"licence"`
	Files    []hub.PulledFile `json:"files"`
	Bytes    int64            `json:"bytes"`
	Loaded   int64            `json:"downloaded_bytes"`
	Images   *pulledJSON      `json:"image_tower,omitempty"`
}

func (p pulled) json(name string) *pulledJSON {
	j := &pulledJSON{name, p.Repo.Name, p.Commit, p.source.dir(p.Dir), p.Layout, p.licence(), p.Files, p.Bytes, p.Loaded, nil}
	if p.images != nil {
		j.Images = p.images.json(p.images.Repo.Name)
	}
	return j
}

func (a *app) printPulled(name string, p pulled) error {
	if a.options.json {
		return a.printJSON(p.json(name))
	}
	list := []pulled{p}
	if p.images != nil {
		list = append(list, *p.images)
	}
	for i, p := range list {
		what, called := "all of it was there", name
		if p.Loaded > 0 {
			what = humanize.Bytes(uint64(p.Loaded)) + " loaded"
		}
		if i > 0 {
			called = "its image tower, " + p.Repo.Name
		}
		fmt.Fprintf(a.stdout, "%s at %.12s: %d files, %s, %s\nlicence: %s\n%s\n",
			called, p.Commit, len(p.Files), humanize.Bytes(uint64(p.Bytes)), what, cmp.Or(p.licence(), "not told: see its page"), p.source.dir(p.Dir))
	}
	_, err := fmt.Fprintf(a.stdout, "use it with --model %s\n", name)
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
