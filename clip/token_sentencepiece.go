package clip

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clipsearch/clipsearch"
)

// SentencePiece's own models, for directories without a tokenizer.json: T5's and
// SigLIP's, XLM-R's with its own numbers, and Gemma's.
const (
	sentencePiece  = "spiece.model"
	fairseqPieces  = "sentencepiece.bpe.model"
	gemmaTokenizer = "tokenizer.model"
)

// Kinds of pieces, by their numbers in sentencepiece_model.proto; as are the fields.
const (
	pieceNormal  = 1
	pieceUnknown = 2
	pieceControl = 3
	pieceUser    = 4
	pieceUnused  = 5
	pieceByte    = 6
)

// spm is what matters of a SentencePiece model.
type spm struct {
	pieces []spmPiece
	kind   uint64 // 1 unigram, 2 byte pairs
	// The numbers of marks; below zero: there is none.
	unknown, begin, end, pad int32
	charsmap                 []byte
	prefix, squeeze          bool // a space is put before every text; spaces at the ends and beside each other go
}

type spmPiece struct {
	text  string
	score float64
	kind  uint64
}

func readSentencePiece(fsys fs.FS, data []byte) (*tokenizerFile, error) {
	m, err := readSPM(data)
	if err != nil {
		return nil, err
	}
	config, err := readTokenizerConfig(fsys)
	if err != nil {
		return nil, err
	}
	f, err := m.file()
	if err != nil {
		return nil, err
	}
	if config.begins && m.begin >= 0 {
		f.before = []int64{int64(m.begin)}
	}
	if !config.endless && m.end >= 0 {
		f.after = []int64{int64(m.end)}
	}
	return f, nil
}

// readFairseqPieces numbers the pieces as XLM-R does: its own four marks come first,
// and SentencePiece's three are not counted.
func readFairseqPieces(_ fs.FS, data []byte) (*tokenizerFile, error) {
	m, err := readSPM(data)
	if err != nil {
		return nil, err
	}
	if len(m.pieces) < 4 || m.kind != 1 || m.unknown < 0 || m.unknown > 2 {
		return nil, fmt.Errorf("this is not XLM-R's: others need a tokenizer.json: %w", clipsearch.ErrInvalid)
	}
	for i := range 3 {
		m.pieces[i].kind = pieceControl
	}
	m.pieces = append(m.pieces[:3:3], append([]spmPiece{{kind: pieceUnknown, text: "<unk>"}}, m.pieces[3:]...)...)
	for i, name := range []string{"<s>", "<pad>", "</s>"} {
		m.pieces[i].text = name
	}
	m.begin, m.pad, m.end, m.unknown = 0, 1, 2, 3
	f, err := m.file()
	if err != nil {
		return nil, err
	}
	f.before, f.after = []int64{0}, []int64{2}
	return f, nil
}

// file says the model in the words of a tokenizer.json. Marks are no part of its
// vocabulary: what looks like one in a text is text.
func (m *spm) file() (*tokenizerFile, error) {
	f := &tokenizerFile{vocab: newVocabulary(len(m.pieces)), marks: map[string]int64{}, settings: map[string]json.RawMessage{}}
	scores := make([]float64, len(m.pieces))
	for i, p := range m.pieces {
		id := int32(i)
		switch p.kind {
		case pieceControl, pieceUnknown, pieceUnused:
			f.marks[p.text] = int64(id)
		case pieceUser:
			if len(f.added) == maxAdded {
				return nil, fmt.Errorf("more than %d pieces of users: %w", maxAdded, clipsearch.ErrInvalid)
			}
			f.added = append(f.added, addedToken{ID: id, Content: p.text, Normalized: true})
		default:
			f.vocab.add(p.text, id)
		}
		scores[i] = p.score
	}
	if m.pad >= 0 {
		id := int64(m.pad)
		f.padding.ID = &id
	}
	var err error
	if f.normal, err = m.normalizer(); err != nil {
		return nil, err
	}
	_, bytes := f.vocab.find("<0x00>")
	f.settings["byte_fallback"] = fmt.Appendf(nil, "%t", bytes)
	switch m.kind {
	case 1:
		f.kind, f.scores = "Unigram", scores
		f.settings["unk_id"] = fmt.Appendf(nil, "%d", m.unknown)
	case 2:
		f.kind, f.merges = "BPE", m.merges(f.vocab)
		f.settings["fuse_unk"] = json.RawMessage("true")
		f.unknown = m.unknown
	default:
		return nil, fmt.Errorf("a SentencePiece model of words or letters is not known here: %w", clipsearch.ErrInvalid)
	}
	return f, nil
}

