package index

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TestPutChild is not a test: it is an ingest in a process of its own. It prints a
// line for each batch that Put acknowledges.
func TestPutChild(t *testing.T) {
	dir := os.Getenv("INDEX_TEST_PUT")
	if dir == "" {
		t.Skip("run by other tests")
	}
	o := withModel()
	if os.Getenv("INDEX_TEST_MODEL") != "" { // as large as a real one
		o.SaveModel = func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model.onnx"), make([]byte, 31<<20), 0o600)
		}
		o.CheckModel = nil
	}
	x, err := Open(dir, o)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	ids := make([]clipsearch.ID, 0, 64)
	for n := 0; n < 4096; n += 16 {
		ids = ids[:0]
		var batch []clipsearch.Entry
		for i := n; i < n+16; i++ {
			batch = append(batch, testEntry(i))
			ids = append(ids, testID(i))
		}
		if has, err := x.Has(context.Background(), ids); err != nil || has[0] {
			continue
		}
		if err := x.Put(context.Background(), batch); err != nil {
			fmt.Println("error", err)
			break
		}
		fmt.Println("stored", n)
		time.Sleep(5 * time.Millisecond)
	}
	if err := x.Close(); err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("closed")
}

// putChild starts TestPutChild on the index in dir.
func putChild(t *testing.T, dir string, env ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPutChild$")
	cmd.Env = append(append(os.Environ(), "INDEX_TEST_PUT="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// TestKill kills a process that puts pictures, at random moments, again and again:
// what it was told is stored is there, and the index is whole.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	acknowledged := map[clipsearch.ID]bool{}
	for round := range 8 {
		cmd, lines := putChild(t, dir)
		kill := time.AfterFunc(time.Duration(20+rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Signal(os.Kill) })
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err == nil {
				for i := range 16 {
					acknowledged[testID(n+i)] = true
				}
			}
		}
		kill.Stop()
		if err := cmd.Wait(); err == nil {
			t.Logf("round %d: not killed", round)
		}
	}
	x, err := Open(dir, withModel())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for id := range acknowledged {
		if _, err := x.Image(context.Background(), id); err != nil {
			t.Errorf("acknowledged and gone: %v", err)
		}
	}
	st, err := x.Stats(context.Background())
	if err != nil || st.Images%16 != 0 || st.Images < len(acknowledged) || len(acknowledged) == 0 {
		t.Errorf("%d pictures, %d acknowledged, %v: a batch is torn", st.Images, len(acknowledged), err)
	}
	t.Logf("%d pictures, %d acknowledged", st.Images, len(acknowledged))
	mustBeClean(t, x)
}
