package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// TestRefuses: what must not be begun or gone on with is refused, and left as it is.
func TestRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, dir string)
		change  func(r *Run)
		resume  bool
		want    string
	}{
		"something else": {func(t *testing.T, dir string) { write(t, "mine", dir, "holiday.jpg") }, nil, false, "is not empty, and no run is in it"},
		"a file":         {func(t *testing.T, dir string) { write(t, "mine", dir) }, nil, false, "name another --out"},
		"finished":       {func(t *testing.T, dir string) { leg(t, dir, 40, 0) }, nil, false, "holds the model of a run that has ended"},
		"unfinished":     {func(t *testing.T, dir string) { leg(t, dir, 40, 20) }, nil, false, "go on with it by --resume"},
		"no run":         {nil, nil, true, "there is no run in"},
		"no run but files": {func(t *testing.T, dir string) { write(t, "mine", dir, "holiday.jpg") }, nil, true,
			"there is no run in"},
		"another configuration": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Config.Optim.Rate, r.Config.Data.Batch = 0.2, 64 }, true, "data.batch is 64, not 128; optim.lr is 0.2, not 0.1"},
		"more pictures": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Data.Train.Pictures++ }, true, "the number of training pictures is 11, not 10"},
		"other pictures": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Data.Train.Digest = "abd" }, true, "digest of the training data's names, sizes and captions is abd, not abc"},
		"another model": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Init = "xyz" }, true, "digest of the model that is trained on is xyz"},
		"a record that cannot be read": {func(t *testing.T, dir string) { write(t, "{", dir, RecordName) }, nil, true, "is no record of a run"},
		"a record of the future":       {func(t *testing.T, dir string) { write(t, `{"version":9}`, dir, RecordName) }, nil, true, "take a newer one"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if tt.prepare != nil {
				tt.prepare(t, dir)
			}
			before := tree(t, dir)
			r, _, _ := testRun(dir, newParabola(1000), 40)
			r.Resume = tt.resume
			if tt.change != nil {
				tt.change(r)
			}
			_, err := r.Train(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("%v, want an invalid input that says %q", err, tt.want)
			}
			if after := tree(t, dir); before != after {
				t.Errorf("before: %s\nafter: %s", before, after)
			}
		})
	}
}

// leg trains in dir until a step, or to the end if that is 0.
func leg(t *testing.T, dir string, steps, stop int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newParabola(1000)
	p.before = func(step int) {
		if step == stop+1 && stop > 0 {
			cancel()
		}
	}
	r, _, _ := testRun(dir, p, steps)
	if _, err := r.Train(ctx); err != nil && !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
}

func write(t *testing.T, text string, elem ...string) {
	t.Helper()
	name := filepath.Join(elem...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// tree lists what lies below dir, the lock aside.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { //nolint:errcheck // it returns none
		if err == nil && d.Name() != lockName {
			info, _ := d.Info()
			fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano()*map[bool]int64{true: 0, false: 1}[d.IsDir()])
		}
		return nil
	})
	return b.String()
}

// TestFinished: a run that has ended is not done again by --resume.
func TestFinished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 0)
	before := tree(t, dir)
	r, lines, notes := testRun(dir, newParabola(1000), 40)
	r.Resume = true
	got, err := r.Train(t.Context())
	if err != nil || got.Steps != 40 || len(*lines) != 0 || len(*notes) != 1 || !strings.Contains((*notes)[0], "has ended already") {
		t.Errorf("%+v, %v, %d lines, notes %q", got, err, len(*lines), *notes)
	}
	if after := tree(t, dir); before != after {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// TestDamagedCheckpoint: the one before is taken, and the losses are the same.
func TestDamagedCheckpoint(t *testing.T) {
	want, _, _ := whole(t, 60)
	for name, tt := range map[string]struct {
		damage func(t *testing.T, dir string)
		all    bool // both checkpoints
		want   string
	}{
		"cut": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { return b[:len(b)/2] })
		}, false, "cut off"},
		"longer": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { return append(b, 0) })
		}, false, ""},
		"a bit": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { b[len(b)-9] ^= 4; return b })
		}, false, "checksum"},
		"header": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { b[12] ^= 4; return b })
		}, false, ""},
		"a digit":      {func(t *testing.T, dir string) { edit(t, dir, stateFile, digit) }, false, "checksum"},
		"no state":     {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, stateFile)) }, false, "no such file"},
		"empty":        {func(t *testing.T, dir string) { edit(t, dir, stateFile, func([]byte) []byte { return nil }) }, false, stateFile},
		"both damaged": {func(t *testing.T, dir string) { edit(t, dir, stateFile, digit) }, true, "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			leg(t, dir, 60, 45)
			w := &workdir{dir: dir}
			names := w.names()
			if len(names) != 2 {
				t.Fatalf("checkpoints %v, want two", names)
			}
			tt.damage(t, filepath.Join(dir, checkpoints, names[0]))
			if tt.all {
				tt.damage(t, filepath.Join(dir, checkpoints, names[1]))
			}
			r, lines, notes := testRun(dir, newParabola(1000), 60)
			r.Resume = true
			_, err := r.Train(t.Context())
			if tt.all {
				if err == nil || !strings.Contains(err.Error(), "no checkpoint in") || len(w.names()) != 2 {
					t.Errorf("%v, want none to be whole, and checkpoints %v to stay", err, w.names())
				}
				return
			}
			if first := want[len(want)-len(*lines):]; err != nil || !slices.Equal(lossesOf(*lines), first) || len(*lines) != 20 {
				t.Errorf("%v: %d losses, want the last 20 of the whole run", err, len(*lines))
			}
			if all := strings.Join(*notes, "\n"); !strings.Contains(all, "is damaged") || !strings.Contains(all, tt.want) || !strings.Contains(all, "after step 40") {
				t.Errorf("notes %q, want damage (%s) and the step 40", all, tt.want)
			}
		})
	}
}

