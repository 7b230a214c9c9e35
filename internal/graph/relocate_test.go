package graph_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/graph"
)

// TestRelocate names the file of a model's weights anew, and nothing else.
func TestRelocate(t *testing.T) {
	model, err := os.ReadFile("../ort/testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	before, err := graph.Inspect(model)
	if err != nil || len(before.ExternalData) != 1 {
		t.Fatalf("Inspect = %+v, %v", before, err)
	}
	old := before.ExternalData[0]
	moved, err := graph.Relocate(model, map[string]string{old: "blobs/0123", "other": "x"})
	if err != nil {
		t.Fatal(err)
	}
	after, err := graph.Inspect(moved)
	want := before
	want.ExternalData = []string{"blobs/0123"}
	if err != nil || !cmp.Equal(after, want) {
		t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, after))
	}
	if back, err := graph.Relocate(moved, map[string]string{"blobs/0123": old}); err != nil || !bytes.Equal(back, model) {
		t.Errorf("named back it has %d bytes of %d, %v", len(back), len(model), err)
	}
}

func FuzzRelocate(f *testing.F) {
	for _, name := range []string{"tiny", "nested", "external"} {
		model, err := os.ReadFile("../ort/testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(model)
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		if moved, err := graph.Relocate(model, map[string]string{"weights": "elsewhere"}); err == nil && len(moved) > 12*len(model)+64 {
			t.Errorf("%d bytes become %d", len(model), len(moved))
		}
	})
}
