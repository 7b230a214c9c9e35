package ort_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
)

// TestProviders: what is listed runs, and what is not says so in a line.
func TestProviders(t *testing.T) {
	start(t)
	names, official, err := ort.Providers()
	if err != nil || len(names) != len(official) || !slices.Contains(names, ort.CPU) || official[len(official)-1] != "CPUExecutionProvider" {
		t.Fatalf("Providers() = %v, %v, %v", names, official, err)
	}
	for _, name := range append(strings.Split(ort.ProviderNames(), ", "), "abacus") {
		s, err := ort.OpenFile("testdata/external.onnx", []string{"x"}, []string{"y"}, ort.Options{Provider: name})
		if !slices.Contains(names, name) {
			if !errors.Is(err, ort.ErrProvider) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
				t.Errorf("a session on %s, which is not here: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("a session on %s: %v", name, err)
			continue
		}
		runExternal(t, s)
	}
}

// TestFolder: a graph in memory finds its weights in the folder that is named, on
// whatever path it lies.
func TestFolder(t *testing.T) {
	start(t)
	model, err := os.ReadFile("testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, []string{"x"}, []string{"y"}, ort.Options{Folder: folder, Varying: true})
	if err != nil {
		t.Fatal(err)
	}
	runExternal(t, s)
	if _, err := ort.Open(model, []string{"x"}, []string{"y"}, ort.Options{Folder: t.TempDir()}); err == nil {
		t.Error("a graph whose weights are nowhere: no error")
	}
}

func runExternal(t *testing.T, s *ort.Session) {
	t.Helper()
	defer s.Close()
	got, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{1, 1, 0}})
	if diff := cmp.Diff([]ort.Tensor{{Shape: []int64{1, 2}, F32: []float32{4, 6}}}, got); err != nil || diff != "" {
		t.Errorf("Run: %v (-want +got):\n%s", err, diff)
	}
}
