package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/clipsearch/clipsearch/trainer/optim"
)

// Learner is a model in training.
type Learner interface {
	// Step computes the loss of the pairs of a step, counted from 1, and its gradient.
	// It is a pure function of the weights, the step and the seed.
	Step(ctx context.Context, step int) (loss float64, err error)
	// Update changes the weights by the gradient. It returns the gradient's norm before
	// clipping, and changes nothing if that is not finite. After an error the weights are
	// of no use.
	Update(rate float64) (norm float64, err error)
	// State is all that Update changes, as views: a checkpoint keeps them, and fills them.
	State() []Tensor
	// Weights are what is validated and exported, as views: the running mean if there is
	// one, else the weights themselves.
	Weights() []Tensor
	// LogitScale is the factor on cosines.
	LogitScale() float64
}

// Run is one run of the trainer. Its fields must not change after Train is called.
type Run struct {
	Config  Config
	Dir     string // becomes the model's directory
	Resume  bool   // go on with the run in Dir
	Record  Record // what the run is; Train fills in what it finds out
	Batch   int    // pairs of a step
	Learner Learner
	// Open makes what is trained, in work, a folder for that: it fills in Learner,
	// Validate and Export. It is called when all else is known to be right; nil: they
	// are there.
	Open func(ctx context.Context, work string) error
	// Validate judges the Learner's Weights; nil: there is nothing to judge them on.
	Validate func(context.Context) (Figures, error)
	// Export writes the Learner's Weights as a model into dir, which is there and empty.
	Export func(ctx context.Context, dir string, r Record) error
	// Report writes pages about the run into dir; nil: there are none.
	Report func(ctx context.Context, dir string, r Record) error

	OnStep       func(StepLine) // after each step; may be nil
	OnValidation func(Figures)  // after each validation; may be nil
	Note         func(string)   // what a user should know; may be nil
}

// StepLine is what a step says, here and in the log.
type StepLine struct {
	Step             int     `json:"step"`
	Loss             float64 `json:"loss"`
	Rate             float64 `json:"lr"`
	LogitScale       float64 `json:"logit_scale"`
	SamplesPerSecond float64 `json:"samples_per_second"`
	Norm             float64 `json:"grad_norm"`
}

// Train trains until the last step, from the beginning or from the last checkpoint,
// and leaves a model. When ctx ends, it keeps what it has and returns an error that
// wraps [ErrInterrupted].
func (r *Run) Train(ctx context.Context) (Result, error) {
	w, s, err := r.begin(ctx)
	if err != nil || s.done != nil {
		return s.result(), err
	}
	defer w.close()
	for {
		if r.validates(s.Step) && s.Validated < s.Step {
			if err := r.validate(ctx, w, s); err != nil {
				return s.result(), r.stopped(ctx, w, s, err)
			}
		}
		if w.due(s, r.Config) {
			if err := w.save(s, r.Learner.State()); err != nil {
				return s.result(), r.stopped(ctx, w, s, err)
			}
		}
		if s.Step == r.Config.Optim.Steps {
			return r.finish(ctx, w, s)
		}

		start, step := time.Now(), s.Step+1
		loss, err := r.Learner.Step(ctx, step)
		if err == nil {
			err = s.Watch.see(loss, r.Config.Run.DivergedAfter)
		}
		if err != nil {
			return s.result(), r.stopped(ctx, w, s, err)
		}
		rate := r.Config.Optim.schedule().At(s.Step)
		norm, err := r.Learner.Update(rate)
		if err == nil && !finite(norm) {
			err = diverged("its gradient is not finite")
		}
		if err != nil {
			return s.result(), r.stopped(ctx, w, s, err)
		}
		s.Step = step
		took := time.Since(start).Seconds()
		s.Seconds += took
		if err := r.tell(w, StepLine{step, loss, rate, r.Learner.LogitScale(), float64(r.Batch) / took, norm}); err != nil {
			return s.result(), r.stopped(ctx, w, s, err)
		}
	}
}

// ErrInterrupted is wrapped by the error of a run that was asked to stop.
var ErrInterrupted = errors.New("interrupted")

// stopped keeps what is good of a run that cannot go on, and says how it may.
func (r *Run) stopped(ctx context.Context, w *workdir, s *state, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if s.Step > w.kept {
			if err := w.save(s, r.Learner.State()); isFull(err) {
				return noRoom(err, w)
			} else if err != nil {
				return err
			}
		}
		return fmt.Errorf("step %d of %d is kept: go on with --resume: %w", s.Step, r.Config.Optim.Steps, ErrInterrupted)
	}
	if errors.Is(err, errDiverged) {
		return fmt.Errorf("step %d: %w: the last good checkpoint is of step %d, in %s: begin again in another folder with a lower optim.lr (it is %v) or a longer optim.warmup (%d)",
			s.Step+1, err, w.kept, w.dir, r.Config.Optim.Rate, r.Config.Optim.Warmup)
	}
	if s.Step == 0 && !r.Resume {
		w.undo()
	}
	if isFull(err) {
		return noRoom(err, w)
	}
	return fmt.Errorf("step %d: %w", s.Step+1, err)
}

// tell logs a step and reports it.
func (r *Run) tell(w *workdir, line StepLine) error {
	if err := w.log(line); err != nil {
		return err
	}
	if r.OnStep != nil {
		r.OnStep(line)
	}
	return nil
}

func (r *Run) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

// schedule is the learning rate over the run.
func (o OptimConfig) schedule() optim.Schedule {
	return optim.Schedule{Rate: o.Rate, Warmup: min(o.Warmup, o.Steps/10), Steps: o.Steps, Floor: o.Floor, Constant: o.Constant}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
