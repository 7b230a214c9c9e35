package trainer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// A checkpoint is a folder checkpoints/step-NNNNNNNN with two files: state.safetensors
// with what the Learner's State views (weights, AdamW's two means, their running mean),
// and state.json with all else. It is written beside, brought to the disk and renamed,
// so that it is whole if it has its name; a checksum tells whether it still is. Two are
// kept.
const (
	checkpoints = "checkpoints"
	stepPrefix  = "step-"
	stateFile   = "state.json"
	tensorsFile = "state.safetensors"
	bestPrefix  = "best-"
	partPrefix  = ".part-"
)

// stateVersion is of the checkpoint's form.
const stateVersion = 1

// state is a run between two steps, but for the Learner's.
type state struct {
	Version   int       `json:"version"`
	Step      int       `json:"step"` // that is done
	Seed      int64     `json:"seed"`
	Config    Config    `json:"config"`
	Watch     watch     `json:"watch"`
	Seconds   float64   `json:"seconds"`   // of training and validation, so far
	Log       int64     `json:"log"`       // bytes of the log
	Validated int       `json:"validated"` // the last step after which there was a validation; -1: none yet
	Best      *Figures  `json:"best"`      // nil: none yet
	Curve     []Figures `json:"validations"`
	Tensors   uint32    `json:"tensors_crc32c"`

	done *Result // the run has ended
}

// sealed is state.json: the state with its checksum.
type sealed struct {
	Checksum uint32          `json:"crc32c"` // of State
	State    json.RawMessage `json:"state"`
}

// due reports whether a checkpoint is to be made after a step: after every so many, but
// where they cost too much time later, and 60 s after the last at the latest. While the
// loss is far above its best there is none: the last good one stays.
func (w *workdir) due(s *state, c Config) bool {
	switch since, load := time.Since(w.saved), c.Run.CheckpointLoad; {
	case s.Step == w.kept:
		return false
	case s.Step == c.Optim.Steps:
		return true // the end can be done again from here
	case s.Step-w.kept < c.Run.CheckpointEvery || s.Watch.Bad > 0:
		return false
	default:
		return load == 1 || since >= time.Minute || w.cost.Seconds() <= load*since.Seconds()
	}
}

// save writes a checkpoint, and then removes those before the last.
func (w *workdir) save(s *state, tensors []Tensor) error {
	start := time.Now()
	if err := w.room(tensors); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", s.Step, err)
	}
	s.Log = w.logged
	name := fmt.Sprintf("%s%08d", stepPrefix, s.Step)
	if err := w.writeWhole(name, func(dir string) error { return writeState(dir, s, tensors) }); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", s.Step, err)
	}
	w.kept, w.saved, w.cost = s.Step, time.Now(), time.Since(start)
	return w.drop(s)
}

// room returns an error if tensors do not fit on the disk.
func (w *workdir) room(tensors []Tensor) error {
	const spare = 1 << 20 // for all that is small
	need := bytesOf(tensors) + spare
	free, err := disk.Free(w.dir)
	if err == nil && free < need {
		return fmt.Errorf("it needs %d MB, and %d MB are free on the disk of %s: %w", need>>20+1, free>>20, w.dir, clipsearch.ErrNoSpace)
	}
	return nil // who cannot be asked is tried
}

// isFull reports whether an error says that the disk is full.
func isFull(err error) bool { return disk.IsFull(err) || errors.Is(err, clipsearch.ErrNoSpace) }

// noRoom says how a run on a full disk may go on.
func noRoom(err error, w *workdir) error {
	kept := "nothing has been kept yet"
	if w.kept > 0 {
		kept = fmt.Sprintf("the checkpoint of step %d is whole", w.kept)
	}
	return fmt.Errorf("%w: free some and go on with --resume: %s: %w", err, kept, clipsearch.ErrNoSpace)
}

// writeWhole has f fill a folder below checkpoints that gets its name when all of it is
// on the disk.
func (w *workdir) writeWhole(name string, f func(dir string) error) error {
	dir := filepath.Join(w.dir, checkpoints)
	part := filepath.Join(dir, partPrefix+name)
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(part) // gone by then, if all went well
	if err := errors.Join(f(part), syncDir(part)); err != nil {
		return err
	}
	to := filepath.Join(dir, name)
	if err := os.RemoveAll(to); err != nil { // a damaged one
		return err
	}
	return errors.Join(os.Rename(part, to), syncDir(dir))
}

