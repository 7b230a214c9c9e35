package ort_test

import (
	"fmt"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
)

// side is how wide and high the image tower's pictures are.
const side = 224

// pictures makes n pictures that differ, smooth ones and noise.
func pictures(n int) ort.Tensor {
	px := make([]float32, 0, n*3*side*side)
	state := uint32(1)
	for i := range n {
		for c := range 3 {
			for y := range side {
				for x := range side {
					v := math.Sin(float64(x*(i+1)+y*(c+2)) / 40)
					if i%3 == 2 {
						state = state*1664525 + 1013904223
						v = float64(state>>8)/(1<<23) - 1
					}
					px = append(px, float32(v))
				}
			}
		}
	}
	return ort.Tensor{Shape: []int64{int64(n), 3, side, side}, F32: px}
}

// row is picture i of many.
func row(t ort.Tensor, i int) ort.Tensor {
	n := len(t.F32) / int(t.Shape[0])
	return ort.Tensor{Shape: append([]int64{1}, t.Shape[1:]...), F32: t.F32[i*n : (i+1)*n]}
}

func largest(a, b []float32) (d float64) {
	for i := range a {
		d = max(d, math.Abs(float64(a[i]-b[i])))
	}
	return d
}

// TestBatch: what a picture gives does not depend on what shares its batch, nor
// on the number of threads or on how the session was opened.
func TestBatch(t *testing.T) {
	s := session(t, image, "pixel_values", "image_embeds", ort.Options{})
	in := pictures(8)
	alone := make([]ort.Tensor, 8)
	for i := range alone {
		out, err := s.Run(row(in, i))
		if err != nil {
			t.Fatal(err)
		}
		alone[i] = out[0]
	}
	for name, o := range map[string]ort.Options{"as alone": {}, "two threads": {Threads: 2}, "exact": {ExactInt8: true}, "once": {Once: true}} {
		out, err := session(t, image, "pixel_values", "image_embeds", o).Run(in)
		if err != nil {
			t.Fatal(err)
		}
		var worst float64
		for i, one := range alone {
			worst = max(worst, largest(one.F32, row(out[0], i).F32))
		}
		if t.Logf("%s: alone and in a batch of 8 differ by %.3g", name, worst); worst > 1e-6 {
			t.Errorf("%s: alone and in a batch of 8 differ by %g", name, worst)
		}
	}
}

// TestShared: one session serves several goroutines, each with its own batch.
func TestShared(t *testing.T) {
	s := textTower(t, ort.Options{})
	ids := func(seed, length int) []ort.Tensor {
		row := make([]int64, length)
		for i := range row {
			row[i] = int64(1000 + (seed*31+i*7)%16000)
		}
		return oneText(row)
	}
	want := make([][]ort.Tensor, 12)
	for i := range want {
		var err error
		if want[i], err = s.Run(ids(i, 5+i)...); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range want {
				i := (k + 3*g) % len(want)
				got, err := s.Run(ids(i, 5+i)...)
				if diff := cmp.Diff(want[i], got); err != nil || diff != "" {
					t.Errorf("text %d: %v (-alone +among others):\n%s", i, err, diff)
				}
			}
		})
	}
	wg.Wait()
	if _, err := s.Run(oneText([]int64{1, 1 << 40})...); err == nil {
		t.Error("an id outside the vocabulary: no error")
	}
}

// BenchmarkOpen is what a cold start pays before its first answer: the text
// tower loaded, and run once.
func BenchmarkOpen(b *testing.B) {
	start(b)
	model, err := os.ReadFile(text)
	if err != nil {
		b.Skip(err)
	}
	for name, o := range map[string]ort.Options{"plain": {}, "once": {Once: true}, "exact": {ExactInt8: true}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s, err := ort.Open(model, textInputs, []string{"text_embeds"}, o)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Run(oneText(make([]int64, 8))...); err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkImages weighs the threads of a run against runs side by side, on two
// cores, by batch.
func BenchmarkImages(b *testing.B) {
	for _, tt := range []struct{ runs, threads int }{{1, 1}, {1, 2}, {2, 1}} {
		for _, batch := range []int{1, 8, 16, 32} {
			b.Run(fmt.Sprintf("runs=%d/threads=%d/batch=%d", tt.runs, tt.threads, batch), func(b *testing.B) {
				s := session(b, image, "pixel_values", "image_embeds", ort.Options{Threads: tt.threads})
				in := pictures(batch)
				for b.Loop() {
					var wg sync.WaitGroup
					for range tt.runs {
						wg.Go(func() {
							if _, err := s.Run(in); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.N*tt.runs*batch)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

// BenchmarkTexts is one text a run, as the dynamically quantized tower wants it.
func BenchmarkTexts(b *testing.B) {
	for _, threads := range []int{1, 2} {
		for _, length := range []int{8, 12, 20} {
			b.Run(fmt.Sprintf("threads=%d/length=%d", threads, length), func(b *testing.B) {
				s := textTower(b, ort.Options{Threads: threads})
				ids := make([]int64, length)
				for i := range ids {
					ids[i] = int64(1000 + 7*i)
				}
				in := oneText(ids)
				for b.Loop() {
					if _, err := s.Run(in...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
