package clip

import (
	"fmt"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// wordPiece cuts the longest known piece off a word's front, again and again;
// a word that cannot be used up is unknown as a whole.
type wordPiece struct {
	vocab   *vocabulary
	prefix  string // of every piece but a word's first
	unknown int32
	letters int // of the longest word that is cut at all
}

// wordPieceOptions are the settings of a WordPiece model in a tokenizer.json.
type wordPieceOptions struct {
	Unknown *string `json:"unk_token"`
	Prefix  *string `json:"continuing_subword_prefix"`
	Letters *int    `json:"max_input_chars_per_word"`
}

func newWordPiece(vocab *vocabulary, o wordPieceOptions) (*wordPiece, error) {
	m := &wordPiece{vocab: vocab, prefix: "##", letters: 100}
	if o.Prefix != nil {
		m.prefix = *o.Prefix
	}
	if o.Letters != nil {
		m.letters = min(*o.Letters, 1000)
	}
	unknown := "[UNK]"
	if o.Unknown != nil {
		unknown = *o.Unknown
	}
	id, ok := vocab.find(unknown)
	if !ok {
		return nil, fmt.Errorf("the unknown token %.100q is not in the vocabulary: %w", unknown, clipsearch.ErrInvalid)
	}
	m.unknown = id
	return m, nil
}

func (m *wordPiece) append(ids []int64, word string, _ int) []int64 {
	if len(word) > m.letters*utf8.UTFMax || utf8.RuneCountInString(word) > m.letters {
		return append(ids, int64(m.unknown))
	}
	before := len(ids)
	piece := word
	for at := 0; at < len(word); {
		if at > 0 {
			piece = m.prefix + word[at:]
		}
		id, n := m.front(piece)
		if at > 0 {
			n -= len(m.prefix)
		}
		if n <= 0 {
			return append(ids[:before], int64(m.unknown))
		}
		ids = append(ids, int64(id))
		at += n
	}
	return ids
}

// front returns the longest token that piece begins with and its bytes, 0 if
// there is none.
func (m *wordPiece) front(piece string) (id int32, n int) {
	for n = min(len(piece), m.vocab.longest); n > 0; n-- {
		if n < len(piece) && !utf8.RuneStart(piece[n]) {
			continue
		}
		if id, ok := m.vocab.find(piece[:n]); ok {
			return id, n
		}
	}
	return 0, 0
}
