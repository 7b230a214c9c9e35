package ann

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// gen makes clustered vectors and shifted queries, as in CLIP's space.
func gen(n, nq, dim int, seed uint64) (x, text, image [][]float32) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := make([]float64, dim)
	for i := range w {
		w[i] = math.Pow(float64(i+1), -.5)
	}
	g := func() []float64 {
		v := make([]float64, dim)
		for i := range v {
			v[i] = r.NormFloat64() * w[i]
		}
		return v
	}
	const clusters = 2000
	c := make([][]float64, clusters)
	cum := make([]float64, clusters)
	var s float64
	for i := range c {
		c[i] = g()
		s += math.Pow(float64(i+1), -.7)
		cum[i] = s
	}
	mu, nu := g(), g()
	pick := func() []float64 {
		u := r.Float64() * s
		lo, hi := 0, clusters
		for lo < hi {
			m := (lo + hi) / 2
			if cum[m] < u {
				lo = m + 1
			} else {
				hi = m
			}
		}
		return c[lo]
	}
	some := func(a, b float64) []float32 {
		cc, z := pick(), g()
		v := make([]float64, dim)
		var n2 float64
		for i := range v {
			v[i] = cc[i] + .8*z[i] + a*mu[i] + b*nu[i]
			n2 += v[i] * v[i]
		}
		out := make([]float32, dim)
		for i := range v {
			out[i] = float32(v[i] / math.Sqrt(n2))
		}
		return out
	}
	for range n {
		x = append(x, some(1, 0))
	}
	for range nq {
		text, image = append(text, some(.11, 1.1)), append(image, some(1, 0))
	}
	return
}

func TestScratch(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("ANN_N"))
	if n == 0 {
		t.Skip()
	}
	var x, text, image [][]float32
	if dir := os.Getenv("ANN_DIR"); dir != "" {
		load := func(name string) (out [][]float32) {
			b, err := os.ReadFile(fmt.Sprintf("%s/%d_%s.npy", dir, n, name))
			if err != nil {
				t.Fatal(err)
			}
			b = b[128:]
			f := unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
			for len(f) > 0 {
				out, f = append(out, f[:512]), f[512:]
			}
			return
		}
		x, text, image = load("X"), load("text"), load("image")
	} else {
		x, text, image = gen(n, 500, 512, 1)
	}
	truth := func(qs [][]float32) [][]Neighbor {
		var out [][]Neighbor
		for _, q := range qs {
			best := make([]Neighbor, 0, 11)
			for i, v := range x {
				s := simd.Dot(q, v)
				if len(best) == 10 && s <= best[9].Score {
					continue
				}
				at := len(best)
				for at > 0 && best[at-1].Score < s {
					at--
				}
				best = append(best, Neighbor{})
				copy(best[at+1:], best[at:])
				best[at] = Neighbor{uint32(i), s}
				best = best[:min(10, len(best))]
			}
			out = append(out, best)
		}
		return out
	}
	workers, _ := strconv.Atoi(os.Getenv("ANN_W"))
	m, _ := strconv.Atoi(os.Getenv("ANN_M"))
	ix, err := New(Options{Dim: 512, Workers: workers, M: m})
	if err != nil {
		t.Fatal(err)
	}
	if f, err := os.Create("/tmp/ann/build.prof"); err == nil && os.Getenv("ANN_EF") != "" {
		pprof.StartCPUProfile(f)
	}
	start := time.Now()
	if err := ix.Build(context.Background(), n, func(i int) []float32 { return x[i] }); err != nil {
		t.Fatal(err)
	}
	pprof.StopCPUProfile()
	fmt.Printf("build %.2f s\n", time.Since(start).Seconds())
	if os.Getenv("ANN_EF") != "" {
		f, _ := os.Create("/tmp/ann/cpu.prof")
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
		var all, worst, sq float64
		for _, q := range text {
			w := take(512)
			st := ix.state.Load()
			v := make([]float32, 512)
			ix.turn.turn(v, q)
			st.rows.quant.fold(v, &w.query)
			for _, nb := range ix.Search(q, Search{K: 10, Ef: 64}) {
				var sc [1]int32
				simd.CoarseRun(sc[:], st.rows.code(nb.Doc), w.query.q)
				e := float64(w.query.offset + w.query.scale*float32(sc[0]) - nb.Score)
				all++
				sq += e * e
				worst = max(worst, math.Abs(e))
			}
		}
		fmt.Println("coarse error", math.Sqrt(sq/all), worst)
		for range 20 {
			for _, q := range text {
				ix.Search(q, Search{K: 10, Ef: 64})
			}
		}
		pprof.StopCPUProfile()
	}
	for name, qs := range map[string][][]float32{"text": text, "image": image} {
		want := truth(qs)
		efs := []int{0, 10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400}
		if os.Getenv("ANN_EF") != "" {
			efs = []int{48, 64, 96}
		}
		for _, ef := range efs {
			hit := 0
			var d time.Duration
			for range 3 {
				hit = 0
				start := time.Now()
				var got [][]Neighbor
				for _, q := range qs {
					got = append(got, ix.Search(q, Search{K: 10, Ef: ef, Exact: ef == 0}))
				}
				if e := time.Since(start); d == 0 || e < d {
					d = e
				}
				for i := range got {
					for _, a := range want[i] {
						for _, b := range got[i] {
							if a.Doc == b.Doc {
								hit++
							}
						}
					}
				}
			}
			fmt.Printf("%s ef %d recall %.4f qps %.0f\n", name, ef, float64(hit)/float64(10*len(qs)), float64(len(qs))/d.Seconds())
		}
	}
}
