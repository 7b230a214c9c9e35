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
// has learned. Random towers stay below 1.15, trained ones are above 1.5.
const learnedAt = 1.3

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
// once rows and columns are brought to the same size: quantization and normalisation
// scale them at will.
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
		scaleTo(x[i], math.Sqrt(float64(cols)))
	}
	column := make([]float64, rows)
	for j := range cols {
		for i := range x {
			column[i] = x[i][j]
		}
		scaleTo(column, math.Sqrt(float64(rows)))
		for i := range x {
			x[i][j] = column[i]
		}
	}
	v := make([]float64, cols)
	for j := range v {
		v[j] = 1 + float64(j%7)/10 // no direction in particular
	}
	var largest float64
	for range 24 { // of the power iteration on xᵀx
		scaleTo(v, 1)
		next := make([]float64, cols)
		largest = 0
		for _, row := range x {
			var dot float64
			for j, a := range row {
				dot += a * v[j]
			}
			largest += dot * dot
			for j, a := range row {
				next[j] += dot * a
			}
		}
		v = next
	}
	e := math.Sqrt(largest) / (math.Sqrt(float64(rows)) + math.Sqrt(float64(cols)))
	return e, !math.IsNaN(e) && e > 0
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