func edit(t *testing.T, dir, name string, f func([]byte) []byte) {
	t.Helper()
	write(t, string(f([]byte(readFile(t, dir, name)))), dir, name)
}

// digit changes a digit of the seconds.
func digit(b []byte) []byte {
	i := strings.Index(string(b), `"seconds":`) + len(`"seconds":`)
	b[i] = '0' + (b[i]-'0'+1)%10
	return b
}

// TestDamagedBest: the last weights are exported in place of those that are damaged.
func TestDamagedBest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r, _, notes := testRun(dir, newParabola(1000), 40)
	judge := r.Validate
	r.Validate = func(ctx context.Context) (Figures, error) {
		w := &workdir{dir: dir}
		for _, name := range w.withPrefix(bestPrefix) {
			edit(t, filepath.Join(dir, checkpoints, name), tensorsFile, func(b []byte) []byte { return b[:20] })
		}
		return judge(ctx)
	}
	got, err := r.Train(t.Context())
	if err != nil || got.Best.Step != 40 || !strings.Contains(strings.Join(*notes, ""), "are damaged: the last ones are taken") {
		t.Errorf("%+v, %v, notes %q", got, err, *notes)
	}
}

// TestExportFails: what could not be exported is exported by going on, without a step.
func TestExportFails(t *testing.T) {
	_, _, model := whole(t, 40)
	dir := filepath.Join(t.TempDir(), "out")
	r, _, _ := testRun(dir, newParabola(1000), 40)
	r.Export = func(context.Context, string, Record) error { return errors.New("no paper") }
	if _, err := r.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "export: no paper") {
		t.Errorf("%v, want no paper", err)
	}
	r, lines, _ := testRun(dir, newParabola(1000), 40)
	r.Resume = true
	if _, err := r.Train(t.Context()); err != nil || len(*lines) != 0 || readFile(t, dir, "clipsearch-model.json") != model {
		t.Errorf("going on: %v, %d steps", err, len(*lines))
	}
}

// TestOneProcess: nobody else trains in a folder meanwhile.
func TestOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	p := newParabola(10)
	p.before = func(step int) {
		if step != 5 {
			return
		}
		r, _, _ := testRun(dir, newParabola(10), 40)
		r.Resume = true
		if _, err := r.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "another process trains in") {
			t.Errorf("a second process: %v", err)
		}
	}
	r, _, _ := testRun(dir, p, 40)
	if _, err := r.Train(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOtherMachine: last digits may differ, and that is said.
func TestOtherMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 20)
	r, _, notes := testRun(dir, newParabola(1000), 40)
	r.Resume, r.Record.Environment.Threads, r.Config.Run.CheckpointEvery = true, 4, 5
	if _, err := r.Train(t.Context()); err != nil || !strings.Contains(strings.Join(*notes, ""), "the number of threads is 4, not 2") {
		t.Errorf("%v, notes %q", err, *notes)
	}
}

// TestUnreadableCheckpoints: a run whose checkpoints cannot be listed does not begin anew.
func TestUnreadableCheckpoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 60, 45)
	away, list := filepath.Join(t.TempDir(), "away"), filepath.Join(dir, checkpoints)
	if err := os.Rename(list, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, LogName))
	r, lines, _ := testRun(dir, newParabola(1000), 60)
	r.Resume = true
	if _, err := r.Train(t.Context()); err == nil || len(*lines) > 0 || !strings.Contains(err.Error(), "read the checkpoints") {
		t.Errorf("%d steps and %v: want none, and why", len(*lines), err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, LogName)); string(after) != string(before) {
		t.Error("the log has changed")
	}
}
