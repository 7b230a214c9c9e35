package index

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/blevesearch/bleve/v2/index/scorch"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"github.com/clipsearch/clipsearch"
)

// What Check asks of Bleve.

// segments calls fn with the file of every segment that is in use, and keeps them
// from being removed meanwhile.
func (w *wordIndex) segments(fn func(path string)) error {
	return w.reading(func(r bleveindex.IndexReader) error {
		snapshot, ok := r.(*scorch.IndexSnapshot)
		if !ok {
			return fmt.Errorf("a reader of type %T", r)
		}
		for _, s := range snapshot.Segments() {
			if file, ok := s.Segment().(interface{ Path() string }); ok {
				fn(file.Path())
			}
		}
		return nil
	})
}

// reading calls fn with Bleve as it is now.
func (w *wordIndex) reading(fn func(bleveindex.IndexReader) error) (err error) {
	defer recoverText(&err)
	advanced, err := w.index.Advanced()
	if err != nil {
		return err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return err
	}
	return errors.Join(fn(reader), reader.Close())
}

// names returns the names of all documents that may be a picture's.
func (w *wordIndex) names() (names []string, err error) {
	err = w.reading(func(r bleveindex.IndexReader) error {
		all, err := numbered(r)
		for _, name := range all {
			if len(name) == len(clipsearch.ID{}) {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}

// digests returns of each document a digest of its words. seed decides it.
func (w *wordIndex) digests(seed maphash.Seed) (sums map[string]uint64, err error) {
	sums = map[string]uint64{}
	err = w.reading(func(r bleveindex.IndexReader) error {
		names, err := numbered(r)
		if err != nil {
			return err
		}
		for _, name := range names {
			sums[name] = 0
		}
		for _, f := range textFields {
			err := eachTerm(r, f.name, func(term string, doc uint64) {
				sums[names[doc]] ^= termDigest(seed, f.name, term)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return sums, err
}

// digest is what digests should return of d.
func (w *wordIndex) digest(seed maphash.Seed, d document) (sum uint64) {
	m := w.index.Mapping()
	analyzer := m.AnalyzerNamed(m.AnalyzerNameForPath(textFields[0].name))
	for _, f := range textFields {
		terms := map[string]bool{}
		for _, text := range d.field(f.name) {
			for _, token := range analyzer.Analyze([]byte(text)) {
				terms[string(token.Term)] = true
			}
		}
		for term := range terms {
			sum ^= termDigest(seed, f.name, term)
		}
	}
	return sum
}

func termDigest(seed maphash.Seed, field, term string) uint64 {
	return maphash.Comparable(seed, [2]string{field, term})
}

// field returns the texts of one of textFields.
func (d document) field(name string) []string {
	switch name {
	case "caption":
		return d.Caption
	case "tag":
		return d.Tag
	case "name":
		return d.Name
	}
	return d.Folder
}

// numbered returns the names of the documents by the numbers that r gives them.
func numbered(r bleveindex.IndexReader) (map[uint64]string, error) {
	names := map[uint64]string{}
	ids, err := r.DocIDReaderAll()
	if err != nil {
		return nil, err
	}
	defer ids.Close()
	for {
		id, err := ids.Next()
		if err != nil || id == nil {
			return names, err
		}
		if names[id.Value()], err = r.ExternalID(id); err != nil {
			return nil, err
		}
	}
}

// eachTerm calls fn with each word of a field and each document that has it.
func eachTerm(r bleveindex.IndexReader, field string, fn func(term string, doc uint64)) error {
	words, err := r.FieldDict(field)
	if err != nil {
		return err
	}
	defer words.Close()
	for {
		word, err := words.Next()
		if err != nil || word == nil {
			return err
		}
		docs, err := r.TermFieldReader(context.Background(), []byte(word.Term), field, false, false, false)
		if err != nil {
			return err
		}
		d, err := docs.Next(nil)
		for ; err == nil && d != nil; d, err = docs.Next(d) {
			fn(word.Term, d.ID.Value())
		}
		if err := errors.Join(err, docs.Close()); err != nil {
			return err
		}
	}
}