func writeState(dir string, s *state, tensors []Tensor) error {
	var err error
	if s.Tensors, err = writeTensors(filepath.Join(dir, tensorsFile), tensors); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, stateFile), sealed{crc32.Checksum(text, castagnoli), text}, false)
}

// load fills the state and tensors from a checkpoint.
func (w *workdir) load(name string, tensors []Tensor) (*state, error) {
	dir := filepath.Join(w.dir, checkpoints, name)
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	var whole sealed
	var s state
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if got := crc32.Checksum(bytes.TrimSpace(whole.State), castagnoli); got != whole.Checksum {
		return nil, fmt.Errorf("%s: its checksum is %08x, not %08x", stateFile, got, whole.Checksum)
	}
	if err := json.Unmarshal(whole.State, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("it has version %d, and this program reads %d", s.Version, stateVersion)
	}
	return &s, readTensors(filepath.Join(dir, tensorsFile), tensors, s.Tensors)
}

// lastGood says which checkpoint is the last of a run that diverged whose weights had a
// loss as it should be: that of a step is the loss of the weights that the step before
// has left.
func (w *workdir) lastGood(s *state) string {
	bad := s.Step + 1 - max(s.Watch.Bad, 1)
	for _, name := range w.names() {
		if step, err := strconv.Atoi(strings.TrimPrefix(name, stepPrefix)); err == nil && step < bad {
			return fmt.Sprintf("the last good checkpoint is of step %d, in %s", step, w.dir)
		}
	}
	return "it did before there was a good checkpoint"
}

// names lists the checkpoints, the newest first.
func (w *workdir) names() []string { return w.withPrefix(stepPrefix) }

// withPrefix lists the folders below checkpoints that are called prefix and a number,
// the greatest first.
func (w *workdir) withPrefix(prefix string) (list []string) {
	entries, err := os.ReadDir(filepath.Join(w.dir, checkpoints))
	if err != nil {
		return nil // none has been made
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if _, err := strconv.Atoi(number); err == nil && ok && e.IsDir() {
			list = append(list, e.Name())
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}

// drop removes what neither of the last two checkpoints needs.
func (w *workdir) drop(s *state) error {
	list := w.names()
	var errs []error
	now := fmt.Sprintf("%s%08d", stepPrefix, s.Step)
	list = slices.DeleteFunc(list, func(name string) bool { return name > now }) // damaged ones do not count
	for _, name := range list[min(2, len(list)):] {
		errs = append(errs, os.RemoveAll(filepath.Join(w.dir, checkpoints, name)))
	}
	for _, name := range w.withPrefix(bestPrefix) {
		if name != bestName(s.Best) && name != w.best {
			errs = append(errs, os.RemoveAll(filepath.Join(w.dir, checkpoints, name)))
		}
	}
	w.best = bestName(s.Best)
	return errors.Join(errs...)
}

// saveBest keeps the weights that were the best so far.
func (w *workdir) saveBest(best *Figures, weights []Tensor) error {
	if err := w.room(weights); err != nil {
		return fmt.Errorf("best weights, of step %d: %w", best.Step, err)
	}
	return w.writeWhole(bestName(best), func(dir string) (err error) {
		best.Weights, err = writeTensors(filepath.Join(dir, tensorsFile), weights)
		return err
	})
}

// loadBest fills weights with those.
func (w *workdir) loadBest(best *Figures, weights []Tensor) error {
	return readTensors(filepath.Join(w.dir, checkpoints, bestName(best), tensorsFile), weights, best.Weights)
}

func bestName(best *Figures) string {
	if best == nil {
		return ""
	}
	return fmt.Sprintf("%s%08d", bestPrefix, best.Step)
}

// writeJSON writes a file and brings it to the disk; aside, and then renamed, if it may
// be there already.
func writeJSON(name string, v any, indent bool) error {
	text, err := json.Marshal(v)
	if indent {
		text, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), partPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then, if all went well
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// syncDir brings the names in a folder to the disk, where that can be asked for.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	d.Sync() //nolint:errcheck // not every system can
	return d.Close()
}
