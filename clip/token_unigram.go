package clip

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// unknownPenalty is how much less likely than the least likely piece a letter
// is that is no piece.
const unknownPenalty = 10

// unigram cuts a word into the pieces whose probabilities have the largest
// product (Kudo, 2018). The scores are their logarithms.
type unigram struct {
	vocab        *vocabulary
	scores       []float64
	longest      map[rune]int // piece that begins with the letter, in bytes
	unknown      int32        // -1: letters that are no pieces are dropped
	unknownScore float64
	bytes        []int32 // of <0x00> to <0xFF>, for unknown letters; nil: not done
}

// unigramOptions are the settings of a Unigram model in a tokenizer.json.
type unigramOptions struct {
	Unknown      *int32 `json:"unk_id"`
	ByteFallback bool   `json:"byte_fallback"`
}

func newUnigram(vocab *vocabulary, scores []float64, o unigramOptions) (*unigram, error) {
	m := &unigram{vocab: vocab, scores: scores, longest: map[rune]int{}, unknown: -1}
	for i := range vocab.len() {
		piece := vocab.token(i)
		first, _ := utf8.DecodeRune(piece)
		m.longest[first] = max(m.longest[first], len(piece))
	}
	low := math.Inf(1)
	for _, score := range scores {
		low = min(low, score)
	}
	m.unknownScore = low - unknownPenalty
	if o.Unknown != nil {
		if *o.Unknown < 0 || int(*o.Unknown) >= len(scores) {
			return nil, fmt.Errorf("the unknown token %d is not in the vocabulary: %w", *o.Unknown, clipsearch.ErrInvalid)
		}
		m.unknown = *o.Unknown
	}
	if o.ByteFallback {
		m.bytes = vocab.bytes()
	}
	return m, nil
}

// step is the best way found to a place in a word.
type step struct {
	score float64
	from  int // where its last piece begins; -1: no way was found
	id    int32
}

// settleEvery is how many bytes a word's search goes on before it looks whether
// its beginning is settled.
const settleEvery = 1 << 12

// unsettledMost is how many bytes that are not settled a word may have. More
// take a word made for it, "aaaa…", whose end decides how it begins; it is cut
// then as if it ended there.
const unsettledMost = 1 << 16

// append looks for the best way through the word. Where all ways that are still
// open have their beginning in common, that is settled: its tokens are added and
// its steps forgotten, so that a word of any length takes little memory, and no
// more time than its first limit tokens need.
func (m *unigram) append(ids []int64, word string, limit int) []int64 {
	w := unigramWord{unigram: m, word: word, ids: ids, fused: -1}
	w.steps = append(w.steps, step{from: 0})
	settle := settleEvery
	for at := 0; at < len(word); {
		at += w.extend(at)
		if at >= settle && at < len(word) {
			to := w.settled(at)
			if at-to > unsettledMost {
				w.steps = w.steps[:at-w.base+1]
				to = at
			}
			w.emit(to)
			if len(w.ids)-len(ids) >= limit {
				return w.ids
			}
			settle = at + max(settleEvery, at-w.base)
		}
	}
	w.emit(len(word))
	w.flush()
	return w.ids
}

// unigramWord is a word on its way to tokens.
type unigramWord struct {
	*unigram
	word  string
	base  int    // where the settled part ends
	steps []step // to base and the places after it
	fused int    // where unknown letters began that are not added yet; -1: none
	until int    // where they end
	ids   []int64
}

// extend offers every piece that begins at a place and returns the bytes of the
// letter there.
func (w *unigramWord) extend(at int) int {
	first, letter := utf8.DecodeRuneInString(w.word[at:])
	here := w.steps[at-w.base].score
	single := false
	for n := letter; n <= min(w.longest[first], len(w.word)-at); n++ {
		if at+n < len(w.word) && !utf8.RuneStart(w.word[at+n]) {
			continue
		}
		if id, ok := w.vocab.find(w.word[at : at+n]); ok {
			w.offer(at+n, step{here + w.scores[id], at, id})
			single = single || n == letter
		}
	}
	if !single {
		w.offer(at+letter, step{here + w.unknownScore, at, w.unknown})
	}
	return letter
}

func (w *unigramWord) offer(to int, s step) {
	for to-w.base >= len(w.steps) {
		w.steps = append(w.steps, step{from: -1})
	}
	if old := &w.steps[to-w.base]; old.from < 0 || s.score > old.score {
		*old = s
	}
}

// settled returns the last place that every way leads through which reaches at
// or goes beyond it.
func (w *unigramWord) settled(at int) int {
	common := at
	for to := at + 1; to-w.base < len(w.steps); to++ {
		if w.steps[to-w.base].from < 0 {
			continue
		}
		for other := to; other != common; {
			if other > common {
				other = w.steps[other-w.base].from
			} else {
				common = w.steps[common-w.base].from
			}
		}
	}
	return common
}

// emit adds the tokens of the way from base to a place and forgets its steps.
func (w *unigramWord) emit(to int) {
	var back []int
	for at := to; at > w.base; at = w.steps[at-w.base].from {
		back = append(back, at)
	}
	from := w.base
	for i := len(back) - 1; i >= 0; i-- {
		w.piece(from, back[i], w.steps[back[i]-w.base].id)
		from = back[i]
	}
	w.steps = append(w.steps[:0], w.steps[to-w.base:]...)
	w.base = to
}

// piece adds one token, but keeps unknown letters back: together they are one.
func (w *unigramWord) piece(from, to int, id int32) {
	if id == w.unknown {
		if w.fused < 0 {
			w.fused = from
		}
		w.until = to
		return
	}
	w.flush()
	w.ids = append(w.ids, int64(id))
}

// flush adds the unknown letters that were kept back.
func (w *unigramWord) flush() {
	if w.fused < 0 {
		return
	}
	letters := w.word[w.fused:w.until]
	w.fused = -1
	if id, ok := w.vocab.find(letters); ok {
		w.ids = append(w.ids, int64(id))
		return
	}
	if w.appendBytes(letters) || w.unknown < 0 {
		return
	}
	w.ids = append(w.ids, int64(w.unknown))
}

func (w *unigramWord) appendBytes(letters string) bool {
	if w.bytes == nil {
		return false
	}
	for i := range len(letters) {
		if w.bytes[letters[i]] < 0 {
			return false
		}
	}
	for i := range len(letters) {
		w.ids = append(w.ids, int64(w.bytes[letters[i]]))
	}
	return true
}
