package trainer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// below lists all that is below a folder, but folders that hold something.
func below(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries, _ := os.ReadDir(path); len(entries) == 0 {
			rest, err := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rest))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// halfWritten is what a process leaves that is killed at any moment.
var halfWritten = []string{
	".part-123", ".part-456/model.safetensors", ".export/clipsearch-model.json", "checkpoints/.part-step-00000035/state.json",
	"checkpoints/.part-best-00000035/state.safetensors", ".work/cache/.99.pixels.part", ".work/features/.0123abcd.features.safetensors.part7",
}

// strangers are called nearly so.
var strangers = []string{".part-of-me", ".part-1.jpg", "x.part-1", "part-123/a", "checkpoints/.part-mine", "deep/.part-123"}

// TestSweep: a run that goes on removes what one left half-written that was killed, and
// nothing of anybody else's.
func TestSweep(t *testing.T) {
	_, _, model := whole(t, 40)
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 20)
	for _, name := range slices.Concat(halfWritten, strangers) {
		write(t, "x", dir, name)
	}
	w, err := openWorkdir(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	left := below(t, dir)
	for _, name := range halfWritten {
		if slices.Contains(left, name) {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range strangers {
		if !slices.Contains(left, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	r, _, _ := testRun(dir, newParabola(1000), 40)
	r.Resume = true
	if _, err := r.Train(t.Context()); err != nil || readFile(t, dir, "clipsearch-model.json") != model {
		t.Errorf("going on: %v", err)
	}
}

// TestKilledAtTheEnd: what a run had no time to remove that has ended goes when it is
// asked for again.
func TestKilledAtTheEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 0)
	want := below(t, dir)
	for _, name := range append([]string{"checkpoints/step-00000040/state.json", ".work/network/model.safetensors", lockName}, halfWritten...) {
		write(t, "", dir, name)
	}
	leg2, _, _ := testRun(dir, newParabola(1000), 40)
	leg2.Resume = true
	if _, err := leg2.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := below(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q are left, want %q", got, want)
	}
}

// TestVacant: what is left of a process that was killed before there was a run is in
// nobody's way.
func TestVacant(t *testing.T) {
	for _, tt := range []struct {
		files  map[string]string
		vacant bool
	}{
		{nil, true},
		{map[string]string{lockName: ""}, true},
		{map[string]string{lockName: "", LogName: "", ".part-17": "{", workName + "/cache/x": "x"}, true},
		{map[string]string{LogName: "", ".part-17": "{"}, false}, // nothing says that they are ours
		{map[string]string{lockName: "", LogName: "{}\n"}, false},
		{map[string]string{lockName: "", "holiday.jpg": ""}, false},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		for name, text := range tt.files {
			write(t, text, dir, name)
		}
		if err := Vacant(dir); (err == nil) != tt.vacant {
			t.Errorf("%v: %v, want vacant: %v", tt.files, err, tt.vacant)
		}
		if !tt.vacant {
			continue
		}
		leg(t, dir, 40, 0)
		if _, err := os.Stat(filepath.Join(dir, ".part-17")); err == nil {
			t.Errorf("%v: the half-written file is left", tt.files)
		}
	}
}
