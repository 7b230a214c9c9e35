package ann

import (
	"math"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// quantizer turns vectors into fixed-point numbers of 24 bits, each dimension with
// its own range: number i stands for low[i] + step[i]·(n − 2^15)/2^16. The upper 8
// bits, the code, are what is scanned and walked by; the lower 16, the fine part,
// are read for the few that come near (scalar quantisation with refinement).
type quantizer struct {
	dim, width int // width is dim padded
	low, step  []float32

	mid  []float32 // of each dimension: the value of n = 2^23
	mean []byte    // the mean code, against which rounding errors of queries cancel
	body []float32 // the vector that mean stands for

	// A stored row becomes a query by q = factor·code + shift; scale is what one unit
	// of its products stands for.
	factor, shift []float32
	scale         float32
}

// newQuantizer makes a quantizer from the least and the largest number, the mean
// and the deviation of each dimension.
func newQuantizer(low, high []float32, mean, deviation []float64) *quantizer {
	dim := len(low)
	width := simd.Padded(dim)
	q := &quantizer{
		dim: dim, width: width, low: low, step: make([]float32, dim), mid: make([]float32, dim),
		mean: make([]byte, width), body: make([]float32, dim), factor: make([]float32, width), shift: make([]float32, width),
	}
	for i := range low {
		span := max(high[i]-low[i], 1e-6)
		q.step[i] = span / 255
		q.mid[i] = low[i] + q.step[i]*127.5
		q.mean[i] = byte(math.Round(max(0, min(255, (mean[i]-float64(low[i]))/float64(q.step[i])))))
		q.body[i] = low[i] + q.step[i]*float32(q.mean[i])
		q.scale = max(q.scale, q.step[i]*float32(math.Abs(mean[i])+3*deviation[i])/simd.Limit)
	}
	for i := range low {
		q.factor[i] = q.step[i] * q.step[i] / q.scale
		q.shift[i] = q.step[i] * q.low[i] / q.scale
	}
	return q
}

// encode writes v as codes and fine parts, and reports whether all of v's numbers
// lie in the range.
func (q *quantizer) encode(v []float32, codes []byte, fine []uint16) (within bool) {
	within = true
	for i, x := range v[:q.dim] {
		n := int(math.Round((float64(x)-float64(q.low[i]))/float64(q.step[i])*65536)) + 1<<15
		if n < 0 || n >= 1<<24 {
			within = false
			n = max(0, min(1<<24-1, n))
		}
		codes[i], fine[i] = byte(n>>16), uint16(n)
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

// folded is a vector as a query for codes: its product with the vector of a row is
// about offset + scale·Σ q·code.
type folded struct {
	q             []int8
	scale, offset float32
}

// fold folds a vector.
func (q *quantizer) fold(v []float32, f *folded) {
	var most float32
	for i, x := range v[:q.dim] {
		most = max(most, x*q.step[i], -x*q.step[i])
	}
	f.scale = max(most/simd.Limit, 1e-20)
	var offset float64
	for i, x := range v[:q.dim] {
		n := math.RoundToEven(float64(x * q.step[i] / f.scale))
		f.q[i] = int8(n)
		offset += float64(x)*float64(q.body[i]) - float64(f.scale)*n*float64(q.mean[i])
	}
	clear(f.q[q.dim:])
	f.offset = float32(offset)
}

// finer is a vector as a query for whole rows: their product is
// offset + [simd.DotFine] with weights.
type finer struct {
	weights []float32
	offset  float32
}

func (q *quantizer) refine(v []float32, f *finer) {
	var offset float64
	for i, x := range v[:q.dim] {
		f.weights[i] = x * q.step[i] / 65536
		offset += float64(x) * float64(q.mid[i])
	}
	clear(f.weights[q.dim:])
	f.offset = float32(offset)
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
	mean, deviation := make([]float64, len(m.sum)), make([]float64, len(m.sum))
	low, high := make([]float32, len(m.sum)), make([]float32, len(m.sum))
	for i := range mean {
		mean[i] = m.sum[i] / float64(m.n)
		deviation[i] = math.Sqrt(max(0, m.sq[i]/float64(m.n)-mean[i]*mean[i]))
		more := (m.high[i] - m.low[i]) * margin
		low[i], high[i] = m.low[i]-more, m.high[i]+more
	}
	return newQuantizer(low, high, mean, deviation)
}
