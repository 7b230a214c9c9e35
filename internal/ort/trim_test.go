package ort_test

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch/internal/graph/graphtest"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// TestCloseFrees loads a graph of 32 MB from one thread after the other: what the
// closed sessions had is not kept.
func TestCloseFrees(t *testing.T) {
	start(t)
	const side, tensors, loads, mb = 512, 32, 6, 1 << 20
	if resident() == 0 {
		t.Skip("this system does not say how much memory is resident")
	}
	m := graphtest.Model{Inputs: []graphtest.Port{{Name: "x0", Type: graphtest.Float32, Shape: []int64{0, side}}}}
	for i := range tensors {
		w := fmt.Sprint("w", i)
		m.Weights = append(m.Weights, graphtest.Weight{Name: w, Shape: []int64{side, side}, Data: make([]float32, side*side)})
		m.Nodes = append(m.Nodes, graphtest.Node{Op: "MatMul", In: []string{fmt.Sprint("x", i), w}, Out: []string{fmt.Sprint("x", i+1)}})
	}
	last := fmt.Sprint("x", tensors)
	m.Outputs = []graphtest.Port{{Name: last, Type: graphtest.Float32, Shape: []int64{0, side}}}
	model := m.Bytes()
	end := make(chan struct{})
	defer close(end)
	load := func() {
		done := make(chan error)
		go func() {
			goruntime.LockOSThread()
			defer goruntime.UnlockOSThread()
			s, err := ort.Open(model, []string{"x0"}, []string{last}, ort.Options{})
			if err == nil {
				_, err = s.Run(ort.Tensor{Shape: []int64{1, side}, F32: make([]float32, side)})
			}
			if err == nil {
				err = s.Close()
			}
			done <- err
			<-end // the next load is another thread's
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	load()
	before := resident()
	for range loads {
		load()
	}
	if grown := resident() - before; grown > 64*mb {
		t.Errorf("%d sessions of 32 MB, one after the other, leave %d MB", loads, grown/mb)
	}
}

// resident is how much memory the process has, in bytes; 0 where it cannot be told.
func resident() int {
	var total, pages int
	data, _ := os.ReadFile("/proc/self/statm")
	if _, err := fmt.Fscan(strings.NewReader(string(data)), &total, &pages); err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}
