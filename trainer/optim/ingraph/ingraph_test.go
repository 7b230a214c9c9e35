package ingraph

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/runtime"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// What AdamW computes is tested in package trainer, together with package optim.

func start(t testing.TB) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
}

func TestPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		groups []optim.Group
		want   string
		still  []span
	}{
		"one":       {[]optim.Group{{From: 0, To: 7, Rate: 1}}, "[{0 [{0 7}] 7}]", nil},
		"full":      {[]optim.Group{{From: 0, To: 10, Rate: 1}}, "[{0 [{0 10}] 10}]", nil},
		"cut":       {[]optim.Group{{From: 0, To: 25, Rate: 1}}, "[{0 [{0 10}] 10} {0 [{10 20}] 10} {0 [{20 25}] 5}]", nil},
		"joined":    {[]optim.Group{{From: 0, To: 4, Rate: 1}, {From: 4, To: 6, Rate: 1}}, "[{0 [{0 6}] 6}]", nil},
		"apart":     {[]optim.Group{{From: 0, To: 4, Rate: 1}, {From: 4, To: 6, Rate: 1, Decay: true}, {From: 6, To: 9, Rate: 1}, {From: 9, To: 11, Rate: 2}}, "[{0 [{0 4} {6 9}] 7} {1 [{4 6}] 2} {3 [{9 11}] 2}]", nil},
		"two cut":   {[]optim.Group{{From: 0, To: 8, Rate: 1}, {From: 8, To: 9}, {From: 9, To: 15, Rate: 1}}, "[{0 [{0 8} {9 11}] 10} {2 [{11 15}] 4}]", []span{{8, 9}}},
		"all still": {[]optim.Group{{From: 0, To: 8}}, "[]", []span{{0, 8}}},
	} {
		batches, still := plan(tt.groups, 10)
		if got := fmt.Sprint(batches); got != tt.want {
			t.Errorf("%s: batches %s, want %s", name, got, tt.want)
		}
		if diff := cmp.Diff(tt.still, still, cmp.AllowUnexported(span{})); diff != "" {
			t.Errorf("%s: what stays (-want +got):\n%s", name, diff)
		}
	}
}

// TestBatches: how parameters are put into batches does not show in the result.
func TestBatches(t *testing.T) {
	start(t)
	const n = 5000
	groups := []optim.Group{{From: 0, To: 7, Rate: 1}, {From: 7, To: 3000, Rate: 1, Decay: true}, {From: 3000, To: 3010, Rate: 1}, {From: 3010, To: 3020}, {From: 3020, To: n, Rate: 0.5, Decay: true}}
	run := func(most int) (w []float32, s *optim.State) {
		a, err := New(n, groups, Options{Options: optim.Options{Decay: 0.1, Clip: 1, Average: 0.9, Threads: 2}, Batch: most})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		r := rand.New(rand.NewPCG(1, 2))
		w, s = make([]float32, n), a.Kept()
		s.Mean = make([]float32, n)
		g := make([]float32, n)
		for range 3 {
			for i := range g {
				g[i] = r.Float32() - 0.5
			}
			if _, err := a.Update(w, g, 0.01); err != nil {
				t.Fatal(err)
			}
		}
		return w, s
	}
	w, s := run(0)
	for _, most := range []int{1, 7, 512, 4999} {
		if most == 1 && testing.Short() {
			continue
		}
		w2, s2 := run(most)
		if !slices.Equal(w, w2) || !slices.Equal(s.M, s2.M) || !slices.Equal(s.V, s2.V) || !slices.Equal(s.Mean, s2.Mean) {
			t.Errorf("batches of %d and of %d differ", most, n)
		}
	}
}

// TestLength: of gradients with and without full lines.
func TestLength(t *testing.T) {
	start(t)
	for _, n := range []int{1, width - 1, width, width + 1, 5*width + 17} {
		a, err := New(n, []optim.Group{{From: 0, To: n, Rate: 1}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		g, want := make([]float32, n), 0.0
		for i := range g {
			g[i] = float32(i%13) - 5.5
			want += float64(g[i]) * float64(g[i])
		}
		got, err := a.Update(make([]float32, n), g, 0.1)
		if want = math.Sqrt(want); err != nil || math.Abs(got-want) > 1e-6*want {
			t.Errorf("%d numbers: length %v (%v), want %v", n, got, err, want)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMistakes(t *testing.T) {
	if _, err := New(4, []optim.Group{{From: 0, To: 3, Rate: 1}}, Options{}); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("groups of too few: error %v, want ErrInvalid", err)
	}
	start(t)
	all := []optim.Group{{From: 0, To: 4, Rate: 1}}
	if _, err := New(4, all, Options{Provider: "abacus"}); !errors.Is(err, ort.ErrProvider) {
		t.Errorf("an unknown provider: error %v, want ErrProvider", err)
	}
	a, err := New(4, all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Update(make([]float32, 4), make([]float32, 4), 1); err == nil {
		t.Error("Update after Close: no error")
	}
}

// BenchmarkUpdate is beside that of package optim, of the same sizes.
func BenchmarkUpdate(b *testing.B) {
	start(b)
	for _, n := range []int{16_800_000, 151_000_000} {
		for _, most := range []int{1 << 14, 1 << 16, 1 << 18, 1 << 20} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("n=%dM/batch=%dK/threads=%d", n/1_000_000, most>>10, threads), func(b *testing.B) {
					benchmark(b, n, most, threads)
				})
			}
		}
	}
}

func benchmark(b *testing.B, n, most, threads int) {
	a, err := New(n, []optim.Group{{From: 0, To: n, Rate: 1, Decay: true}}, Options{Options: optim.Options{Decay: 0.1, Clip: 1, Threads: threads}, Batch: most})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	w, g := optim.Zeros(n), optim.Zeros(n)
	for i := range g {
		g[i] = float32(i%7) - 3
	}
	for b.Loop() {
		if _, err := a.Update(w, g, 1e-4); err != nil {
			b.Fatal(err)
		}
	}
}
