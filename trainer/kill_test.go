package trainer

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// killedDir in the environment makes of the test binary a process that trains there.
const killedDir = "CLIPSEARCH_TEST_TRAIN"

const killedSteps, killedSize = 300, 50_000

// TestKilledProcess is no test: it is the process that TestKill kills.
func TestKilledProcess(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		t.Skip("only as a process of its own")
	}
	r, _, _ := testRun(dir, newParabola(killedSize), killedSteps)
	_, err := os.Stat(filepath.Join(dir, RecordName))
	r.Resume = err == nil
	r.OnStep = func(l StepLine) { os.Stdout.WriteString(asJSON(l) + "\n") } //nolint:errcheck // a pipe of the test
	if _, err := r.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKill: a run whose process is killed at any moment, also in the midst of a
// checkpoint, a validation or the export, and resumed each time, logs the losses of one
// that is not, to the last bit.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	random := rand.New(rand.NewPCG(1, 2))
	told := map[string]bool{}
	kills := 0
	for ended := false; !ended; {
		if kills > 200 {
			t.Fatal("the run never ends")
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledProcess$")
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killer := time.AfterFunc(time.Hour, func() {})
		lines, n, last := bufio.NewScanner(out), 0, random.IntN(60)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), `{"step"`) {
				told[strings.Split(lines.Text(), `,"lr"`)[0]] = true
				if n++; n == last+1 && kills < 12 {
					killer = time.AfterFunc(time.Duration(random.IntN(4000))*time.Microsecond, func() { cmd.Process.Kill() }) //nolint:errcheck // it may have ended
				}
			}
		}
		killer.Stop()
		ended = cmd.Wait() == nil
		kills++
	}
	want := filepath.Join(t.TempDir(), "whole")
	r, lines, _ := testRun(want, newParabola(killedSize), killedSteps)
	if _, err := r.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLog(dir)
	if err != nil || !slices.Equal(lossesOf(got), lossesOf(*lines)) {
		t.Errorf("after %d kills the log has %d losses (%v), and differs from that of a whole run", kills-1, len(got), err)
	}
	if len(told) != killedSteps {
		t.Errorf("%d pairs of step and loss were told, want %d: one step had two losses, or none", len(told), killedSteps)
	}
	if a, b := readFile(t, dir, "clipsearch-model.json"), readFile(t, want, "clipsearch-model.json"); a != b {
		t.Errorf("exported %s, want %s", a, b)
	}
	t.Logf("%d kills", kills-1)
}
