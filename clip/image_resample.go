package clip

import (
	"encoding/binary"
	"image"
	"math"
	"sync"
)

// Pillow resizes by convolution, one axis after the other, with weights in
// fixed point and a picture of bytes in between; each of these roundings shows
// in the result, so each is kept. Only what survives the crop is computed: that
// the rest is missing changes nothing.

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

// taps are the weights of a resize along one axis: an output is the sum of the
// inputs from first on, each times its weight.
type taps []struct {
	first   int
	weights []int64
}

// taps returns those of the outputs lo to hi of a resize from in to out pixels.
func (k kernel) taps(in, out, lo, hi int) taps {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := k.support * stretch
	width := 2*int(math.Ceil(support)) + 1
	exact, weights := make([]float64, width), make([]int64, (hi-lo)*width)
	t := make(taps, hi-lo)
	for i := range t {
		center := (float64(lo+i) + 0.5) * scale
		first := max(0, int(center-support+0.5))
		count := min(in, int(center+support+0.5)) - first
		sum := 0.0
		for j := range count {
			exact[j] = k.weight((float64(first+j) - center + 0.5) * (1 / stretch))
			sum += exact[j]
		}
		t[i].first, t[i].weights = first, weights[i*width:][:count]
		for j := range count {
			t[i].weights[j] = int64(math.Round(exact[j] / sum * (1 << precision)))
		}
	}
	return t
}

// maxShrunk is how many pixels of a side are taken into account where it is shrunk to
// less than a hundredth.
const maxShrunk = 1 << 20

// thin leaves out rows and columns of a picture of which one side has millions of
// pixels and is squashed: the taps would take thirty bytes for each of them.
func thin(src *image.RGBA, fullW, fullH int) *image.RGBA {
	every := func(side, full int) int {
		if side <= maxShrunk || side/100 < full {
			return 1
		}
		return (side + maxShrunk - 1) / maxShrunk
	}
	ex, ey := every(src.Rect.Dx(), fullW), every(src.Rect.Dy(), fullH)
	if ex == 1 && ey == 1 {
		return src
	}
	dst := image.NewRGBA(image.Rect(0, 0, (src.Rect.Dx()+ex-1)/ex, (src.Rect.Dy()+ey-1)/ey))
	for y := range dst.Rect.Dy() {
		from, to := src.Pix[y*ey*src.Stride:], dst.Pix[y*dst.Stride:]
		for x := range dst.Rect.Dx() {
			copy(to[4*x:4*x+4], from[4*x*ex:4*x*ex+4])
		}
	}
	return dst
}

// span returns the inputs that t reads: from lo up to hi.
func (t taps) span() (lo, hi int) {
	last := t[len(t)-1]
	return t[0].first, last.first + len(last.weights)
}

// scratch is what a resize needs for itself.
type scratch struct {
	mid            image.RGBA // between the passes
	redBlue, green []int64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// picture returns s.mid with these sides, its pixels left as they were.
func (s *scratch) picture(w, h int) *image.RGBA {
	if need := 4 * w * h; cap(s.mid.Pix) < need {
		s.mid.Pix = make([]byte, need)
	}
	s.mid.Pix = s.mid.Pix[:4*w*h]
	s.mid.Stride, s.mid.Rect = 4*w, image.Rect(0, 0, w, h)
	return &s.mid
}

// numbers returns room for n pixels, its values left as they were.
func (s *scratch) numbers(n int) (redBlue, green []int64) {
	if cap(s.redBlue) < n {
		s.redBlue, s.green = make([]int64, n), make([]int64, n)
	}
	return s.redBlue[:n], s.green[:n]
}

// resample writes src, resized by horizontal and by vertical, into dst: rows
// first and columns second, or the other way round.
func resample(dst, src *image.RGBA, horizontal, vertical taps, columnsFirst bool) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	x0, x1 := horizontal.span()
	y0, y1 := vertical.span()
	part := src.SubImage(image.Rect(x0, y0, x1, y1).Add(src.Rect.Min)).(*image.RGBA)
	if columnsFirst {
		mid := s.picture(x1-x0, len(vertical))
		s.resizeColumns(mid, part, vertical, y0)
		s.resizeRows(dst, mid, horizontal, x0)
		return
	}
	mid := s.picture(len(horizontal), y1-y0)
	s.resizeRows(mid, part, horizontal, x0)
	s.resizeColumns(dst, mid, vertical, y0)
}

