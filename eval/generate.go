package eval

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// GenerateOptions say which vectors [Generate] makes.
type GenerateOptions struct {
	N, Dim, Queries int
	Like            string // what the queries are like: "text", which is the default, "image"; or "noise", as are the vectors then
	Seed            uint64
	Threads         int // as many as there are cores if zero
}

// The likes that Generate knows, and how far each kind of query lies from the origin,
// in the direction of the images' mean and in that of the texts'.
var likes = map[string]struct{ images, texts float64 }{
	"text":  {.11, 1.1},
	"image": {1, 0},
	"noise": {},
}

// Generate makes vectors that lie as a CLIP model's do: pictures in clusters of very
// different sizes, with a spectrum that falls by a power law, around a mean of their
// own, and texts among the same clusters around another mean, so that texts are nearer
// to each other than to pictures, and to the nearest picture not as near as a picture
// is. Noise has no such structure: all vectors are about as far from each other. They
// depend on the options alone, not on the number of threads. It is an error wrapping
// [clipsearch.ErrInvalid] if there is nothing to make, or too much.
func Generate(o GenerateOptions) (vectors, queries Matrix, err error) {
	const most = 1 << 34 // numbers: 64 GB
	like, known := likes[cmp.Or(o.Like, "text")]
	switch {
	case !known:
		return vectors, queries, invalid("generate queries like %q: there are text, image and noise", o.Like)
	case o.N < 1 || o.Dim < 1 || o.Queries < 1:
		return vectors, queries, invalid("generate %d vectors of %d dimensions and %d queries: each must be 1 or more", o.N, o.Dim, o.Queries)
	case o.N > most/o.Dim || o.Queries > most/o.Dim || 2*clusters > most/o.Dim: // centers are float64
		return vectors, queries, invalid("generate %d vectors of %d dimensions and %d queries: they would take more than 64 GB", o.N, o.Dim, o.Queries)
	}
	w := newWorld(o.Dim, o.Seed, o.Like == "noise")
	vectors = w.rows(o, pictures, o.N, 1, 0)
	queries = w.rows(o, questions, o.Queries, like.images, like.texts)
	return vectors, queries, nil
}

// Streams of random numbers, beside the seed.
const (
	scenery = iota << 56
	pictures
	questions
)

// clusters is how many there are, whatever the number of vectors.
const clusters = 2000

// world is what generated vectors are drawn from.
type world struct {
	dim          int
	seed         uint64
	noise        bool
	spectrum     []float64
	centers      [][]float64
	chance       []float64 // that a vector belongs to a cluster up to this one
	images, text []float64 // the means
}

func newWorld(dim int, seed uint64, noise bool) *world {
	w := &world{dim: dim, seed: seed, noise: noise, spectrum: make([]float64, dim)}
	for i := range w.spectrum {
		w.spectrum[i] = 1
		if !noise {
			w.spectrum[i] = math.Pow(float64(i+1), -.5)
		}
	}
	r := rand.New(rand.NewPCG(seed, scenery))
	var sum float64
	for i := range clusters {
		w.centers = append(w.centers, w.draw(r, make([]float64, dim)))
		sum += math.Pow(float64(i+1), -.7)
		w.chance = append(w.chance, sum)
	}
	for i := range w.chance {
		w.chance[i] /= sum
	}
	w.images, w.text = w.draw(r, make([]float64, dim)), w.draw(r, make([]float64, dim))
	return w
}

func (w *world) draw(r *rand.Rand, v []float64) []float64 {
	for i, s := range w.spectrum {
		v[i] = r.NormFloat64() * s
	}
	return v
}

// rows draws n vectors of unit length from a stream.
func (w *world) rows(o GenerateOptions, stream uint64, n int, images, text float64) Matrix {
	m := Matrix{Dim: w.dim, Data: make([]float32, n*w.dim)}
	threads := cmp.Or(max(o.Threads, 0), runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for t := range threads {
		workers.Go(func() {
			v := make([]float64, w.dim)
			for i := t * n / threads; i < (t+1)*n/threads; i++ {
				r := rand.New(rand.NewPCG(w.seed, (stream+uint64(i))*0x9e3779b97f4a7c15))
				w.row(r, m.Row(i), v, images, text)
			}
		})
	}
	workers.Wait()
	return m
}

// row draws one vector into row; v is room for it.
func (w *world) row(r *rand.Rand, row []float32, v []float64, images, text float64) {
	const spread = .8 // of a cluster
	center, _ := slices.BinarySearch(w.chance, r.Float64())
	w.draw(r, v)
	if !w.noise {
		for i, c := range w.centers[min(center, len(w.centers)-1)] {
			v[i] = c + spread*v[i] + images*w.images[i] + text*w.text[i]
		}
	}
	var squares float64
	for _, x := range v {
		squares += x * x
	}
	scale := 1 / math.Sqrt(squares)
	for i, x := range v {
		row[i] = float32(x * scale)
	}
}
