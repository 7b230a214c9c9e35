package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// stepAndLoss are the digits that must be the same, as they are printed.
var stepAndLoss = regexp.MustCompile(`^\{"step":\d+,"loss":[^,]+,`)

// process is `clipsearch train` as a process of its own: the steps and losses that it
// prints, what it says, and its exit code. It is sent a signal when it has printed so
// many steps; 0: never.
type process struct {
	losses []string
	said   string
	code   int // -1: the signal ended it
}

func trainProcess(t *testing.T, sent os.Signal, after int, args ...string) (p process) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"train", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	lines, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		if line := stepAndLoss.FindString(scan.Text()); line != "" {
			p.losses = append(p.losses, line)
		}
		if len(p.losses) == after {
			cmd.Process.Signal(sent) //nolint:errcheck // it may have ended
		}
	}
	cmd.Wait() //nolint:errcheck // the code says it
	p.said, p.code = said.String(), cmd.ProcessState.ExitCode()
	return p
}

func needsRuntime(t *testing.T) {
	t.Helper()
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
}

// TestTrainStopped: a run whose process is killed at some step, or is asked to end, whose
// last checkpoint is then damaged, and that goes on, prints the losses of one that was
// left alone, to the last digit.
func TestTrainStopped(t *testing.T) {
	needsRuntime(t)
	dir := t.TempDir()
	data := writeTiny(t, dir)
	args := func(out string, more ...string) []string {
		return append([]string{"--data", data, "--images", "../../testdata/photos", "--config", filepath.Join(dir, "tiny.json"), "--out", filepath.Join(dir, out)}, more...)
	}
	whole := trainProcess(t, nil, -1, args("whole")...)
	if len(whole.losses) != 16 || whole.code != exitDone {
		t.Fatalf("%d steps, want 16: exit %d: %s", len(whole.losses), whole.code, whole.said)
	}
	step := 5 + rand.IntN(5) // of so few that it ends long before the last, and not before the second checkpoint
	for _, tt := range []struct {
		name string
		sent os.Signal
		code int
		says string
	}{
		{"killed", os.Kill, -1, ""},
		{"interrupted", os.Interrupt, exitInterrupted, "is kept: go on with --resume"},
	} {
		if tt.sent == os.Interrupt && runtime.GOOS == "windows" {
			continue // which has no such signal
		}
		before := trainProcess(t, tt.sent, step, args(tt.name)...)
		if before.code != tt.code || !strings.Contains(before.said, tt.says) {
			t.Errorf("%s at step %d: exit %d, %s, want %d and %q", tt.name, step, before.code, before.said, tt.code, tt.says)
		}
		damageLast(t, filepath.Join(dir, tt.name, "checkpoints"))
		after := trainProcess(t, nil, -1, args(tt.name, "--resume")...)
		n := len(whole.losses) - len(after.losses)
		if n < 2 || after.code != exitDone || !slices.Equal(before.losses, whole.losses[:len(before.losses)]) || !slices.Equal(after.losses, whole.losses[n:]) {
			t.Errorf("%s at step %d: whole: %q\nbefore: %q\nafter: %q, exit %d, %s", tt.name, step, whole.losses, before.losses, after.losses, after.code, after.said)
		}
	}
}

// TestTrainInterruptedEarly: whatever a run does before its first step, it ends with the
// code of an interruption and one line about it, and leaves nothing behind that is in
// the way of the next.
func TestTrainInterruptedEarly(t *testing.T) {
	needsRuntime(t)
	dir := t.TempDir()
	data := writeTiny(t, dir)
	out := filepath.Join(dir, "out")
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond, 300 * time.Millisecond} {
		ctx, interrupt := context.WithCancel(t.Context()) // as a signal does
		time.AfterFunc(after, interrupt)
		var stdout, said bytes.Buffer
		w := world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &said, getenv: os.Getenv}
		code := run(ctx, []string{"train", "-q", "--data", data, "--images", "../../testdata/photos", "--config", filepath.Join(dir, "tiny.json"), "--steps", "1000000", "--out", out}, w)
		interrupt()
		if lines := strings.Split(strings.TrimSpace(said.String()), "\n"); code != exitInterrupted || !strings.Contains(lines[len(lines)-1], ": interrupted") {
			t.Errorf("after %v: exit %d, %q", after, code, said.String())
		}
		if err := os.RemoveAll(out); err != nil { // where steps were made
			t.Fatal(err)
		}
	}
}

// writeTiny writes data and a configuration whose steps take milliseconds.
func writeTiny(t *testing.T, dir string) (data string) {
	t.Helper()
	type pair struct {
		Image   string `json:"image"`
		Caption string `json:"caption"`
	}
	var pairs []pair
	for _, name := range []string{"astronaut", "camera", "cat", "clock", "coffee", "coins", "galaxies", "grass"} {
		pairs = append(pairs, pair{name + ".jpg", "a picture of a " + name}, pair{name + ".jpg", name})
	}
	config := map[string]any{
		"model": map[string]any{"image_size": 32, "patch": 16, "image_width": 32, "image_layers": 1, "image_heads": 2, "text_width": 32, "text_layers": 1, "text_heads": 2,
			"context_length": 16, "vocabulary": 600, "dim": 16},
		"optim": map[string]any{"steps": 16, "ema": 0.9}, "data": map[string]any{"batch": 6},
		"run": map[string]any{"checkpoint_every": 2, "checkpoint_load": 1},
	}
	data = filepath.Join(dir, "pairs.json")
	for name, v := range map[string]any{data: pairs, filepath.Join(dir, "tiny.json"): config} {
		text, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(name, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// damageLast changes a byte of the newest checkpoint.
func damageLast(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "step-*", "state.safetensors"))
	if err != nil || len(names) != 2 {
		t.Fatalf("checkpoints %v, %v, want two", names, err)
	}
	data, err := os.ReadFile(names[1])
	if err == nil {
		data[len(data)-100] ^= 1
		err = os.WriteFile(names[1], data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
