package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch/clip"
)

// begin makes the folder of a new run, or finds where one that is there stands.
func (r *Run) begin(ctx context.Context) (*workdir, *state, error) {
	s := &state{Version: stateVersion, Seed: r.Config.Seed, Config: r.Config, Validated: -1}
	w, err := openWorkdir(r.Dir, r.Resume)
	if err != nil {
		return nil, s, err
	}
	r.Record.Version, r.Record.Config, r.Record.Batch, r.Record.Started = recordVersion, r.Config, r.Batch, time.Now().UTC()
	if r.Resume {
		s, err = r.goOn(ctx, w, s)
		w.ended = s.done != nil
	} else if err = r.open(ctx, w); err == nil {
		err = errors.Join(w.openLog(0), w.writeRecord(r.Record))
	} else {
		w.undo()
	}
	if isFull(err) {
		err = noRoom(err, w)
	}
	if err != nil || s.done != nil {
		return nil, s, errors.Join(err, w.close())
	}
	return w, s, nil
}

// open makes what is trained.
func (r *Run) open(ctx context.Context, w *workdir) error {
	if r.Open == nil {
		return nil
	}
	err := r.Open(ctx, filepath.Join(w.dir, workName))
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("before the first step: %w", ErrInterrupted)
	}
	return err
}

// goOn finds the last whole checkpoint of the run, and fills the Learner from it.
func (r *Run) goOn(ctx context.Context, w *workdir, s *state) (*state, error) {
	old, err := ReadRecord(w.dir)
	if err != nil {
		return s, err
	}
	if err := old.same(r.Record); err != nil {
		return s, fmt.Errorf("%s: %w", w.dir, err)
	}
	if old.Result != nil {
		s.done = old.Result
		r.note("the run in %s has ended already: there is nothing to go on with", w.dir)
		return s, w.tidy(old.Config) // which it may have been killed in the midst of
	}
	if list := old.Environment.unlike(r.Record.Environment); len(list) > 0 {
		r.note("losses may differ in their last digits from those of an uninterrupted run: %s", strings.Join(list, "; "))
	}
	if err := r.open(ctx, w); err != nil {
		return s, err
	}
	r.Record.Started, r.Record.Command, r.Record.Resumed = old.Started, old.Command, old.Resumed+1
	if _, err := os.ReadDir(filepath.Join(w.dir, checkpoints)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("read the checkpoints of the run: %w: nothing was changed", err)
	}
	names := w.names()
	if len(names) == 0 {
		r.note("the run in %s was stopped before its first checkpoint: it begins at step 1", w.dir)
		return s, errors.Join(w.openLog(0), w.writeRecord(r.Record))
	}
	s, err = r.lastWhole(w, names)
	if err != nil {
		return &state{}, err
	}
	s.Config = r.Config // what may differ has been allowed
	w.kept, w.best = s.Step, bestName(s.Best)
	r.note("going on after step %d of %d", s.Step, r.Config.Optim.Steps)
	return s, errors.Join(w.openLog(s.Log), w.writeRecord(r.Record))
}

// lastWhole loads the newest of the checkpoints that is not damaged.
func (r *Run) lastWhole(w *workdir, names []string) (*state, error) {
	var errs []error
	for _, name := range names {
		s, err := w.load(name, r.Learner.State())
		if err == nil {
			return s, nil
		}
		r.note("checkpoint %s is damaged, and left out: %v", filepath.Join(w.dir, checkpoints, name), err)
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	return nil, fmt.Errorf("no checkpoint in %s is whole (%w): restore one of them, or begin again in another --out", w.dir, errors.Join(errs...))
}

func (w *workdir) writeRecord(r Record) error {
	return writeJSON(filepath.Join(w.dir, RecordName), r, true)
}

// validates reports whether there is a validation after a step. A model that is
// trained on is also judged as it was.
func (r *Run) validates(step int) bool {
	every := r.Config.Run.ValidateEvery
	switch {
	case r.Validate == nil:
		return false
	case step == 0:
		return r.Config.Init != ""
	}
	return step == r.Config.Optim.Steps || every > 0 && step%every == 0
}

// validate judges the weights, and keeps them if they are the best so far.
func (r *Run) validate(ctx context.Context, w *workdir, s *state) error {
	start := time.Now()
	got, err := r.Validate(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	s.Validated, s.Seconds = s.Step, s.Seconds+time.Since(start).Seconds()
	got.Step, got.Loss = s.Step, s.Watch.Smooth
	s.Curve = append(s.Curve, got)
	if err := w.log(struct {
		Validation Figures `json:"validation"`
	}{got}); err != nil {
		return err
	}
	if r.OnValidation != nil {
		r.OnValidation(got)
	}
	if best := r.Config.Run.Best; s.Best != nil && got.value(best) <= s.Best.value(best) {
		return nil
	}
	s.Best = &got
	return w.saveBest(s.Best, r.Learner.Weights())
}

// finish exports the best weights and says that the run has ended. All of it can be
// done again from the last checkpoint.
func (r *Run) finish(ctx context.Context, w *workdir, s *state) (Result, error) {
	best, err := r.takeBest(w, s)
	if err != nil {
		return s.result(), err
	}
	best.Weights = 0
	res := Result{s.Step, s.Watch.Smooth, best, s.Seconds, time.Now().UTC()}
	r.Record.Validations, r.Record.Result = s.Curve, &res
	if err := r.export(ctx, w); isFull(err) {
		return res, noRoom(err, w)
	} else if err != nil {
		if ctx.Err() != nil {
			return res, r.stopped(ctx, w, s, ctx.Err())
		}
		return res, fmt.Errorf("export: %w", err)
	}
	if err := w.writeRecord(r.Record); err != nil {
		return res, err
	}
	return res, w.tidy(r.Config)
}

// takeBest fills the Learner's Weights with the best ones. If those are damaged, the
// last are taken.
func (r *Run) takeBest(w *workdir, s *state) (Figures, error) {
	if s.Best == nil {
		return Figures{Step: s.Step, Loss: s.Watch.Smooth}, nil
	}
	err := w.loadBest(s.Best, r.Learner.Weights())
	if err == nil {
		return *s.Best, nil
	}
	r.note("the best weights, of step %d, are damaged: the last ones are taken: %v", s.Best.Step, err)
	_, err = r.lastWhole(w, w.names())
	return s.Curve[len(s.Curve)-1], err
}

// export writes the model and the pages about it aside, and moves them to their place,
// the manifest last.
func (r *Run) export(ctx context.Context, w *workdir) error {
	part := filepath.Join(w.dir, exportPart)
	if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := r.Export(ctx, part, r.Record); err != nil {
		return err
	}
	if r.Report != nil && r.Config.Run.Report {
		if err := r.Report(ctx, part, r.Record); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return moveAll(part, w.dir)
}

// moveAll moves what is in a folder into another, in which it may lie already from a
// run that was killed meanwhile. What a model's directory is known by comes last.
func moveAll(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return last(a) - last(b) })
	for _, e := range entries {
		name := filepath.Join(to, e.Name())
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, e.Name()), name); err != nil {
			return err
		}
	}
	return syncDir(to)
}

func last(e fs.DirEntry) int {
	if e.Name() == clip.ManifestName {
		return 1
	}
	return 0
}

// result is what there is of a run so far.
func (s *state) result() Result {
	if s.done != nil {
		return *s.done
	}
	return Result{Steps: s.Step, Loss: s.Watch.Smooth, Seconds: s.Seconds}
}
