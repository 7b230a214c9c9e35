//go:build !nomodel

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// TestOnePath: what ingest stored is what `embed image` says of the same file.
func TestOnePath(t *testing.T) {
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	index := filepath.Join(t.TempDir(), "index")
	command(t, "ingest", "../../testdata/photos", "../../embed/testdata/cat.png", "--index", index, "--quiet")
	lines := strings.Split(strings.TrimSpace(command(t, "export", "-", "--index", index)), "\n")
	var head struct{ Model, Space string }
	if err := json.Unmarshal([]byte(lines[0]), &head); err != nil || head.Model == "" || len(head.Space) != 64 {
		t.Fatalf("the first line of an export is %q: %v", lines[0], err)
	}
	for _, line := range lines[1:] {
		var stored struct {
			Paths  []string
			Vector []float64
		}
		if err := json.Unmarshal([]byte(line), &stored); err != nil {
			t.Fatal(err)
		}
		var said struct{ Embeddings [][]float64 }
		if err := json.Unmarshal([]byte(command(t, "embed", "image", stored.Paths[0], "--decode", "exact")), &said); err != nil {
			t.Fatal(err)
		}
		for i, x := range said.Embeddings[0] {
			if math.Abs(x-stored.Vector[i]) > 1e-5 {
				t.Errorf("%s: number %d is %v by embed, %v in the index", stored.Paths[0], i, x, stored.Vector[i])
				break
			}
		}
	}
	if len(lines) != 12 {
		t.Errorf("an export of 11 pictures has %d lines", len(lines))
	}
}
