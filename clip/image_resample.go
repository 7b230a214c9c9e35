package clip

import (
	"encoding/binary"
	"image"
	"math"
	"sync"
)

// Pillow resizes by convolution, columns first and rows second, with weights
// in fixed point and a picture of bytes in between; each of these roundings
// shows in the result, so each is kept. Only what survives the crop is
// computed: that the rest is missing changes nothing.

// precision is the number of binary places of a weight.
const precision = 22

// kernel is an interpolation: a weight for each distance up to its support,
// which is stretched where the picture shrinks.
type kernel struct {
	support float64
	weight  func(distance float64) float64
}

func (p Preprocess) kernel() kernel {
	if p.Interpolation == "bilinear" {
		return kernel{1, triangle}
	}
	return kernel{2, cubic}
}

func triangle(x float64) float64 { return max(0, 1-math.Abs(x)) }

// cubic is Keys' convolution with a = -0.5.
func cubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// taps are the weights of a resize along one axis: output i is the sum over
// weights[i*width : i*width+count[i]], times the inputs from first[i] on.
type taps struct {
	n            int // outputs
	width        int
	first, count []int
	weights      []int64
	identity     bool // the resize changes nothing
}

// taps returns those of the outputs lo to hi of a resize from in to out pixels.
func (k kernel) taps(in, out, lo, hi int) *taps {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := k.support * stretch
	t := &taps{n: hi - lo, width: 2*int(math.Ceil(support)) + 1, identity: in == out && lo == 0 && hi == out}
	t.first, t.count = make([]int, t.n), make([]int, t.n)
	t.weights = make([]int64, t.n*t.width)
	exact := make([]float64, t.width)
	for i := range t.n {
		center := (float64(lo+i) + 0.5) * scale
		first := max(0, int(center-support+0.5))
		count := min(in, int(center+support+0.5)) - first
		sum := 0.0
		for x := range count {
			exact[x] = k.weight((float64(x+first) - center + 0.5) * (1 / stretch))
			sum += exact[x]
		}
		t.first[i], t.count[i] = first, count
		for x := range count {
			t.weights[i*t.width+x] = fixed(exact[x] / sum)
		}
	}
	return t
}

// fixed rounds w to fixed point, halves away from zero.
func fixed(w float64) int64 { return int64(math.Round(w * (1 << precision))) }

// span returns the inputs that t reads: from lo up to hi.
func (t *taps) span() (lo, hi int) {
	last := t.n - 1
	return t.first[0], t.first[last] + t.count[last]
}

// resample writes src, resized by horizontal and then by vertical, into dst.
// Both passes are the same loop, for each turns its picture over the diagonal:
// rows in, columns out.
func resample(dst, src *image.RGBA, horizontal, vertical *taps) {
	lo, hi := vertical.span()
	rows := hi - lo
	stride := 4 * ((rows+15)&^15 | 16) // an odd number of cache lines, so that a column's pixels do not evict each other
	buf := middle.Get().(*[]byte)
	defer middle.Put(buf)
	if need := stride * horizontal.n; cap(*buf) < need {
		*buf = make([]byte, need)
	}
	mid := (*buf)[:stride*horizontal.n]
	pass(mid, stride, src.Pix[lo*src.Stride:], src.Stride, rows, horizontal)
	for i := range vertical.first {
		vertical.first[i] -= lo
	}
	pass(dst.Pix, dst.Stride, mid, stride, horizontal.n, vertical)
}

// middle keeps the pictures between the passes.
var middle = sync.Pool{New: func() any { return new([]byte) }}

// pass convolves n rows of src with t; row r becomes column r of dst.
func pass(dst []byte, dstStride int, src []byte, srcStride, n int, t *taps) {
	for r := range n {
		row := src[r*srcStride:]
		at := 4 * r
		for i := range t.n {
			v := opaqueBlack
			if t.identity {
				v |= binary.LittleEndian.Uint32(row[4*i:])
			} else {
				first, count := t.first[i], t.count[i]
				v |= convolve(row[4*first:4*(first+count)], t.weights[i*t.width:i*t.width+count])
			}
			binary.LittleEndian.PutUint32(dst[at:], v)
			at += dstStride
		}
	}
}

const opaqueBlack uint32 = 0xff << 24

// convolve returns the weighted sum of pixels, rounded and clipped. Red and
// blue are summed in one number, blue 32 bits up: neither sum exceeds 31 bits,
// and what red borrows is given back at the end.
func convolve(pixels []byte, weights []int64) uint32 {
	const half = 1 << (precision - 1)
	redBlue, green := int64(half|half<<32), int64(half)
	for _, w := range weights {
		if len(pixels) < 4 {
			break
		}
		p := int64(binary.LittleEndian.Uint32(pixels))
		redBlue += w * (p&0xff | p&0xff0000<<16)
		green += w * (p >> 8 & 0xff)
		pixels = pixels[4:]
	}
	red := int64(int32(redBlue))
	blue := (redBlue - red) >> 32
	return clip8(red) | clip8(green)<<8 | clip8(blue)<<16
}

// clip8 returns the whole part of v, at least 0 and at most 255.
func clip8(v int64) uint32 { return uint32(min(max(v>>precision, 0), 255)) }
