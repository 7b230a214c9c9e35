package clip

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// bpe joins the letters of a word pair by pair, in the order in which the pairs
// were learnt (Sennrich et al., 2016).
type bpe struct {
	vocab       *vocabulary
	ranks       map[uint64]int32 // of a pair of tokens; the lowest is joined first
	joined      []int32          // by rank: the token that a pair becomes
	prefix      string           // of every letter but a word's first
	suffix      string           // of a word's last letter
	bytes       []int32          // of <0x00> to <0xFF>, for letters that are no tokens; nil: not done
	unknown     int32            // for the others; -1: they are dropped
	fuse        bool             // unknown letters side by side are one token
	whole       bool             // a word that is a token needs no joining
	single      [utf8.RuneSelf]int32
	singleFinal [utf8.RuneSelf]int32
}

func pair(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// bpeOptions are the settings of a BPE model in a tokenizer.json.
type bpeOptions struct {
	Unknown      *string `json:"unk_token"`
	Prefix       *string `json:"continuing_subword_prefix"`
	Suffix       *string `json:"end_of_word_suffix"`
	Fuse         bool    `json:"fuse_unk"`
	ByteFallback bool    `json:"byte_fallback"`
	IgnoreMerges bool    `json:"ignore_merges"`
}

func newBPE(vocab *vocabulary, merges [][2]string, o bpeOptions) (*bpe, error) {
	m := &bpe{vocab: vocab, unknown: -1, fuse: o.Fuse, whole: o.IgnoreMerges}
	if o.Prefix != nil {
		m.prefix = *o.Prefix
	}
	if o.Suffix != nil {
		m.suffix = *o.Suffix
	}
	if o.Unknown != nil {
		id, ok := vocab.find(*o.Unknown)
		if !ok {
			return nil, fmt.Errorf("the unknown token %.100q is not in the vocabulary: %w", *o.Unknown, clipsearch.ErrInvalid)
		}
		m.unknown = id
	}
	if o.ByteFallback {
		m.bytes = vocab.bytes()
	}
	m.setSingles()
	return m, m.setMerges(merges)
}

// setMerges numbers the pairs. A pair that is named twice has its last rank.
func (m *bpe) setMerges(merges [][2]string) error {
	m.ranks = make(map[uint64]int32, len(merges))
	m.joined = make([]int32, len(merges))
	for rank, p := range merges {
		left, okLeft := m.vocab.find(p[0])
		right, okRight := m.vocab.find(p[1])
		both := p[0] + strings.TrimPrefix(p[1], m.prefix)
		id, ok := m.vocab.find(both)
		if !ok || !okLeft || !okRight {
			return fmt.Errorf("merge %d, %.100q and %.100q: one of them or %.100q is not in the vocabulary: %w", rank, p[0], p[1], both, clipsearch.ErrInvalid)
		}
		m.ranks[pair(left, right)] = int32(rank)
		m.joined[rank] = id
	}
	return nil
}

// setSingles prepares the tokens of ASCII letters, most of what there is.
func (m *bpe) setSingles() {
	for c := range utf8.RuneSelf {
		m.single[c] = m.find(string(rune(c)))
		m.singleFinal[c] = m.find(string(rune(c)) + m.suffix)
	}
}

func (m *bpe) find(token string) int32 {
	if id, ok := m.vocab.find(token); ok {
		return id
	}
	return -1
}

func (m *bpe) append(ids []int64, word string, limit int) []int64 {
	if m.whole {
		if id, ok := m.vocab.find(word); ok {
			return append(ids, int64(id))
		}
	}
	// A pair far behind hardly decides the first tokens: its influence goes
	// back by one letter a rank, and only in a word made for it.
	symbols := m.letters(word, 1<<16+limit*m.vocab.longest)
	m.join(symbols)
	for i := 0; i < len(symbols) && i >= 0; i = int(symbols[i].next) {
		ids = append(ids, int64(symbols[i].id))
	}
	return ids
}

// symbol is a link of the chain that a word is while it is joined.
type symbol struct {
	id         int32 // -1 once it is part of the symbol before it
	prev, next int32 // -1: none
}

// letters returns the word's letters as tokens, at most limit of them.
func (m *bpe) letters(word string, limit int) []symbol {
	symbols := make([]symbol, 0, min(len(word), limit)+4)
	unknown := false // one is waiting, and may be fused with the next
	add := func(id int32) { symbols = append(symbols, symbol{id: id}) }
	for i := 0; i < len(word) && len(symbols) < limit; {
		_, n := utf8.DecodeRuneInString(word[i:])
		id, letter := m.letter(word, i, n)
		i += n
		switch {
		case id >= 0:
			if unknown {
				add(m.unknown)
			}
			unknown = false
			add(id)
		case m.appendBytes(letter, add):
		case m.unknown >= 0:
			if unknown && !m.fuse {
				add(m.unknown)
			}
			unknown = true
		}
	}
	if unknown {
		add(m.unknown)
	}
	for i := range symbols {
		symbols[i].prev, symbols[i].next = int32(i-1), int32(i+1)
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	return symbols
}

// letter returns the token of the n bytes at i, or -1 and their text.
func (m *bpe) letter(word string, i, n int) (int32, string) {
	last := i+n == len(word)
	if (i == 0 || m.prefix == "") && n == 1 {
		id := m.single[word[i]]
		if last {
			id = m.singleFinal[word[i]]
		}
		if id >= 0 {
			return id, ""
		}
	}
	letter := word[i : i+n]
	if i > 0 {
		letter = m.prefix + letter
	}
	if last {
		letter += m.suffix
	}
	return m.find(letter), letter
}

// appendBytes adds the tokens of a letter's bytes if all of them are known.
func (m *bpe) appendBytes(letter string, add func(int32)) bool {
	if m.bytes == nil {
		return false
	}
	for i := range len(letter) {
		if m.bytes[letter[i]] < 0 {
			return false
		}
	}
	for i := range len(letter) {
		add(m.bytes[letter[i]])
	}
	return true
}

// join joins pairs, the lowest rank first, the leftmost of equals first.
func (m *bpe) join(symbols []symbol) {
	var q rankQueue
	offer := func(at int32) {
		if at < 0 || symbols[at].next < 0 {
			return
		}
		if rank, ok := m.ranks[pair(symbols[at].id, symbols[symbols[at].next].id)]; ok {
			q.push(uint64(rank)<<32 | uint64(at))
		}
	}
	for i := range symbols {
		offer(int32(i))
	}
	for len(q) > 0 {
		top := q.pop()
		rank, at := int32(top>>32), int32(top&math.MaxUint32)
		left := &symbols[at]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &symbols[left.next]
		if now, ok := m.ranks[pair(left.id, right.id)]; !ok || now != rank {
			continue // one of the two was joined with another since
		}
		left.id, left.next, right.id = m.joined[rank], right.next, -1
		if left.next >= 0 {
			symbols[left.next].prev = at
		}
		offer(left.prev)
		offer(at)
	}
}

// rankQueue is a binary heap, the smallest first.
type rankQueue []uint64

func (q *rankQueue) push(x uint64) {
	h := append(*q, x)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= x {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = x
	*q = h
}

func (q *rankQueue) pop() uint64 {
	h := *q
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	for i := 0; ; {
		down := 2*i + 1
		if down+1 < len(h) && h[down+1] < h[down] {
			down++
		}
		if down >= len(h) || h[down] >= x {
			if len(h) > 0 {
				h[i] = x
			}
			return top
		}
		h[i] = h[down]
		i = down
	}
}