// resizeRows convolves each row of src, whose first pixel is the one that t
// calls skip.
func (s *scratch) resizeRows(dst, src *image.RGBA, t taps, skip int) {
	redBlue, green := s.numbers(src.Rect.Dx())
	for y := range src.Rect.Dy() {
		unpack(redBlue, green, src.Pix[y*src.Stride:])
		to := dst.Pix[y*dst.Stride:][:4*len(t)]
		for i := range t {
			at, w := t[i].first-skip, t[i].weights
			binary.LittleEndian.PutUint32(to[4*i:], convolve(redBlue[at:], green[at:], w))
		}
	}
}

// A pixel is two numbers, of which red and blue share one, blue 32 bits up:
// neither's sum exceeds 31 bits, and what a negative red borrows is given back
// at the end.
func unpack(redBlue, green []int64, row []byte) {
	green = green[:len(redBlue)]
	for x := range redBlue {
		redBlue[x], green[x] = pixel(row, x)
	}
}

func pixel(row []byte, x int) (redBlue, green int64) {
	p := binary.LittleEndian.Uint32(row[4*x : 4*x+4 : 4*x+4])
	return int64(p&0xff) | int64(p>>16&0xff)<<32, int64(p >> 8 & 0xff)
}

const (
	half      int64 = 1 << (precision - 1)
	halfTwice int64 = half | half<<32
)

// convolve returns the weighted sum of the first len(weights) pixels.
func convolve(redBlue, green, weights []int64) uint32 {
	redBlue, green = redBlue[:len(weights)], green[:len(weights)]
	rb, g := halfTwice, half
	for i, w := range weights {
		rb += w * redBlue[i]
		g += w * green[i]
	}
	return pack(rb, g)
}

// pack returns the opaque pixel of these sums, rounded (half is in them) and
// clipped.
func pack(redBlue, green int64) uint32 {
	red := int64(int32(redBlue))
	blue := (redBlue - red) >> 32
	return clip8(red) | clip8(green)<<8 | clip8(blue)<<16 | 0xff<<24
}

// clip8 returns the whole part of v, at least 0 and at most 255.
func clip8(v int64) uint32 { return uint32(min(max(v>>precision, 0), 255)) }

// resizeColumns convolves the columns of src, whose first row is the one that
// t calls skip: many side by side, for it is rows that lie together.
func (s *scratch) resizeColumns(dst, src *image.RGBA, t taps, skip int) {
	const together = 512 // columns whose sums stay in the nearest cache
	redBlue, green := s.numbers(together)
	for i := range t {
		from := src.Pix[(t[i].first-skip)*src.Stride:]
		to := dst.Pix[i*dst.Stride:][:4*src.Rect.Dx()]
		for x := 0; x < len(to); x += 4 * together {
			n := min(together, (len(to)-x)/4)
			sumRows(to[x:][:4*n], from[x:], src.Stride, t[i].weights, redBlue[:n], green[:n])
		}
	}
}

// sumRows writes the weighted sum of rows, which lie stride bytes apart.
func sumRows(to, rows []byte, stride int, weights, redBlue, green []int64) {
	green = green[:len(redBlue)]
	for x := range redBlue {
		redBlue[x], green[x] = halfTwice, half
	}
	for j, w := range weights {
		row := rows[j*stride:]
		for x := range redBlue {
			rb, g := pixel(row, x)
			redBlue[x] += w * rb
			green[x] += w * g
		}
	}
	for x := range redBlue {
		binary.LittleEndian.PutUint32(to[4*x:], pack(redBlue[x], green[x]))
	}
}
