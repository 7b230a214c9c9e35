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
	last := len(text) - max(f.a, f.b) - 8
	for ; i <= last; i += 8 {
		z := binary.LittleEndian.Uint64(text[i+f.a:]) ^ f.x | binary.LittleEndian.Uint64(text[i+f.b:]) ^ f.y
		for seen := (z - low8) &^ z & high8; seen != 0; seen &= seen - 1 { // at each zero byte of z, and some others
			at := i + bits.TrailingZeros64(seen)/8
			if bytes.HasPrefix(text[at:], f.want) {
				return at
			}
		}
	}
	if i < len(text) {
		if n := bytes.Index(text[i:], f.want); n >= 0 {
			return i + n
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
