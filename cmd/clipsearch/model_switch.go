package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/index"
)

type switchOptions struct {
	rollback bool
	resume   bool
	wait     bool
	progress string
}

func newModelSwitchCommand(a *app) *cobra.Command {
	var o switchOptions
	cmd := &cobra.Command{
		Use:   "switch NAME|DIR",
		Short: "Have the index answer with another model, or go back",
		Long: `switch encodes every picture of the index with another model, in the background: the old
model answers meanwhile, and then the new one does, at once. A running server does the work;
without one a process is started for it. What is done stays done: after a crash, a reboot or
an interruption the next server goes on, or --resume does. Pictures are read from their files
or, where those are not there, from their thumbnails; switch to the same model again when they
are back. The index keeps both models' vectors, and a copy of both models: --rollback goes
back at once (or gives up a switch that is under way), prune --spaces drops what is not used.`,
		Example: `  clipsearch model switch ~/models/siglip --wait
  clipsearch model switch --rollback`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.valid(args); err != nil {
				return err
			}
			return runModelSwitch(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.rollback, "rollback", false, "go back to the model that answered before")
	f.BoolVar(&o.resume, "resume", false, "go on with what was begun")
	f.BoolVar(&o.wait, "wait", false, "end when the new model answers")
	f.StringVar(&o.progress, "progress", "", "`json`: with --wait one event a second on stderr")
	return cmd
}

func (o switchOptions) valid(args []string) error {
	switch {
	case o.progress != "" && o.progress != "json":
		return mistake("--progress %q is not json", o.progress)
	case o.rollback && o.resume:
		return mistake("--rollback and --resume: only one of them")
	case (o.rollback || o.resume) && len(args) > 0:
		return mistake("%s beside --rollback or --resume: they need no model", args[0])
	case o.rollback || o.resume:
		return nil
	case len(args) == 0:
		return mistake("NAME or DIR of a model is missing: `clipsearch model list` tells which there are")
	case len(args) > 1:
		return mistake("%d arguments, not one NAME or DIR: see `clipsearch model switch --help`", len(args))
	}
	return nil
}

// switching is one run of the command.
type switching struct {
	*app
	switchOptions
	lib   *collection
	start time.Time
}

func runModelSwitch(ctx context.Context, a *app, o switchOptions, args []string) error {
	var m clip.Model
	var err error
	if len(args) > 0 {
		if m, err = a.modelToSwitchTo(ctx, args[0]); err != nil {
			return err
		}
	}
	s := &switching{app: a, switchOptions: o, start: time.Now()}
	if s.lib, err = a.openIndex(ctx, openOptions{anyModel: true, work: o.wait}); err != nil {
		return err
	}
	switch {
	case o.rollback:
		return s.goBack(ctx)
	case o.resume:
		return s.goOn(ctx)
	}
	return s.begin(ctx, m)
}

// modelToSwitchTo reads a model by its name or directory, and tries it: what cannot
// be run is told before anything is done.
func (a *app) modelToSwitchTo(ctx context.Context, name string) (clip.Model, error) {
	if _, err := index.ReadMeta(a.options.index); err != nil {
		return clip.Model{}, err
	}
	m, err := a.readModel(name)
	if err != nil {
		return m, err
	}
	if err := a.refuseBroken(ctx, m); err != nil {
		return m, err
	}
	enc := a.openWith(m, embed.Options{})
	v, err := enc.EncodeTexts(ctx, []string{"a photo"})
	if err == nil {
		err = enc.Warm("image")
	}
	if err == nil {
		m.Dim, err = enc.Dim()
	}
	if err == nil && len(v[0]) != m.Dim {
		err = mistake("its texts have %d numbers, its pictures %d", len(v[0]), m.Dim)
	}
	if err != nil {
		return m, fmt.Errorf("switch to model %s: %w", m.Name, err)
	}
	return m, nil
}

// begin notes that the index is to answer with m, and has the work done.
func (s *switching) begin(ctx context.Context, m clip.Model) error {
	was, err := s.lib.Spaces(ctx)
	if err != nil {
		return err
	}
	space := m.Space()
	to := clipsearch.SpaceStats{Model: m.Name, Digest: space, Dim: m.Dim}
	if was.Next.Digest != (clipsearch.Space{}) && was.Next.Digest != space {
		s.say("the change to model %s is given up, at %d of %d pictures", was.Next.Model, was.Next.Images, was.Images)
	}
	if _, err := s.lib.encoders.give(m); err != nil {
		return err
	}
	keep := index.Options{SaveModel: m.WriteModel, CheckModel: checkModel}
	if err := index.KeepModel(s.options.index, space, keep); err != nil {
		return err
	}
	if err := s.lib.SwitchTo(ctx, to); err != nil {
		return err
	}
	s.forget()
	return s.have(ctx, space)
}

// goOn goes on with what the index was being changed to.
func (s *switching) goOn(ctx context.Context) error {
	was, err := s.lib.Spaces(ctx)
	if err != nil {
		return err
	}
	to := wanted(was)
	if to == nil {
		return s.print(was, was.Answering.Digest, 0)
	}
	if was.Trouble != "" { // it is to be tried again
		if err := s.lib.SwitchTo(ctx, *to); err != nil {
			return err
		}
	}
	return s.have(ctx, to.Digest)
}

// goBack has the space answer that did before, at once. What has come since lacks its
// vectors, and gets them afterwards.
func (s *switching) goBack(ctx context.Context) error {
	was, err := s.lib.Spaces(ctx)
	if err != nil {
		return err
	}
	if err := s.lib.Rollback(ctx); err != nil {
		return err
	}
	s.forget()
	if was.Next.Digest != (clipsearch.Space{}) {
		s.say("the change to model %s is given up, at %d of %d pictures", was.Next.Model, was.Next.Images, was.Images)
	}
	space, err := s.lib.Answering(ctx)
	if err != nil {
		return err
	}
	if whole, err := s.lib.Change(ctx); err != nil {
		return err
	} else if !whole {
		s.say("pictures that have come since are found by their words until they have been encoded")
	}
	return s.have(ctx, space)
}

// have sees to it that the work is done: by the owner of the index, by this process
// if that waits, or by one in the background.
func (s *switching) have(ctx context.Context, space clipsearch.Space) error {
	now, err := s.lib.Spaces(ctx)
	if err != nil {
		return err
	}
	if wanted(now) != nil && (now.Answering.Digest != space || now.Answering.Thumbs == 0) {
		if _, err := s.lib.Change(ctx); err != nil { // there may be nothing to do
			return err
		}
		if now, err = s.lib.Spaces(ctx); err != nil {
			return err
		}
	}
	pid := 0
	switch {
	case wanted(now) == nil:
	case s.wait:
		return s.await(ctx, space)
	case !now.Carried:
		if pid, err = s.background(); err != nil {
			return err
		}
	}
	return s.print(now, space, pid)
}

// say tells a person what --json has no word for.
func (s *switching) say(format string, args ...any) {
	if !s.options.quiet {
		fmt.Fprintf(s.stderr, format+"\n", args...)
	}
}

// switched is what `model switch --json` prints.
type switched struct {
	Model    string           `json:"model"`
	Digest   clipsearch.Space `json:"digest"`
	Active   bool             `json:"active"`   // it answers
	Previous string           `json:"previous"` // what --rollback goes back to
	Images   int              `json:"images"`
	Encoded  int              `json:"encoded"`         // of Images
	Thumbs   int              `json:"from_thumbnails"` // of Encoded
	PID      int              `json:"pid,omitempty"`   // of the process that encodes in the background
	Seconds  float64          `json:"seconds"`
}

// print says where the index stands on its way to a space.
func (s *switching) print(now clipsearch.Spaces, space clipsearch.Space, pid int) error {
	of := now.Answering
	if now.Next.Digest == space {
		of = now.Next
	}
	out := switched{
		Model: of.Model, Digest: of.Digest, Active: of.Active, Previous: now.Previous.Model,
		Images: now.Images, Encoded: of.Images, Thumbs: of.Thumbs, PID: pid, Seconds: seconds(time.Since(s.start)),
	}
	if s.options.json {
		return s.printJSON(out)
	}
	if !of.Active {
		who := "the owner of the index"
		if pid != 0 {
			who = fmt.Sprintf("process %d", pid)
		}
		_, err := fmt.Fprintf(s.stdout, "%d of %d pictures are encoded with %s; %s does the others in the background, and %s answers meanwhile: `clipsearch stats` tells how far it is\n",
			of.Images, now.Images, of.Model, who, now.Answering.Model)
		return err
	}
	_, err := fmt.Fprintf(s.stdout, "%s answers: %d of %d pictures, in %.1f s%s\n", of.Model, of.Images, now.Images, out.Seconds, s.hints(now, of))
	return err
}

func (s *switching) hints(now clipsearch.Spaces, of clipsearch.SpaceStats) (hints string) {
	if of.Thumbs > 0 {
		hints += fmt.Sprintf("; %d of them from thumbnails, because their files were not there: switch to it again when they are", of.Thumbs)
	}
	if now.Previous.Model != "" {
		hints += fmt.Sprintf("; `clipsearch model switch --rollback` goes back to %s", now.Previous.Model)
	}
	return hints
}
