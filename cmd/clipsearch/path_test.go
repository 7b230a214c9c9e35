//go:build !nomodel

package main

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/stream"
	onnx "github.com/clipsearch/clipsearch/runtime"
)

// TestOnePath: what ingest stored is what `embed image` says of the same file.
func TestOnePath(t *testing.T) {
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	index := filepath.Join(t.TempDir(), "index")
	command(t, "ingest", "../../testdata/photos", "../../embed/testdata/cat.png", "--index", index, "--quiet")
	file := filepath.Join(t.TempDir(), "pictures.tar")
	command(t, "export", file, "--index", index)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := stream.NewReader(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for {
		records, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			count++
			compareWithEmbed(t, rec.Files[0].Path, rec.Vectors[0].Vectors[0])
		}
	}
	if count != 11 {
		t.Errorf("an export of 11 pictures has %d records", count)
	}
}

func compareWithEmbed(t *testing.T, path string, stored clipsearch.Vector) {
	t.Helper()
	var said struct{ Embeddings [][]float64 }
	if err := json.Unmarshal([]byte(command(t, "embed", "image", path, "--decode", "exact")), &said); err != nil {
		t.Fatal(err)
	}
	for i, x := range said.Embeddings[0] {
		if math.Abs(x-float64(stored[i])) > 1e-5 {
			t.Errorf("%s: number %d is %v by embed, %v in the index", path, i, x, stored[i])
			break
		}
	}
}
