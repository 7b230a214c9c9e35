package trainer

import (
	"errors"
	"fmt"
)

// watch sees whether a run still learns. It is part of every checkpoint, so that a
// run that was resumed ends where one that was not would have.
type watch struct {
	First  float64 `json:"first"`  // loss of the first step
	Smooth float64 `json:"smooth"` // running mean of the loss
	Best   float64 `json:"best"`   // least of those
	Bad    int     `json:"bad"`    // steps that it has been far above that
	Seen   int     `json:"seen"`
}

// errDiverged is wrapped by the error of a run that diverged.
var errDiverged = errors.New("the run diverged")

func diverged(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errDiverged)
}

// see notes the loss of a step. It returns an error wrapping errDiverged if that is
// not finite, or if losses have been far above their best for patience steps: above by
// one, and more than half way back to where the run began.
func (w *watch) see(loss float64, patience int) error {
	if !finite(loss) {
		w.Bad++
		return diverged("its loss is %v", loss)
	}
	const decay = 0.9
	if w.Seen == 0 {
		w.First, w.Smooth, w.Best = loss, loss, loss
	}
	w.Seen++
	w.Smooth = decay*w.Smooth + (1-decay)*loss
	w.Best = min(w.Best, w.Smooth)
	if w.Smooth <= max(w.Best+1, (w.Best+w.First)/2) {
		w.Bad = 0
		return nil
	}
	w.Bad++
	if patience > 0 && w.Bad >= patience {
		return diverged("the loss has been about %.3g for %d steps, and was %.3g at best", w.Smooth, w.Bad, w.Best)
	}
	return nil
}
