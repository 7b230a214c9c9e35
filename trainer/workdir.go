package trainer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/clipsearch/clipsearch/internal/disk"
)

// LogName is the file in the folder of a run with a line of JSON for every step and
// every validation.
const LogName = "log.jsonl"

const (
	lockName   = ".train.lock"
	workName   = ".work" // what can be made again: the first weights, decoded pictures, features
	exportPart = ".export"
)

// workdir is the folder of a run that is under way. One process has it.
type workdir struct {
	dir    string
	lock   *flock.Flock
	file   *os.File // the log
	logged int64    // bytes of it

	kept  int           // step of the last checkpoint
	saved time.Time     // when it was made
	cost  time.Duration // what that took
	best  string        // the best weights that it names
	made  bool          // the folder was not there before
	ended bool          // so that there is nothing to lock any more
}

// Vacant returns an error if a new run must not be begun in dir: there is a run, or
// something else.
func Vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return invalid("%v: name another --out", err)
	}
	r, err := ReadRecord(dir)
	switch {
	case err == nil && r.Result != nil:
		return invalid("%s holds the model of a run that has ended: name another --out", dir)
	case err == nil:
		return invalid("%s holds a run that has not ended: go on with it by --resume, or name another --out", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockName })
	for _, e := range entries {
		if !ours || !left(e) {
			return invalid("%s is not empty, and no run is in it: name another --out", dir)
		}
	}
	return nil
}

// left reports whether something in the folder of a run may be of a process that was
// killed before the run was begun.
func left(e fs.DirEntry) bool {
	switch e.Name() {
	case lockName, workName:
		return true
	case LogName:
		info, err := e.Info()
		return err == nil && info.Size() == 0
	}
	return halves[""].MatchString(e.Name())
}

// openWorkdir takes the folder of a run, or makes one.
func openWorkdir(dir string, resume bool) (*workdir, error) {
	if resume {
		if _, err := ReadRecord(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, invalid("there is no run in %s to go on with: leave --resume out to begin one", dir)
		} else if err != nil {
			return nil, err
		}
	} else if err := Vacant(dir); err != nil {
		return nil, err
	}
	_, missing := os.Stat(dir)
	made := missing != nil
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, invalid("make --out: %v", err)
	}
	w := &workdir{dir: dir, made: made, lock: flock.New(filepath.Join(dir, lockName)), saved: time.Now()}
	got, err := w.lock.TryLock()
	if err != nil {
		return nil, invalid("%s cannot be written to: %v: name another --out", dir, err)
	}
	if !got {
		return nil, fmt.Errorf("another process trains in %s: wait for it, or name another --out", dir)
	}
	w.sweep()
	return w, nil
}

// halves are the names, by the folder within that of a run, of what is half-written.
var halves = map[string]*regexp.Regexp{
	"":                     regexp.MustCompile(`^(\.part-\d+|\.export)$`),
	checkpoints:            regexp.MustCompile(`^\.part-(step|best)-\d+$`),
	workName + "/cache":    regexp.MustCompile(`^\.\d+\.pixels\.part$`),
	workName + "/features": regexp.MustCompile(`^\.[0-9a-f]+\.features\.safetensors\.part\d+$`),
}

// sweep removes what processes left half-written in the folder that were killed: whoever
// has the lock is the only one to write there. What cannot be removed is in nobody's way.
func (w *workdir) sweep() {
	for sub, half := range halves {
		dir := filepath.Join(w.dir, filepath.FromSlash(sub))
		entries, _ := os.ReadDir(dir) // none, if it is not there
		for _, e := range entries {
			if half.MatchString(e.Name()) {
				os.RemoveAll(filepath.Join(dir, e.Name())) //nolint:errcheck // see above
			}
		}
	}
}

// tidy removes what a run needs no more that has ended.
func (w *workdir) tidy(c Config) error {
	w.ended = true
	err := os.RemoveAll(filepath.Join(w.dir, workName))
	if !c.Run.KeepCheckpoints {
		err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, checkpoints)))
	}
	return err
}

func (w *workdir) close() error {
	var err error
	if w.file != nil {
		err = w.file.Close()
	}
	err = errors.Join(err, w.lock.Unlock())
	if w.ended {
		err = errors.Join(err, os.Remove(filepath.Join(w.dir, lockName)))
	}
	if w.made {
		os.Remove(w.dir) //nolint:errcheck // it stays if anything is in it
	}
	return err
}

// undo leaves the folder as it was, for a run that could not be begun.
func (w *workdir) undo() {
	for _, name := range []string{RecordName, LogName, workName} {
		os.RemoveAll(filepath.Join(w.dir, name)) //nolint:errcheck // what is left is in nobody's way
	}
	w.ended = true
}

// openLog opens the log at its first n bytes: what a process that was killed wrote
// after its last checkpoint is written again.
func (w *workdir) openLog(n int64) error {
	f, err := os.OpenFile(filepath.Join(w.dir, LogName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	w.file = f
	st, err := f.Stat()
	if err != nil {
		return err
	}
	w.logged = min(n, st.Size())
	if err := f.Truncate(w.logged); err != nil {
		return err
	}
	_, err = f.Seek(w.logged, 0)
	return err
}

// log adds a line.
func (w *workdir) log(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n, err := w.file.Write(append(text, '\n'))
	w.logged += int64(n)
	if err != nil && !disk.IsFull(err) {
		return fmt.Errorf("write %s: %w", w.file.Name(), err)
	}
	return err
}

// ReadLog reads the steps in the log of the run in dir.
func ReadLog(dir string) ([]StepLine, error) {
	f, err := os.Open(filepath.Join(dir, LogName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []StepLine
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), `{"step":`) {
			continue // a validation
		}
		var l StepLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		list = append(list, l)
	}
	return list, lines.Err()
}
