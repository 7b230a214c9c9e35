package index

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// finder finds a string in packed texts. It looks for two of the string's bytes at
// once, eight places at a time, and compares the rest where it sees both.
type finder struct {
	want []byte
	a, b int    // which bytes of want, the rarest
	x, y uint64 // eight times each of them
}

const (
	low8  = 0x0101010101010101
	high8 = 0x8080808080808080
)

// common orders bytes by how often they occur in captions and names, the commonest
// first.
const common = " eaotinrsldhgcmupwbyfk_-.v0123jpg456789xzq'/,"

func newFinder(want string) *finder {
	f := &finder{want: []byte(want)}
	rank := func(i int) int {
		if n := bytes.IndexByte([]byte(common), want[i]); n >= 0 {
			return n
		}
		return len(common)
	}
	for i := 1; i < len(want); i++ {
		switch r := rank(i); {
		case r > rank(f.a):
			f.a, f.b = i, f.a
		case f.a == f.b || r > rank(f.b):
			f.b = i
		}
	}
	f.x, f.y = low8*uint64(want[f.a]), low8*uint64(want[f.b])
	return f
}

// next returns where want occurs in text first, from i on, or -1.
func (f *finder) next(text []byte, i int) int {
	if n := len(text) - max(f.a, f.b); i+8 <= n {
		x, y := text[i+f.a:][:n-i], text[i+f.b:][:n-i] // the bytes that should be want[a] and want[b]
		for len(x) >= 16 && len(y) >= 16 {
			z := (binary.LittleEndian.Uint64(x) ^ f.x) | (binary.LittleEndian.Uint64(y) ^ f.y)
			w := (binary.LittleEndian.Uint64(x[8:]) ^ f.x) | (binary.LittleEndian.Uint64(y[8:]) ^ f.y)
			if (z-low8)&^z&high8|(w-low8)&^w&high8 != 0 {
				i = n - len(x)
				if at := f.among(text, i, z); at >= 0 {
					return at
				}
				if at := f.among(text, i+8, w); at >= 0 {
					return at
				}
			}
			x, y = x[16:], y[16:]
		}
		i = n - len(x)
	}
	if n := bytes.Index(text[i:], f.want); n >= 0 {
		return i + n
	}
	return -1
}

// among returns the first of the eight places from i on where want is, or -1. It
// may be only where z has a zero byte.
func (f *finder) among(text []byte, i int, z uint64) int {
	for seen := (z - low8) &^ z & high8; seen != 0; seen &= seen - 1 { // at each zero byte, and some others
		if at := i + bits.TrailingZeros64(seen)/8; bytes.HasPrefix(text[at:], f.want) {
			return at
		}
	}
	return -1
}

// find sets the bit of each doc that has a list in p with want in it.
func (f *finder) find(p *textPart, words []uint64) {
	list := 0
	for i := f.next(p.text, 0); i >= 0; i = f.next(p.text, int(p.ends[list])) {
		for int(p.ends[list]) <= i {
			list++
		}
		setBit(words, p.docs[list])
	}
}

// setBit sets d's bit, unless d has none: it came when the bits were made already.
func setBit(words []uint64, d doc) {
	if int(d/64) < len(words) {
		words[d/64] |= 1 << (d % 64)
	}
}
