package doctor

import (
	"math"
	"slices"
	"strings"
)

// Training leaves a mark in the weights that needs no data to be seen. The largest
// singular value of a matrix of independent random numbers is known beforehand: it is
// √rows + √columns times their size. Learning writes few directions strongly, so a
// learned matrix goes far beyond that, whatever its numbers were drawn from.

// learnedAt is how far beyond chance the middle matrix of a tower is where the tower
// has learned. Those of random towers were seen between 0.88 and 0.98, of trained ones
// between 1.2 and 1.4.
const learnedAt = 1.1

// sampled is how many matrices of a tower are looked at, and how large a corner.
const (
	sampled    = 48
	cornerRows = 192
	cornerCols = 384
)

// tower tells by its name to which tower a weight belongs, where one file holds both.
func towerOf(name string) string {
	for _, part := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '.' || r == '/' || r == ':' }) {
		switch part {
		case "vision_model", "visual", "visual_projection", "image_encoder", "vision_tower", "vision":
			return imageTower
		case "text_model", "text", "transformer", "token_embedding", "text_projection", "text_encoder", "textual", "bert", "roberta", "lineartransformation":
			return textTower
		}
	}
	return ""
}

const imageTower, textTower = "image", "text"

// learning returns how far the middle one of the matrices goes beyond chance, or 0
// where there is none large enough to tell.
func learning(list []tensor) (float64, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(t tensor) bool {
		if len(t.shape) < 2 || t.count() < 0 || t.kind.size() == 0 {
			return true
		}
		return t.shape[0] < 16 || t.count()/max(1, t.shape[0]) < 16
	})
	var excess []float64
	step := max(1, (len(list)+sampled-1)/sampled)
	for i := 0; i < len(list); i += step {
		m, err := list[i].matrix(cornerRows, cornerCols)
		if err != nil {
			return 0, err
		}
		if e, ok := beyondChance(m); ok {
			excess = append(excess, e)
		}
	}
	if len(excess) == 0 {
		return 0, nil
	}
	slices.Sort(excess)
	return excess[len(excess)/2], nil
}

// beyondChance returns the largest singular value of m over that of a random matrix,
// once the means of rows and columns are gone and both have one size: quantization
// and normalisation move and scale them at will.
func beyondChance(m [][]float32) (float64, bool) {
	if len(m) < 16 || len(m[0]) < 16 {
		return 0, false
	}
	rows, cols := len(m), len(m[0])
	x := make([][]float64, rows)
	for i, row := range m {
		x[i] = make([]float64, cols)
		for j, v := range row {
			x[i][j] = float64(v)
		}
		standardize(x[i])
	}
	column := make([]float64, rows)
	for j := range cols {
		for i := range x {
			column[i] = x[i][j]
		}
		standardize(column)
		for i := range x {
			x[i][j] = column[i]
		}
	}
	e := largestSingular(x) / (math.Sqrt(float64(rows)) + math.Sqrt(float64(cols)))
	return e, !math.IsNaN(e) && e > 0
}

// largestSingular finds that of x by the power iteration on xᵀx: a little less than it
// is, where several are near it, as in random matrices.
func largestSingular(x [][]float64) float64 {
	v := make([]float64, len(x[0]))
	for j := range v {
		v[j] = math.Sin(float64(j*j + 1)) // no direction in particular
	}
	var squared float64
	for range 24 {
		scaleTo(v, 1)
		next := make([]float64, len(v))
		squared = 0
		for _, row := range x {
			var dot float64
			for j, a := range row {
				dot += a * v[j]
			}
			squared += dot * dot
			for j, a := range row {
				next[j] += dot * a
			}
		}
		v = next
	}
	return math.Sqrt(squared)
}

// standardize gives v the mean 0 and the standard deviation 1, unless all of it is the same.
func standardize(v []float64) {
	var sum float64
	for _, a := range v {
		sum += a
	}
	for i := range v {
		v[i] -= sum / float64(len(v))
	}
	scaleTo(v, math.Sqrt(float64(len(v))))
}

// scaleTo gives v the length n, unless it is zero.
func scaleTo(v []float64, n float64) {
	var sum float64
	for _, a := range v {
		sum += a * a
	}
	if sum == 0 || math.IsInf(sum, 0) {
		return
	}
	f := n / math.Sqrt(sum)
	for i := range v {
		v[i] *= f
	}
}
