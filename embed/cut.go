package embed

import (
	"math"

	"github.com/clipsearch/clipsearch/internal/ort"
)

// probes are texts of several lengths, the last of them of no rare kind.
var probes = []string{"x", "a dog", "a photo of two children who play on the beach", "12 red cars, parked: in front of a very old brick house with white windows"}

// cutTolerance is how far a vector may be from that of the padded text, of its
// largest number: what another order of additions makes.
const cutTolerance = 1e-5

// triesCut reports whether texts have the same vectors without their padding, alone
// and with longer ones: so it is with a causal tower, and with one that goes by a
// mask. One that looks at the padding, or takes its scales from all of a run,
// differs by far more.
func (t *textTower) triesCut(session *ort.Session) bool {
	ids := make([][]int64, len(probes))
	for i, text := range probes {
		ids[i] = t.words.Encode(text)
	}
	size := len(ids)
	if t.alone {
		size = 1
	}
	for i := 0; i < len(ids); i += size {
		full, err := t.run(session, ids[i:i+size], nil, false)
		if err != nil {
			return false
		}
		short, err := t.run(session, ids[i:i+size], nil, true)
		if err != nil {
			return false
		}
		alone, err := t.run(session, ids[i:i+1], nil, true)
		if err != nil || !same(full[0], alone[0]) {
			return false
		}
		for k := range full {
			if !same(full[k], short[k]) {
				return false
			}
		}
	}
	return true
}

// same reports whether y is x but for rounding. Vectors that are not numbers are the
// same as nothing.
func same(x, y []float32) bool {
	var off, largest float64
	for i := range x {
		d := math.Abs(float64(x[i]) - float64(y[i]))
		if math.IsNaN(d) {
			return false
		}
		off, largest = max(off, d), max(largest, math.Abs(float64(x[i])))
	}
	return len(x) == len(y) && off <= cutTolerance*largest
}
