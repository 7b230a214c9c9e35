package clip

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch/onnx"
)

// rotary are the angles by which the places of patches rotate queries and keys: half
// of a head's pairs of numbers by the one coordinate, half by the other (Fang et al.
// 2023, EVA-02, section 2.1; Bolya et al. 2025, Perception Encoder, section 2.1).
type rotary struct {
	reference   int     // patches along a side in training, which coordinates are stretched to
	first       float64 // the coordinate of the first patch
	acrossFirst bool    // the first half is by the column, and not by the row
}

// by returns what rotates sequences of n places, of which a class token has none.
func (r rotary) by(p *params, n int, class bool, heads, d int) func(*onnx.Value) *onnx.Value {
	half := d / p.heads(heads, d) / 2
	if half < 2 || half%2 != 0 || d/heads%4 != 0 {
		p.g.Fail(fmt.Errorf("rotary positions of two coordinates in heads of %d numbers", d/heads))
	}
	before := 0
	if class {
		before = 1
	}
	grid := p.square(n-before, "patches")
	cos, sin := make([]float32, n*half), make([]float32, n*half)
	for i := range before * half {
		cos[i] = 1
	}
	for place := range grid * grid {
		at := [2]float32{r.coordinate(place/grid, grid), r.coordinate(place%grid, grid)}
		if r.acrossFirst {
			at[0], at[1] = at[1], at[0]
		}
		for i := range half {
			band, bands := i%(half/2), half/2
			// In single precision, as the reference: positions are exact, their angles are not.
			angle := at[i/bands] * float32(1/math.Pow(10000, float64(float32(band)/float32(bands))))
			j := (before+place)*half + i
			cos[j], sin[j] = float32(math.Cos(float64(angle))), float32(math.Sin(float64(angle)))
		}
	}
	c, s := p.constant("rotary.cos", cos, n, half), p.constant("rotary.sin", sin, n, half)
	return func(x *onnx.Value) *onnx.Value { return p.g.Rotate(x, c, s, heads) }
}

func (r rotary) coordinate(i, grid int) float32 {
	return (float32(i) + float32(r.first)) / float32(grid) * float32(r.reference)
}
