package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/index/upsidedown/store/boltdb"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"github.com/clipsearch/clipsearch"
)

// wordIndex is the open text index: Bleve with our fields. It keeps what finding
// needs and nothing else: the store has the texts.
type wordIndex struct {
	dir   string
	index bleve.Index
}

// document is what can be found of one picture. Each field is a list of texts.
type document struct {
	Caption []string `json:"caption"`
	Name    []string `json:"name"`
	Folder  []string `json:"folder"`
	Tag     []string `json:"tag"`
}

// boosts say how much a word found in a field counts.
var boosts = map[string]float64{"caption": 1, "tag": 1.5, "name": 1.2, "folder": 0.6}

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
		return &wordIndex{dir: dir, index: index}, nil
	case strings.Contains(err.Error(), "timeout"):
		return nil, fmt.Errorf("text index %s is in use by another process: end it and try again", dir)
	case errors.Is(err, fs.ErrPermission), isFull(err):
		return nil, fmt.Errorf("open text index: %w", err)
	}
	return nil, fmt.Errorf("%w: %s", errTextGone, oneLine(err))
}

// createWords makes an empty text index in dir, in the place of whatever is there.
func createWords(dir string) (w *wordIndex, err error) {
	defer recoverText(&err)
	if err := errors.Join(removeSeal(dir+".seal"), os.RemoveAll(dir)); err != nil {
		return nil, fmt.Errorf("make text index: %w", err)
	}
	index, err := bleve.NewUsing(dir, newMapping(), scorch.Name, boltdb.Name, runtimeConfig())
	if err != nil {
		return nil, fmt.Errorf("make text index: %w", err)
	}
	return &wordIndex{dir: dir, index: index}, nil
}

// recoverText makes errTextGone of a panic: Bleve panics on some damages.
func recoverText(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: it is damaged: %s", errTextGone, oneLine(r))
	}
}

func newMapping() mapping.IndexMapping {
	doc := bleve.NewDocumentStaticMapping()
	for field := range boosts {
		f := bleve.NewTextFieldMapping()
		f.Analyzer = en.AnalyzerName
		f.Store, f.IncludeTermVectors, f.IncludeInAll, f.DocValues = false, false, false, false
		doc.AddFieldMappingsAt(field, f)
	}
	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.DefaultAnalyzer = en.AnalyzerName
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	m.ScoringModel = bleveindex.BM25Scoring
	return m
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

// match returns up to k pictures that have some of the words, best first, and
// whether there may be more. The words are plain text: no sign in them means
// anything.
func (w *wordIndex) match(ctx context.Context, text string, k int) (hits []clipsearch.Hit, more bool, err error) {
	defer recoverText(&err)
	split := splitWords(text)
	text = plainWords(text)
	var fields []query.Query
	for field, boost := range boosts {
		q := bleve.NewMatchQuery(text)
		if field == "name" || field == "folder" {
			q = bleve.NewMatchQuery(split)
		}
		q.SetField(field)
		q.SetBoost(boost)
		fields = append(fields, q)
	}
	req := bleve.NewSearchRequestOptions(bleve.NewDisjunctionQuery(fields...), k, 0, false)
	req.SortBy([]string{"-_score", "_id"})
	res, err := w.index.SearchInContext(ctx, req)
	if err != nil {
		return nil, false, fmt.Errorf("match %q: %w", text, err)
	}
	for _, h := range res.Hits {
		if len(h.ID) == len(clipsearch.ID{}) {
			hits = append(hits, clipsearch.Hit{ID: clipsearch.ID([]byte(h.ID)), Score: float32(h.Score)})
		}
	}
	return hits, len(res.Hits) == k, nil
}

func (w *wordIndex) count() (n int, err error) {
	defer recoverText(&err)
	c, err := w.index.DocCount()
	return int(c), err
}

// each calls fn with the name of every document.
func (w *wordIndex) each(fn func(name string)) (err error) {
	defer recoverText(&err)
	advanced, err := w.index.Advanced()
	if err != nil {
		return err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	ids, err := reader.DocIDReaderAll()
	if err != nil {
		return err
	}
	defer ids.Close()
	for {
		internal, err := ids.Next()
		if err != nil || internal == nil {
			return err
		}
		name, err := reader.ExternalID(internal)
		if err != nil {
			return err
		}
		fn(name)
	}
}

// segments calls fn with the file of every segment that is in use, and keeps them
// from being removed meanwhile.
func (w *wordIndex) segments(fn func(path string)) (err error) {
	defer recoverText(&err)
	advanced, err := w.index.Advanced()
	if err != nil {
		return err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	snapshot, ok := reader.(*scorch.IndexSnapshot)
	if !ok {
		return fmt.Errorf("a reader of type %T", reader)
	}
	for _, s := range snapshot.Segments() {
		if file, ok := s.Segment().(interface{ Path() string }); ok {
			fn(file.Path())
		}
	}
	return nil
}

func (w *wordIndex) close() (err error) {
	defer recoverText(&err)
	if err := w.index.Close(); err != nil {
		return err
	}
	sealText(w.dir)
	return nil
}
