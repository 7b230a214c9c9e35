package simd

import (
	"math"
	"unsafe"
)

// The versions in Go: what the others must agree with, and what runs where there
// is no other.

func scoreGo(code []byte, q []int8) int32 {
	code = code[:len(q)]
	var a, b, c, d int32
	for i := 0; i+4 <= len(q); i += 4 {
		a += int32(code[i]) * int32(q[i])
		b += int32(code[i+1]) * int32(q[i+1])
		c += int32(code[i+2]) * int32(q[i+2])
		d += int32(code[i+3]) * int32(q[i+3])
	}
	return a + b + c + d
}

func scoreRunGo(out []int32, codes []byte, q []int8) {
	for r := range out {
		out[r] = scoreGo(codes[r*len(q):], q)
	}
}

func scoreRowsGo(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	for i, r := range rows {
		at := int(r&(1<<shift-1)) * len(q)
		out[i] = scoreGo(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(chunks[r>>shift]), at)), len(q)), q)
	}
}

func scoreQueriesGo(out []int32, code []byte, queries []int8) {
	for r := range out {
		out[r] = scoreGo(code, queries[r*len(code):][:len(code)])
	}
}

func coarseGo(code []byte, q []int8) (sum int32) {
	for i := 0; 2*i < len(q); i += Align {
		c, low, high := code[i:i+Align], q[2*i:2*i+Align], q[2*i+Align:2*i+2*Align]
		for j, b := range c {
			sum += int32(b&15)*int32(low[j]) + int32(b>>4)*int32(high[j])
		}
	}
	return sum
}

func coarseRunGo(out []int32, codes []byte, q []int8) {
	for r := range out {
		out[r] = coarseGo(codes[r*len(q)/2:], q)
	}
}

func coarseRowsGo(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	for i, r := range rows {
		at := int(r&(1<<shift-1)) * len(q) / 2
		out[i] = coarseGo(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(chunks[r>>shift]), at)), len(q)/2), q)
	}
}

func coarseQueriesGo(out []int32, code []byte, queries []int8) {
	for r := range out {
		out[r] = coarseGo(code, queries[2*r*len(code):][:2*len(code)])
	}
}

func foldGo(q []int8, code []byte, a, b []float32) {
	for i := range q {
		x := float32(a[i]*float32(code[i])) + b[i]
		q[i] = int8(math.RoundToEven(float64(max(-Limit, min(Limit, x)))))
	}
}

func dotFineGo(code []byte, fine []uint16, w []float32) float32 {
	fine, w = fine[:len(code)], w[:len(code)]
	var a, b, c, d float32
	x := func(i int) float32 { return w[i] * float32(int32(code[i])<<16+int32(fine[i])-1<<23) }
	for i := 0; i+4 <= len(code); i += 4 {
		a += x(i)
		b += x(i + 1)
		c += x(i + 2)
		d += x(i + 3)
	}
	return (a + b) + (c + d)
}

func dotGo(v, w []float32) float32 {
	w = w[:len(v)]
	var a, b, c, d, e, f, g, h float32
	for i := 0; i+8 <= len(v); i += 8 {
		x, y := v[i:i+8:i+8], w[i:i+8:i+8]
		a += x[0] * y[0]
		b += x[1] * y[1]
		c += x[2] * y[2]
		d += x[3] * y[3]
		e += x[4] * y[4]
		f += x[5] * y[5]
		g += x[6] * y[6]
		h += x[7] * y[7]
	}
	return (a + b) + (c + d) + ((e + f) + (g + h))
}

// hadamardGo adds and subtracts numbers that lie 1, then 2, 4, 8 … apart: two of
// these stages at once, which changes no sum.
func hadamardGo(x []float32, scale float32) {
	h := 1
	for ; 4*h <= len(x); h *= 4 {
		for i := 0; i < len(x); i += 4 * h {
			a, b, c, d := x[i:i+h:i+h], x[i+h:i+2*h:i+2*h], x[i+2*h:i+3*h:i+3*h], x[i+3*h:i+4*h:i+4*h]
			for j := range a {
				p, q, r, s := a[j]+b[j], a[j]-b[j], c[j]+d[j], c[j]-d[j]
				a[j], b[j], c[j], d[j] = p+r, q+s, p-r, q-s
			}
		}
	}
	if h < len(x) {
		a, b := x[:h], x[h:][:h]
		for j := range a {
			a[j], b[j] = a[j]+b[j], a[j]-b[j]
		}
	}
	for i := range x {
		x[i] *= scale
	}
}
