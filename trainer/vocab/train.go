package vocab

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

const (
	// end marks the last letter of a word.
	end = "</w>"
	// The marks around a text, which have the last two ids: CLIP's text tower reads its
	// result where the largest id stands.
	startOfText, endOfText = "<|startoftext|>", "<|endoftext|>"

	// Smallest is the size of a vocabulary that has learnt nothing: 256 bytes, as many
	// that end a word, and two marks.
	Smallest = 2*256 + 2

	// longest is how many bytes a word has that something is learnt from. Nobody wrote a
	// longer one, and to join its letters takes time that grows with its square.
	longest = 128
)

// Options say what is learnt.
type Options struct {
	Size     int // of the vocabulary, at most; CLIP's 49,408 if zero
	MinCount int // how often a pair has to be there to be joined; 2 if zero, as what occurs once tells nothing of other texts
}

// Vocabulary is the tokens that texts are made of.
type Vocabulary struct {
	Tokens []string    // by id
	Merges [][2]string // what is joined, first things first
}

// Train learns a vocabulary from texts. It is smaller than asked for where the texts
// have too few pairs.
func Train(texts iter.Seq[string], o Options) (*Vocabulary, error) {
	o.Size, o.MinCount = cmp.Or(o.Size, 49408), cmp.Or(o.MinCount, 2)
	if o.Size < Smallest || o.MinCount < 1 {
		return nil, fmt.Errorf("a vocabulary of %d tokens from pairs that are there %d times: it has at least %d, and once is the least: %w", o.Size, o.MinCount, Smallest, clipsearch.ErrInvalid)
	}
	counts := map[string]int{}
	for text := range texts {
		for w := range clip.TextWords(text) {
			if len(w) <= 2*longest { // a byte's letter has up to two bytes
				counts[w]++
			}
		}
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("learn a vocabulary: the captions have no words: %w", clipsearch.ErrInvalid)
	}
	l := newLearner(counts)
	for len(l.tokens) < o.Size-2 {
		p, count := l.next()
		if count < o.MinCount {
			break
		}
		l.join(p)
	}
	return &Vocabulary{append(l.tokens, startOfText, endOfText), l.merges}, nil
}

// pair is two tokens side by side.
type pair [2]int32

// counted is a pair and how often it was there when it was put on the heap.
type counted struct {
	pair
	count int
}

// learner holds the words, cut into the tokens that are known so far.
type learner struct {
	tokens []string
	ids    map[string]int32
	merges [][2]string

	words []learnt
	count map[pair]int
	where map[pair][]int32 // words that have it, or had it
	queue []counted        // a heap, the next pair first; counts in it may be too high
}

type learnt struct {
	tokens []int32
	count  int
}

func newLearner(counts map[string]int) *learner {
	l := &learner{ids: map[string]int32{}, count: map[pair]int{}, where: map[pair][]int32{}}
	for _, suffix := range []string{"", end} {
		for _, r := range alphabet() {
			l.token(string(r) + suffix)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		letters := []rune(text)
		w := learnt{count: counts[text]}
		for i, r := range letters {
			letter := string(r)
			if i == len(letters)-1 {
				letter += end
			}
			w.tokens = append(w.tokens, l.ids[letter])
		}
		l.words = append(l.words, w)
	}
	changed := map[pair]bool{}
	for i := range l.words {
		l.tally(int32(i), 1, changed)
	}
	l.push(changed)
	return l
}

// alphabet returns the letters of the 256 bytes in the order that CLIP numbers them: the
// ones that stand for themselves come first.
func alphabet() []rune {
	var self, others []rune
	for b, r := range clip.ByteLetters() {
		if rune(b) == r {
			self = append(self, r)
		} else {
			others = append(others, r)
		}
	}
	return append(self, others...)
}

// token returns the id of a token, which is a new one if it is not known. Two pairs may
// become the same token.
func (l *learner) token(text string) int32 {
	id, ok := l.ids[text]
	if !ok {
		id = int32(len(l.tokens))
		l.tokens = append(l.tokens, text)
		l.ids[text] = id
	}
	return id
}

// tally adds the pairs of a word to the counts, or takes them away, and notes them.
func (l *learner) tally(word int32, sign int, changed map[pair]bool) {
	w := l.words[word]
	for i := 1; i < len(w.tokens); i++ {
		p := pair{w.tokens[i-1], w.tokens[i]}
		l.count[p] += sign * w.count
		changed[p] = true
		if sign > 0 {
			if at := l.where[p]; len(at) == 0 || at[len(at)-1] != word {
				l.where[p] = append(at, word)
			}
		}
	}
}

// join makes one token of a pair, wherever it is.
func (l *learner) join(p pair) {
	left, right := l.tokens[p[0]], l.tokens[p[1]]
	l.merges = append(l.merges, [2]string{left, right})
	joined := l.token(left + right)
	words := l.where[p]
	delete(l.where, p)
	slices.Sort(words)
	changed := map[pair]bool{}
	for _, word := range slices.Compact(words) {
		tokens := l.words[word].tokens
		if !has(tokens, p) {
			continue
		}
		l.tally(word, -1, changed)
		kept := tokens[:0]
		for i := 0; i < len(tokens); i++ {
			if i+1 < len(tokens) && tokens[i] == p[0] && tokens[i+1] == p[1] {
				kept = append(kept, joined)
				i++
			} else {
				kept = append(kept, tokens[i])
			}
		}
		l.words[word].tokens = kept
		l.tally(word, 1, changed)
	}
	l.push(changed)
}

func has(tokens []int32, p pair) bool {
	for i := 1; i < len(tokens); i++ {
		if tokens[i-1] == p[0] && tokens[i] == p[1] {
			return true
		}
	}
	return false
}

// push puts pairs on the heap with their counts of now.
func (l *learner) push(changed map[pair]bool) {
	for p := range changed {
		if n := l.count[p]; n > 0 {
			heap.Push(l, counted{p, n})
		} else {
			delete(l.count, p)
		}
	}
}

// next takes the pair from the heap that is there most often, and the count zero if no
// pair is left.
func (l *learner) next() (pair, int) {
	for len(l.queue) > 0 {
		c := heap.Pop(l).(counted)
		if l.count[c.pair] == c.count {
			return c.pair, c.count
		}
	}
	return pair{}, 0
}

// Len, Less, Swap, Push and Pop are those of the heap.
func (l *learner) Len() int { return len(l.queue) }

func (l *learner) Less(i, j int) bool {
	a, b := l.queue[i], l.queue[j]
	if a.count != b.count {
		return a.count > b.count
	}
	return cmp.Or(cmp.Compare(l.tokens[a.pair[0]], l.tokens[b.pair[0]]), cmp.Compare(l.tokens[a.pair[1]], l.tokens[b.pair[1]])) < 0
}

func (l *learner) Swap(i, j int) { l.queue[i], l.queue[j] = l.queue[j], l.queue[i] }
func (l *learner) Push(x any)    { l.queue = append(l.queue, x.(counted)) }

func (l *learner) Pop() any {
	last := l.queue[len(l.queue)-1]
	l.queue = l.queue[:len(l.queue)-1]
	return last
}
