package ann

import (
	"math"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// quantizer writes a vector twice: as coarse codes of 4 bits, by which graphs are
// walked and rows scanned, since that waits for memory and they are small; and as
// fixed-point numbers of 24 bits, by which the few that come near are scored again.
//
// The coarse code c of number i stands for mean[i] + coarse[i]·(c − 7.5), the 16
// levels that lose least of a normal distribution; numbers beyond take the outermost.
// The whole number n stands for mid[i] + step[i]·(n − 2^23)/2^16 and covers the range.
type quantizer struct {
	dim, width int // width is dim padded
	mean       []float32
	coarse     []float32
	low, step  []float32
	mid        []float32

	// A stored row becomes a query for coarse codes by q = factor·code + shift, where
	// code are the upper 8 bits of its numbers. One unit of its products is scale.
	factor, shift []float32
	scale         float32
	ones          []byte // a row whose codes are all one
}

// levelStep is the distance of 16 levels that loses least of numbers distributed
// normally with deviation 1 (Max 1960, table II).
const levelStep = 0.3352

// halfLevels is the mean code.
const halfLevels = 7.5

// align is what the width of a row is a multiple of.
const align = 2 * simd.Align

// newQuantizer makes a quantizer from the least and the largest number, the mean
// and the deviation of each dimension.
func newQuantizer(low, high, mean, deviation []float32) *quantizer {
	dim := len(low)
	width := (dim + align - 1) / align * align
	q := &quantizer{
		dim: dim, width: width, mean: mean, low: low,
		coarse: make([]float32, dim), step: make([]float32, dim), mid: make([]float32, dim),
		factor: make([]float32, width), shift: make([]float32, width), ones: make([]byte, width/2),
	}
	var most float32
	for i := range low {
		q.step[i] = max(high[i]-low[i], 1e-6) / 255
		q.mid[i] = low[i] + q.step[i]*127.5
		q.coarse[i] = max(levelStep*deviation[i], q.step[i]/65536)
		most = max(most, q.coarse[i]*(float32(math.Abs(float64(mean[i])))+3.5*deviation[i]))
	}
	q.scale = max(most/simd.Limit, 1e-20)
	for i := range low {
		q.factor[i] = q.step[i] * q.coarse[i] / q.scale
		q.shift[i] = q.low[i] * q.coarse[i] / q.scale
	}
	for i := range q.ones {
		q.ones[i] = 0x11
	}
	return q
}

// encode writes v as coarse codes and as whole numbers, whose upper parts are codes
// and whose lower parts fine; it reports whether the range holds all of v.
func (q *quantizer) encode(v []float32, coarse, codes []byte, fine []uint16) (within bool) {
	within = true
	clear(coarse)
	for i, x := range v[:q.dim] {
		n := int(math.Round((float64(x)-float64(q.low[i]))/float64(q.step[i])*65536)) + 1<<15
		if n < 0 || n >= 1<<24 {
			within = false
			n = max(0, min(1<<24-1, n))
		}
		codes[i], fine[i] = byte(n>>16), uint16(n)
		c := byte(max(0, min(15, (x-q.mean[i])/q.coarse[i]+halfLevels+.5)))
		coarse[i/align*simd.Align+i%simd.Align] |= c << (i % align / simd.Align * 4)
	}
	return within
}

// decode is the inverse of encode.
func (q *quantizer) decode(v []float32, codes []byte, fine []uint16) {
	for i := range v[:q.dim] {
		n := int32(codes[i])<<16 + int32(fine[i]) - 1<<23
		v[i] = q.mid[i] + q.step[i]*(float32(n)/65536)
	}
}

// folded is a vector as a query for coarse codes: its product with the vector of a
// row is about offset + scale·Σ q·code.
type folded struct {
	q             []int8
	scale, offset float32
}

// fold folds a vector. lean is its product with the mean.
func (q *quantizer) fold(v []float32, f *folded) {
	var most float32
	for i, x := range v[:q.dim] {
		most = max(most, x*q.coarse[i], -x*q.coarse[i])
	}
	f.scale = max(most/simd.Limit, 1e-20)
	var sum int
	for i, x := range v[:q.dim] {
		n := int(math.RoundToEven(float64(x * q.coarse[i] / f.scale)))
		f.q[i] = int8(n)
		sum += n
	}
	clear(f.q[q.dim:])
	f.offset = q.lean(v) - f.scale*halfLevels*float32(sum)
}

// lean returns the product of v with the mean.
func (q *quantizer) lean(v []float32) float32 { return simd.Dot(v[:q.dim], q.mean) }

// foldRow folds the row with these codes and this lean.
func (q *quantizer) foldRow(codes []byte, lean float32, f *folded) {
	simd.Fold(f.q, codes, q.factor, q.shift)
	var sum [1]int32
	simd.CoarseQueries(sum[:], q.ones, f.q)
	f.scale, f.offset = q.scale, lean-q.scale*halfLevels*float32(sum[0])
}

// finer is a vector as a query for whole rows: their product is
// offset + [simd.DotFine] with weights.
type finer struct {
	weights []float32
	offset  float32
}

func (q *quantizer) refine(v []float32, f *finer) {
	for i, x := range v[:q.dim] {
		f.weights[i] = x * q.step[i] / 65536
	}
	clear(f.weights[q.dim:])
	f.offset = simd.Dot(v[:q.dim], q.mid)
}

// moments gathers what a quantizer is made from.
type moments struct {
	n         int
	low, high []float32
	sum, sq   []float64
}

func newMoments(dim int) *moments {
	m := &moments{low: make([]float32, dim), high: make([]float32, dim), sum: make([]float64, dim), sq: make([]float64, dim)}
	for i := range dim {
		m.low[i], m.high[i] = math.MaxFloat32, -math.MaxFloat32
	}
	return m
}

func (m *moments) add(v []float32) {
	m.n++
	for i, x := range v {
		m.low[i], m.high[i] = min(m.low[i], x), max(m.high[i], x)
		m.sum[i] += float64(x)
		m.sq[i] += float64(x) * float64(x)
	}
}

func (m *moments) merge(o *moments) {
	m.n += o.n
	for i := range m.sum {
		m.low[i], m.high[i] = min(m.low[i], o.low[i]), max(m.high[i], o.high[i])
		m.sum[i] += o.sum[i]
		m.sq[i] += o.sq[i]
	}
}

// quantizer makes a quantizer whose ranges reach beyond what was seen by margin of
// their width on either side.
func (m *moments) quantizer(margin float32) *quantizer {
	dim := len(m.sum)
	low, high, mean, deviation := make([]float32, dim), make([]float32, dim), make([]float32, dim), make([]float32, dim)
	for i := range dim {
		mu := m.sum[i] / float64(m.n)
		mean[i], deviation[i] = float32(mu), float32(math.Sqrt(max(0, m.sq[i]/float64(m.n)-mu*mu)))
		more := (m.high[i] - m.low[i]) * margin
		low[i], high[i] = m.low[i]-more, m.high[i]+more
	}
	return newQuantizer(low, high, mean, deviation)
}
