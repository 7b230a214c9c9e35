package ingest_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/ingest"
)

func symlink(t *testing.T, target, dir, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

// failures maps base names to errors.
func failures(t *testing.T, s ingest.Summary) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, f := range s.Failures {
		if f.Error == "" || strings.ContainsAny(f.Error, "\n\r") {
			t.Errorf("%s: %q is not one line", f.Path, f.Error)
		}
		m[filepath.Base(f.Path)] = f.Error
	}
	return m
}

func TestWalk(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	for i, name := range []string{
		"a.png", "B.PNG", "sub/c.png", "sub/deep/er/d.png", "folder.jpg/e.png",
		".git/f.png", ".hidden.png", "._a.png", "@eaDir/g.png", "notes.md", "raw/h.png", "sub/raw/i.png", "draft.png", "index/j.png",
	} {
		write(t, dir, name, paint(i, 4))
	}
	p := &ingest.Pipeline{
		Encoder: &encoder{}, Store: st,
		Exclude: []string{"**/raw/**", "draft*"}, Skip: []string{filepath.Join(dir, "index")},
	}
	sum := ingested(t, p, dir)
	want := []string{"B.PNG", "a.png", "folder.jpg/e.png", "sub/c.png", "sub/deep/er/d.png"}
	if diff := cmp.Diff(want, st.paths(t, dir)); diff != "" {
		t.Errorf("paths stored (-want +got):\n%s", diff)
	}
	if sum.Found != 5 || sum.Skipped != 9 {
		t.Errorf("found %d, skipped %d, want 5 and 9", sum.Found, sum.Skipped)
	}
}

func TestNamedFiles(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	odd := write(t, dir, "picture.dat", paint(1, 4))
	inside := write(t, dir, "a.png", paint(2, 4))
	write(t, dir, "sub/b.png", paint(3, 4))
	sum := ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st}, odd, inside, dir, dir+"/sub/", odd)
	if got, want := countsOf(sum), (counts{Stored: 3}); got != want || sum.Found != 3 {
		t.Errorf("Run = %+v, want %+v: each file once", got, want)
	}
}

func TestSymlinks(t *testing.T) {
	dir, away, st := t.TempDir(), t.TempDir(), newStore()
	write(t, dir, "real/a.png", paint(1, 4))
	write(t, away, "b.png", paint(2, 4))
	single := write(t, away, "single/c.png", paint(3, 4))
	symlink(t, dir, dir, "loop")
	symlink(t, filepath.Join(dir, "real"), dir, "again") // sorts before real
	symlink(t, away, dir, "away")
	symlink(t, filepath.Dir(dir), dir, "up")
	symlink(t, single, dir, "link.png")
	symlink(t, filepath.Join(dir, "nowhere.jpg"), dir, "dangling.jpg")
	symlink(t, "ring2.jpg", dir, "ring1.jpg")
	symlink(t, "ring1.jpg", dir, "ring2.jpg")
	sum := ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st}, dir)
	want := []string{"away/b.png", "away/single/c.png", "link.png", "real/a.png"}
	if diff := cmp.Diff(want, st.paths(t, dir)); diff != "" {
		t.Errorf("paths stored (-want +got):\n%s", diff)
	}
	if got, want := countsOf(sum), (counts{Stored: 3, Known: 1, Failed: 3}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
	fails := failures(t, sum)
	if !strings.Contains(fails["dangling.jpg"], "nowhere.jpg") || fails["ring1.jpg"] == "" || fails["ring2.jpg"] == "" {
		t.Errorf("failures: %q", fails)
	}
}

func TestNameNotUTF8(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	name := filepath.Join(dir, "na\xffme.png")
	if err := os.WriteFile(name, paint(1, 4), 0o644); err != nil {
		t.Skipf("no such names here: %v", err)
	}
	ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st}, dir)
	if e := st.at(t, name); len(e.Files) != 1 {
		t.Errorf("files: %q", e.Paths())
	}
}

func TestOddFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets and permissions are otherwise here")
	}
	dir, st := t.TempDir(), newStore()
	write(t, dir, "good.png", paint(1, 4))
	write(t, dir, "empty.jpg", nil)
	write(t, dir, "text.jpg", []byte("this is no picture\n"))
	write(t, dir, "cut.png", paint(2, 40)[:60])
	want := []string{"cut.png", "empty.jpg", "text.jpg"}
	if socket, err := net.Listen("unix", filepath.Join(dir, "socket.jpg")); err == nil {
		defer socket.Close()
		want = append(want, "socket.jpg")
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(write(t, dir, "secret.png", paint(3, 4)), 0); err != nil {
			t.Fatal(err)
		}
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0); err != nil {
			t.Fatal(err)
		}
		want = append(want, "secret.png", "locked")
	}
	sum := ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st}, dir)
	if sum.Stored != 1 {
		t.Errorf("%d stored, want the good one", sum.Stored)
	}
	fails := failures(t, sum)
	for _, name := range want {
		if fails[name] == "" {
			t.Errorf("%s is not among the failures %q", name, fails)
		}
	}
	if len(fails) != len(want) {
		t.Errorf("failures %q, want of %q", fails, want)
	}
}

func TestGone(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "a.zip", []byte("x"))
	for path, want := range map[string]bool{
		file: false, dir: false, file + "!/b.png": false,
		filepath.Join(dir, "b.png"): true, filepath.Join(dir, "b.zip") + "!/b.png": true, filepath.Join(file, "b.png"): true,
	} {
		if got := ingest.Gone(path); got != want {
			t.Errorf("Gone(%q) = %v, want %v", path, got, want)
		}
	}
}
