package index

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

var damageRuns = flag.Int("damages", 12, "how many damages to files TestDamagedFiles does")

// answers are what a child process finds in an index.
type answers struct {
	Problems []string
	Near     []clipsearch.Hit
	Match    []clipsearch.Hit
	Err      string
}

// look opens the index in dir and asks it everything.
func look(dir string) (a answers) {
	ctx := context.Background()
	o := withModel()
	o.Create = false
	x, err := Open(dir, o)
	if err != nil {
		return answers{Err: err.Error()}
	}
	defer x.Close()
	problems, err := x.Check(ctx, false)
	for _, p := range problems {
		a.Problems = append(a.Problems, p.ID+": "+p.What)
	}
	if err == nil {
		a.Near, err = x.Nearest(ctx, unit(testDim, 5), 20, nil)
	}
	if err == nil {
		a.Match, err = x.Match(ctx, "dog grass number7", 20, nil)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// TestLookChild is not a test: it is what TestDamagedFiles runs in a process of its
// own, which a damage may kill.
func TestLookChild(t *testing.T) {
	dir := os.Getenv("INDEX_TEST_LOOK")
	if dir == "" {
		t.Skip("run by TestDamagedFiles")
	}
	if err := json.NewEncoder(os.Stdout).Encode(look(dir)); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFiles flips, cuts and removes files of an index: a clear error, a
// problem named, or no harm; never a crash, never a wrong answer that Check
// approves.
func TestDamagedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x, err := Open(dir, withModel())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		for n := range 40 {
			put(t, x, testEntry(100*round+n))
		}
		closeIndex(t, x)
		if x, err = Open(dir, withModel()); err != nil {
			t.Fatal(err)
		}
	}
	closeIndex(t, x)
	want := look(dir)
	if want.Err != "" || len(want.Problems) > 0 || len(want.Match) == 0 {
		t.Fatalf("before any damage: %+v", want)
	}
	var files []string
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d, %d files", seed, len(files))
	outcomes := map[string]int{}
	for range *damageRuns {
		outcomes[damageOne(t, r, dir, files, want)]++
	}
	t.Logf("%v", outcomes)
}

// damageOne damages a copy of dir and returns what came of it.
func damageOne(t *testing.T, r *rand.Rand, dir string, files []string, want answers) string {
	t.Helper()
	tmp := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(tmp, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	name, err := filepath.Rel(dir, files[r.IntN(len(files))])
	if err != nil {
		t.Fatal(err)
	}
	what := damage(t, r, filepath.Join(tmp, name))
	if what == "" {
		return "empty"
	}
	what = name + ": " + what
	cmd := exec.Command(os.Args[0], "-test.run=^TestLookChild$")
	cmd.Env = append(os.Environ(), "INDEX_TEST_LOOK="+tmp)
	out, err := cmd.CombinedOutput()
	var got answers
	line, _, _ := strings.Cut(string(out), "\n")
	if jerr := json.Unmarshal([]byte(line), &got); err != nil || jerr != nil {
		t.Errorf("%s: the process died: %v %v\n%.1500s", what, err, jerr, out)
		return "died"
	}
	switch {
	case got.Err != "":
		if strings.Contains(got.Err, "\n") {
			t.Errorf("%s: an error of several lines: %s", what, got.Err)
		}
		t.Logf("%s: error %s", what, got.Err)
		return "error"
	case len(got.Problems) > 0:
		t.Logf("%s: %d problems, such as %s", what, len(got.Problems), got.Problems[0])
		return "named"
	case !cmp.Equal(got.Near, want.Near) || !cmp.Equal(got.Match, want.Match):
		t.Errorf("%s: Check is content, and the answers are others (-want +got):\n%s", what, cmp.Diff(want, got))
	}
	return "harmless"
}

// damage damages the file at path, and says how.
func damage(t *testing.T, r *rand.Rand, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int(info.Size())
	if size == 0 {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var what string
	switch at := r.IntN(size); r.IntN(6) {
	case 0:
		what, err = "gone", os.Remove(path)
	case 1:
		what, err = fmt.Sprintf("cut to %d of %d bytes", at, size), os.Truncate(path, int64(at))
	case 2: // the end, where tables keep what they are
		at = max(0, size-1-at%64)
		fallthrough
	default:
		b[at] ^= 1 << r.IntN(8)
		what, err = fmt.Sprintf("byte %d of %d flipped", at, size), os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return what
}
