package doctor

import (
	"context"
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch"
)

// matched says how well captions find their photographs.
type matched struct {
	z      float64   // of the sum of all cosines of pairs, against captions dealt out at random
	first  float64   // share of captions whose own photograph comes first
	stands []float64 // by how much each pair stands out, in spreads of the pairs that do not belong together
}

// match compares photographs with their captions, of which pictures[i] and captions[i]
// belong together. What a picture has in common with all captions, or a caption with
// all pictures, is taken away first.
func match(pictures, captions []clipsearch.Vector) matched {
	n := len(pictures)
	s := make([][]float64, n)
	rows, cols := make([]float64, n), make([]float64, n)
	var all float64
	m := matched{}
	for i := range s {
		s[i] = make([]float64, n)
		for j := range s[i] {
			s[i][j] = float64(pictures[i].Dot(captions[j]))
			rows[i] += s[i][j] / float64(n)
			cols[j] += s[i][j] / float64(n)
			all += s[i][j] / float64(n*n)
		}
	}
	for j := range s {
		best := 0
		for i := range s {
			if s[i][j] > s[best][j] {
				best = i
			}
		}
		if best == j {
			m.first += 1 / float64(n)
		}
	}
	var squares, off, sum float64
	for i := range s {
		for j := range s[i] {
			s[i][j] += all - rows[i] - cols[j]
			squares += s[i][j] * s[i][j]
			if i != j {
				off += s[i][j] * s[i][j]
			}
		}
		sum += s[i][i]
	}
	// Over all ways to deal the captions out, the sum has the mean 0 and this variance.
	if squares > 0 {
		m.z = sum / math.Sqrt(squares/float64(n-1))
	}
	spread := math.Sqrt(off/float64(n*(n-1))) + 1e-12
	for i := range s {
		m.stands = append(m.stands, s[i][i]/spread)
	}
	return m
}

// The bars of z. Chance alone reaches 3 once in 700 times, and where the best of a dozen
// languages counts it has been seen to reach 3.3.
const (
	matches = 5 // captions find their pictures
	chance  = 4 // no better than dealt out at random
)

// better returns how many standard errors the pairs of m stand out more than those of
// n do, and by what share.
func (m matched) better(n matched) (t, share float64) {
	diff := make([]float64, len(m.stands))
	var base float64
	for i := range diff {
		diff[i] = m.stands[i] - n.stands[i]
		base += n.stands[i] / float64(len(diff))
	}
	mean, err := meanError(diff)
	return mean / (err + 1e-9), mean / max(1e-9, math.Abs(base))
}

// meanError returns the mean of x and its standard error.
func meanError(x []float64) (mean, err float64) {
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	var sum float64
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sum / (n - 1) / n)
}

// checkMatch asks whether captions find their photographs. A text tower may have
// learned another language than English.
func (d *doctor) checkMatch(ctx context.Context) {
	if d.pictures == nil || d.texts == nil || d.words == nil || len(d.photos[0]) != len(d.texts[0]) {
		return
	}
	a := readAlbum()
	d.language, d.captions = "en", units(d.texts)
	d.matched = match(d.pictures, d.captions)
	d.tried = [][]clipsearch.Vector{d.captions}
	if d.matched.z < matches && !d.quick {
		for language, captions := range a.Captions {
			vectors := d.encodeTexts(ctx, captions)
			if vectors == nil {
				continue
			}
			d.tried = append(d.tried, vectors)
			if m := match(d.pictures, vectors); m.z > d.matched.z {
				d.language, d.captions, d.matched = language, vectors, m
			}
		}
	}
	d.judgeMatch()
}

func (d *doctor) judgeMatch() {
	const name = "match"
	m, n := d.matched, len(d.pictures)
	figures := fmt.Sprintf("%.0f of %d captions (%s) find their photograph; %.1f standard deviations from chance", m.first*float64(n), n, d.language, m.z)
	switch {
	case m.z >= matches:
		d.known, d.tried = true, [][]clipsearch.Vector{d.captions}
		d.pass(name, "%s", figures)
	case m.z < chance && d.learned.both() && !d.quick:
		d.fail(name, "%s, in every language tried, though both towers have been trained (%.1f, %.1f): towers of two models, or pixels or words prepared otherwise than in training",
			figures, d.learned[imageTower], d.learned[textTower])
	default:
		d.unsure(name, "%s; %s, %s", figures, d.learned.says(imageTower), d.learned.says(textTower))
	}
}
