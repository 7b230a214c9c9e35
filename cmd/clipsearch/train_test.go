package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/adrg/xdg"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// stepAndLoss are the digits that must be the same, as they are printed.
var stepAndLoss = regexp.MustCompile(`^\{"step":\d+,"loss":[^,]+,`)

// TestTrainKilled: a run whose process is killed, whose checkpoint is then damaged, and
// that goes on, prints the losses of one that was left alone, to the last digit.
func TestTrainKilled(t *testing.T) {
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	dir := t.TempDir()
	data := writeTiny(t, dir)
	train := func(out string, kill int, more ...string) []string {
		args := append([]string{"train", "--data", data, "--images", "../../testdata/photos", "--config", filepath.Join(dir, "tiny.json"), "--out", filepath.Join(dir, out), "--json"}, more...)
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		cmd.Stderr = os.Stderr
		lines, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var list []string
		for scan := bufio.NewScanner(lines); scan.Scan(); {
			if line := stepAndLoss.FindString(scan.Text()); line != "" {
				list = append(list, line)
			}
			if len(list) == kill {
				cmd.Process.Kill() //nolint:errcheck // it may have ended
			}
		}
		if err := cmd.Wait(); (err == nil) != (kill == 0) {
			t.Fatalf("train %v: %v", args, err)
		}
		return list
	}
	whole := train("whole", 0)
	if len(whole) != 16 {
		t.Fatalf("%d steps, want 16", len(whole))
	}
	before := train("cut", 9)
	damageLast(t, filepath.Join(dir, "cut", "checkpoints"))
	after := train("cut", 0, "--resume")
	if n := len(whole) - len(after); n < 2 || !slices.Equal(before, whole[:len(before)]) || !slices.Equal(after, whole[n:]) {
		t.Errorf("whole: %q\nbefore: %q\nafter: %q", whole, before, after)
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
