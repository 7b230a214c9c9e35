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
// The whole number n stands for step·(n − 2^23)/2^16, whatever the vectors are like:
// so the score of a vector depends on nothing that was learned from others.
type quantizer struct {
	dim, width int // width is dim padded
	trained    int // from how many vectors mean and coarse were learned
	mean       []float32
	deviation  []float32
	coarse     []float32
	step       float32

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

// reach is how far whole numbers go, in deviations of the numbers of a vector of
// unit length that points anywhere. Vectors with a number beyond are kept apart.
const reach = 8

// newQuantizer makes a quantizer from the mean and the deviation of each dimension.
func newQuantizer(trained int, mean, deviation []float32) *quantizer {
	dim := len(mean)
	width := (dim + align - 1) / align * align
	q := &quantizer{
		dim: dim, width: width, trained: trained, mean: mean, deviation: deviation,
		coarse: make([]float32, dim), step: reach / float32(math.Sqrt(float64(dim))) / 127.5,
		factor: make([]float32, width), shift: make([]float32, width), ones: make([]byte, width/2),
	}
	var most float32
	for i := range mean {
		q.coarse[i] = max(levelStep*deviation[i], q.step/65536)
		most = max(most, q.coarse[i]*(float32(math.Abs(float64(mean[i])))+3.5*deviation[i]))
	}
	q.scale = max(most/simd.Limit, 1e-20)
	for i := range mean {
		q.factor[i] = q.step * q.coarse[i] / q.scale
		q.shift[i] = -127.5 * q.factor[i]
	}
	for i := range q.ones {
		q.ones[i] = 0x11
	}
	return q
}

// priorQuantizer is for vectors of unit length of which nothing else is known.
func priorQuantizer(dim int) *quantizer {
	deviation := make([]float32, dim)
	for i := range deviation {
		deviation[i] = float32(1 / math.Sqrt(float64(dim)))
	}
	return newQuantizer(0, make([]float32, dim), deviation)
}

// encode writes v as coarse codes and as whole numbers, whose upper parts are codes
// and whose lower parts fine; it reports whether the range holds all of v.
func (q *quantizer) encode(v []float32, coarse, codes []byte, fine []uint16) (within bool) {
	q.encodeCoarse(v, coarse)
	return q.encodeWhole(v, codes, fine)
}

func (q *quantizer) encodeWhole(v []float32, codes []byte, fine []uint16) (within bool) {
	within = true
	unit := 65536 / float64(q.step)
	for i, x := range v[:q.dim] {
		n := int(math.Floor(float64(x)*unit+.5)) + 1<<23
		if n < 0 || n >= 1<<24 {
			within = false
			n = max(0, min(1<<24-1, n))
		}
		codes[i], fine[i] = byte(n>>16), uint16(n)
	}
	return within
}

func (q *quantizer) encodeCoarse(v []float32, coarse []byte) {
	clear(coarse)
	for i, x := range v[:q.dim] {
		c := byte(max(0, min(15, (x-q.mean[i])/q.coarse[i]+halfLevels+.5)))
		coarse[i/align*simd.Align+i%simd.Align] |= c << (i % align / simd.Align * 4)
	}
}

// decode is the inverse of encode.
func (q *quantizer) decode(v []float32, codes []byte, fine []uint16) {
	for i := range v[:q.dim] {
		n := int32(codes[i])<<16 + int32(fine[i]) - 1<<23
		v[i] = q.step * (float32(n) / 65536)
	}
}

// decodeCoarse is about the inverse of encodeCoarse.
func (q *quantizer) decodeCoarse(v []float32, coarse []byte) {
	for i := range v[:q.dim] {
		c := coarse[i/align*simd.Align+i%simd.Align] >> (i % align / simd.Align * 4) & 15
		v[i] = q.mean[i] + q.coarse[i]*(float32(c)-halfLevels)
	}
}

// folded is a vector as a query for coarse codes: its product with the vector of a
// row is about offset + scale·Σ q·code.
type folded struct {
	q                   []int8
	scale, offset, lean float32 // lean is its product with the mean
	noise               float32 // variance of the products' errors, were codes even
}

// fold folds a vector.
func (q *quantizer) fold(v []float32, f *folded) {
	v, coarse, out := v[:q.dim], q.coarse[:q.dim], f.q[:q.dim]
	var most uint32 // of positive numbers the larger has the larger bits
	var sq float32
	for i, x := range v {
		x *= coarse[i]
		most, sq = max(most, math.Float32bits(x)&^(1<<31)), sq+x*x
	}
	f.noise, f.scale = sq/12, max(math.Float32frombits(most)/simd.Limit, 1e-20)
	// A float32 as large as whole has no digits behind the point: to add it rounds, and
	// leaves the number in the lowest bits.
	const whole = 3 << 22
	var sum int32
	unit := 1 / f.scale
	for i, x := range v {
		n := int8(math.Float32bits(x*coarse[i]*unit + whole))
		out[i] = n
		sum += int32(n)
	}
	clear(f.q[q.dim:])
	f.lean = q.lean(v)
	f.offset = f.lean - f.scale*halfLevels*float32(sum)
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

// refine makes of a vector the weights by which [simd.DotFine] scores whole rows.
func (q *quantizer) refine(v, weights []float32) {
	for i, x := range v[:q.dim] {
		weights[i] = x * (q.step / 65536)
	}
	clear(weights[q.dim:])
}

// moments gathers what a quantizer is learned from.
type moments struct {
	n       int
	sum, sq []float64
}

func newMoments(dim int) *moments {
	return &moments{sum: make([]float64, dim), sq: make([]float64, dim)}
}

func (m *moments) add(v []float32) {
	m.n++
	for i, x := range v {
		m.sum[i] += float64(x)
		m.sq[i] += float64(x) * float64(x)
	}
}

func (m *moments) merge(o *moments) {
	m.n += o.n
	for i := range m.sum {
		m.sum[i] += o.sum[i]
		m.sq[i] += o.sq[i]
	}
}

func (m *moments) quantizer() *quantizer {
	mean, deviation := make([]float32, len(m.sum)), make([]float32, len(m.sum))
	for i := range mean {
		mu := m.sum[i] / float64(m.n)
		mean[i], deviation[i] = float32(mu), float32(math.Sqrt(max(0, m.sq[i]/float64(m.n)-mu*mu)))
	}
	return newQuantizer(m.n, mean, deviation)
}
