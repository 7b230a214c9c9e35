package index

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/index/upsidedown/store/boltdb"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// wordIndex is the open text index: Bleve with our fields. It keeps what finding
// needs and nothing else: the store has the texts.
type wordIndex struct {
	dir      string
	language string // one of languages
	index    bleve.Index
}

// document is what can be found of one picture. Each field is a list of texts.
type document struct {
	Caption []string `json:"caption"`
	Name    []string `json:"name"`
	Folder  []string `json:"folder"`
	Tag     []string `json:"tag"`
}

// textFields say how much a word found in a field counts, how many words are usual
// there, and whether it holds names, which are split where words begin.
var textFields = []struct {
	name  string
	boost float64
	usual int
	split bool
}{
	{"caption", 1, 12, false},
	{"tag", 1.5, 4, false},
	{"name", 1.2, 3, true},
	{"folder", 0.6, 5, true},
}

// errTextGone says that there is no text index, or none that can be used.
var errTextGone = errors.New("there is no text index")

// runtimeConfig keeps Bleve from waiting for ever for another process.
func runtimeConfig() map[string]any {
	return map[string]any{"bolt_timeout": "2s"}
}

// openWords opens the text index in dir. The error wraps errTextGone if it must be
// built anew.
func openWords(dir string) (w *wordIndex, err error) {
	defer recoverText(&err)
	if err := unsealText(dir); err != nil {
		return nil, err
	}
	index, err := bleve.OpenUsing(dir, runtimeConfig())
	switch {
	case err == nil:
		return &wordIndex{dir: dir, language: languageOf(index), index: index}, nil
	case strings.Contains(err.Error(), "timeout"):
		return nil, fmt.Errorf("text index %s is in use by another process: end it and try again", dir)
	case errors.Is(err, fs.ErrPermission), disk.IsFull(err):
		return nil, fmt.Errorf("open text index: %w", err)
	}
	return nil, fmt.Errorf("%w: %s", errTextGone, oneLine(err))
}

// createWords makes an empty text index in dir, in the place of whatever is there.
func createWords(dir, language string) (w *wordIndex, err error) {
	defer recoverText(&err)
	if err := errors.Join(removeSeal(dir+".seal"), os.RemoveAll(dir)); err != nil {
		return nil, fmt.Errorf("make text index: %w", err)
	}
	index, err := bleve.NewUsing(dir, newMapping(language), scorch.Name, boltdb.Name, runtimeConfig())
	if err != nil {
		return nil, fmt.Errorf("make text index: %w", err)
	}
	return &wordIndex{dir: dir, language: language, index: index}, nil
}

// recoverText makes errTextGone of a panic: Bleve panics on some damages.
func recoverText(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: it is damaged: %s", errTextGone, oneLine(r))
	}
}

func newMapping(language string) mapping.IndexMapping {
	m := bleve.NewIndexMapping()
	m.DefaultAnalyzer = language
	if language == plainLanguage { // Bleve has one of this name, which leaves out English words
		m.DefaultAnalyzer = plainAnalyzer
		err := m.AddCustomAnalyzer(plainAnalyzer, map[string]any{
			"type": custom.Name, "tokenizer": unicode.Name, "token_filters": []string{lowercase.Name},
		})
		if err != nil {
			panic("index: no analyser of words: " + err.Error())
		}
	}
	doc := bleve.NewDocumentStaticMapping()
	for _, field := range textFields {
		f := bleve.NewTextFieldMapping()
		f.Analyzer = m.DefaultAnalyzer
		f.Store, f.IncludeTermVectors, f.IncludeInAll, f.DocValues = false, false, false, false
		doc.AddFieldMappingsAt(field.name, f)
	}
	m.DefaultMapping = doc
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	m.ScoringModel = bleveindex.BM25Scoring
	return m
}

// plainAnalyzer cuts a text into words and writes them in lower case.
const plainAnalyzer = "words"

// languageOf reads the language from the mapping, which Bleve keeps.
func languageOf(index bleve.Index) string {
	m, ok := index.Mapping().(*mapping.IndexMappingImpl)
	if !ok || m.DefaultAnalyzer == plainAnalyzer {
		return plainLanguage
	}
	return m.DefaultAnalyzer
}

// write puts documents in and takes pictures out, all or nothing, through to the
// disk.
func (w *wordIndex) write(put map[clipsearch.ID]document, gone []clipsearch.ID) (err error) {
	defer recoverText(&err)
	batch := w.index.NewBatch()
	for id, doc := range put {
		if err := batch.Index(string(id[:]), doc); err != nil {
			return fmt.Errorf("index words of picture %s: %w", id, err)
		}
	}
	for _, id := range gone {
		batch.Delete(string(id[:]))
	}
	if err := w.index.Batch(batch); err != nil {
		return fmt.Errorf("write text index: %w", err)
	}
	return nil
}