// merges lists the pairs of pieces that are a piece together. SentencePiece joins the
// pair that makes the piece of the highest score.
func (m *spm) merges(vocab *vocabulary) [][2]string {
	order := make([]int, 0, len(m.pieces))
	for i, p := range m.pieces {
		if p.kind == pieceNormal && len(p.text) <= maxAddedToken { // each is cut everywhere; none is as long
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := m.pieces[a].score, m.pieces[b].score; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	var merges [][2]string
	for _, i := range order {
		piece := m.pieces[i].text
		for at := range piece {
			if at == 0 {
				continue
			}
			if len(merges) == maxMerges {
				return merges // far more than any has
			}
			if _, ok := vocab.find(piece[:at]); !ok {
				continue
			}
			if _, ok := vocab.find(piece[at:]); ok {
				merges = append(merges, [2]string{piece[:at], piece[at:]})
			}
		}
	}
	return merges
}

// visibleSpace is what SentencePiece writes for a space.
const visibleSpace = "▁"

// normalizer replaces what the compiled rules know, the longest that fits at every
// place, squeezes spaces and makes them visible.
func (m *spm) normalizer() (normalizer, error) {
	replace := func(s string) string { return s }
	if len(m.charsmap) > maxPart {
		return nil, fmt.Errorf("a table of letters of %d bytes, more than %d: %w", len(m.charsmap), maxPart, clipsearch.ErrInvalid)
	}
	if len(m.charsmap) > 0 {
		c, err := readCharsmap(base64.StdEncoding.EncodeToString(m.charsmap))
		if err != nil {
			return nil, err
		}
		replace = c.replaceLongest
	}
	return func(s string) string {
		s = replace(s)
		if m.squeeze {
			s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
		}
		if m.prefix && s != "" {
			s = " " + s
		}
		s = strings.ReplaceAll(s, " ", visibleSpace)
		for m.squeeze && strings.HasSuffix(s, visibleSpace) { // one that was written so goes too
			s = strings.TrimSuffix(s, visibleSpace)
		}
		return s
	}, nil
}

// readSPM reads a ModelProto.
func readSPM(data []byte) (*spm, error) {
	m := &spm{kind: 1, unknown: 0, begin: 1, end: 2, pad: -1, prefix: true, squeeze: true}
	err := fieldsOf(data, func(n protowire.Number, v uint64, body []byte) error {
		switch n {
		case 1:
			return m.readPiece(body)
		case 2:
			return m.readTrainer(body)
		case 3:
			return m.readNormalizer(body)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("this is no SentencePiece model: %v: %w", err, clipsearch.ErrInvalid)
	}
	for _, id := range []*int32{&m.unknown, &m.begin, &m.end, &m.pad} {
		if int(*id) >= len(m.pieces) {
			*id = -1
		}
	}
	if m.unknown < 0 {
		return nil, fmt.Errorf("this is no SentencePiece model: it has %d pieces and no unknown one: %w", len(m.pieces), clipsearch.ErrInvalid)
	}
	return m, nil
}

func (m *spm) readPiece(data []byte) error {
	p := spmPiece{kind: pieceNormal}
	err := fieldsOf(data, func(n protowire.Number, v uint64, body []byte) error {
		switch n {
		case 1:
			p.text = string(body)
		case 2:
			p.score = float64(math.Float32frombits(uint32(v)))
		case 3:
			p.kind = v
		}
		return nil
	})
	switch {
	case err != nil:
	case len(m.pieces) == maxTokens:
		err = fmt.Errorf("more than %d pieces", maxTokens)
	case len(p.text) > maxToken || p.kind == pieceUser && len(p.text) > maxAddedToken || !utf8.ValidString(p.text) || math.IsNaN(p.score):
		err = fmt.Errorf("piece %d is none", len(m.pieces))
	}
	m.pieces = append(m.pieces, p)
	return err
}

func (m *spm) readTrainer(data []byte) error {
	return fieldsOf(data, func(n protowire.Number, v uint64, _ []byte) error {
		switch n {
		case 3:
			m.kind = v
		case 40:
			m.unknown = int32(v)
		case 41:
			m.begin = int32(v)
		case 42:
			m.end = int32(v)
		case 43:
			m.pad = int32(v)
		}
		return nil
	})
}

func (m *spm) readNormalizer(data []byte) error {
	return fieldsOf(data, func(n protowire.Number, v uint64, body []byte) error {
		switch n {
		case 2:
			m.charsmap = body
		case 3:
			m.prefix = v != 0
		case 4:
			m.squeeze = v != 0
		}
		return nil
	})
}

// fieldsOf calls f for the fields of a message: with its number, or with its body.
func fieldsOf(data []byte, f func(n protowire.Number, v uint64, body []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var v uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(data)
		case protowire.Fixed32Type:
			var four uint32
			four, n = protowire.ConsumeFixed32(data)
			v = uint64(four)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(number, v, body); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
