package clip

import (
	"fmt"
	"hash/maphash"
	"math/bits"
)

// vocabulary maps tokens to their ids. It is a hash table without pointers,
// which is there in about half the time that a map of strings takes: whoever
// starts the program to search once waits for it.
type vocabulary struct {
	seed    maphash.Seed
	text    []byte   // the tokens, one after another
	ends    []uint32 // where each of them ends in text
	ids     []int32
	slots   []uint64 // upper half of a token's hash, and its place in ids plus one; 0: free
	longest int      // token, in bytes
}

// newVocabulary returns a vocabulary that has room for n tokens. More can be
// added.
func newVocabulary(n int) *vocabulary {
	return &vocabulary{
		seed: maphash.MakeSeed(), slots: make([]uint64, 1<<bits.Len(uint(2*n+16))),
		text: make([]byte, 0, 8*n), ends: make([]uint32, 0, n), ids: make([]int32, 0, n),
	}
}

func (v *vocabulary) len() int { return len(v.ids) }

// token returns the token that was added as the i-th.
func (v *vocabulary) token(i int) []byte {
	if i == 0 {
		return v.text[:v.ends[0]]
	}
	return v.text[v.ends[i-1]:v.ends[i]]
}

// slot returns where token is or would be, and what a taken slot holds there.
func (v *vocabulary) slot(token string) (at, high uint64) {
	h := maphash.String(v.seed, token)
	mask := uint64(len(v.slots) - 1)
	high = h >> 32 << 32
	for at = h & mask; v.slots[at] != 0; at = (at + 1) & mask {
		if v.slots[at]>>32<<32 == high && string(v.token(int(uint32(v.slots[at]))-1)) == token {
			break
		}
	}
	return at, high
}

// add makes id that of token, whether it had another or none.
func (v *vocabulary) add(token string, id int32) {
	if 2*len(v.ids) >= len(v.slots) {
		v.grow()
	}
	at, high := v.slot(token)
	if taken := uint32(v.slots[at]); taken != 0 {
		v.ids[taken-1] = id
		return
	}
	v.text = append(v.text, token...)
	v.ends = append(v.ends, uint32(len(v.text)))
	v.ids = append(v.ids, id)
	v.slots[at] = high | uint64(len(v.ids))
	v.longest = max(v.longest, len(token))
}

func (v *vocabulary) grow() {
	v.slots = make([]uint64, 2*len(v.slots))
	for i := range v.ids {
		at, high := v.slot(string(v.token(i)))
		v.slots[at] = high | uint64(i+1)
	}
}

func (v *vocabulary) find(token string) (id int32, ok bool) {
	at, _ := v.slot(token)
	if taken := uint32(v.slots[at]); taken != 0 {
		return v.ids[taken-1], true
	}
	return 0, false
}

// bytes returns the ids of <0x00> to <0xFF>, -1 where there is none.
func (v *vocabulary) bytes() []int32 {
	ids := make([]int32, 256)
	for b := range ids {
		ids[b] = -1
		if id, ok := v.find(fmt.Sprintf("<0x%02X>", b)); ok {
			ids[b] = id
		}
	}
	return ids
}