// match returns the k best of the pictures that have some of the words and that
// admits admits; nil admits all. The words are plain text: no sign in them means
// anything.
func (w *wordIndex) match(ctx context.Context, text string, k int, admits func(clipsearch.ID) (bool, error)) (hits []clipsearch.Hit, err error) {
	defer recoverText(&err)
	all, err := w.count()
	if err != nil || all == 0 {
		return nil, err
	}
	best := &bestHits{k: k, admits: admits}
	ctx = context.WithValue(ctx, search.MakeDocumentMatchHandlerKey, search.MakeDocumentMatchHandler(best.handler))
	req := bleve.NewSearchRequestOptions(wordsQuery(text), 0, 0, false) // best keeps the hits
	req.PreSearchData = map[string]any{search.BM25PreSearchDataKey: usualLengths(all)}
	if _, err := w.index.SearchInContext(ctx, req); err != nil {
		return nil, fmt.Errorf("match %q: %w", plainWords(text), err)
	}
	return best.sorted(), nil
}

// wordsQuery asks for some of the words of a text, in every field. The fields are
// in order: scores are sums, and depend on theirs.
func wordsQuery(text string) query.Query {
	split, plain := splitWords(text), plainWords(text)
	var all []query.Query
	for _, f := range textFields {
		q := bleve.NewMatchQuery(plain)
		if f.split {
			q = bleve.NewMatchQuery(split)
		}
		q.SetField(f.name)
		q.SetBoost(f.boost)
		all = append(all, q)
	}
	return bleve.NewDisjunctionQuery(all...)
}

// usualLengths is what BM25 is to know of n documents. What Bleve takes for the
// length of a field that is usual depends on how many segments there are, so that
// scores would change whenever it merges some.
func usualLengths(n int) *search.BM25Stats {
	s := &search.BM25Stats{DocCount: float64(n), FieldCardinality: map[string]int{}}
	for _, f := range textFields {
		s.FieldCardinality[f.name] = n * f.usual
	}
	return s
}

// bestHits keeps the k best hits that are admitted: of equal scores, those with the
// lower IDs. It asks Bleve for the IDs of those alone that may be among them.
type bestHits struct {
	k      int
	admits func(clipsearch.ID) (bool, error) // may be nil
	list   []clipsearch.Hit                  // a heap, the worst at its root
}

func (b *bestHits) Len() int           { return len(b.list) }
func (b *bestHits) Less(i, j int) bool { return compareHits(b.list[i], b.list[j]) > 0 }
func (b *bestHits) Swap(i, j int)      { b.list[i], b.list[j] = b.list[j], b.list[i] }
func (b *bestHits) Push(h any)         { b.list = append(b.list, h.(clipsearch.Hit)) }
func (b *bestHits) Pop() any           { panic("index: the worst hit is replaced, not taken out") }

// compareHits orders hits, the best first.
func compareHits(a, b clipsearch.Hit) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), bytes.Compare(a.ID[:], b.ID[:]))
}

func (b *bestHits) sorted() []clipsearch.Hit {
	slices.SortFunc(b.list, compareHits)
	return b.list
}

// handler gives Bleve what it calls with each match, and at last with nil.
func (b *bestHits) handler(c *search.SearchContext) (search.DocumentMatchHandler, bool, error) {
	return func(m *search.DocumentMatch) error {
		if m == nil {
			return nil
		}
		defer c.DocumentMatchPool.Put(m)
		h := clipsearch.Hit{Score: float32(m.Score)}
		full := len(b.list) == b.k
		if full && h.Score < b.list[0].Score {
			return nil
		}
		name, err := c.IndexReader.ExternalID(m.IndexInternalID)
		if err != nil || len(name) != len(h.ID) {
			return err
		}
		h.ID = clipsearch.ID([]byte(name))
		if full && compareHits(h, b.list[0]) >= 0 {
			return nil
		}
		if b.admits != nil {
			if ok, err := b.admits(h.ID); !ok || err != nil {
				return err
			}
		}
		if full {
			b.list[0] = h
			heap.Fix(b, 0)
		} else {
			heap.Push(b, h)
		}
		return nil
	}, false, nil
}

func (w *wordIndex) count() (n int, err error) {
	defer recoverText(&err)
	c, err := w.index.DocCount()
	return int(c), err
}

func (w *wordIndex) close() (err error) {
	defer recoverText(&err)
	if err := w.index.Close(); err != nil {
		return err
	}
	sealText(w.dir)
	return nil
}
