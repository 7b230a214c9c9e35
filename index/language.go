package index

import (
	"context"
	"fmt"
	"slices"
	"strings"

	_ "github.com/blevesearch/bleve/v2/analysis/lang/ar"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/ckb"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/da"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/de"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/en"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/es"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/fa"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/fi"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/fr"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/hi"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/hr"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/hu"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/it"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/nl"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/no"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/pt"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/ro"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/ru"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/sv"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/tr"

	"github.com/clipsearch/clipsearch"
)

// DefaultLanguage is the language of an index that was made without naming one.
const DefaultLanguage = "en"

// languages are those in which words are reduced to their stems, so that "dogs"
// finds "dog". In plainLanguage they are taken as they are, in any language. There
// is none that is guessed: a caption is too short for that, and a query shorter.
var languages = []string{
	"ar", "cjk", "ckb", "da", "de", "en", "es", "fa", "fi", "fr", "hi", "hr", "hu", "it", "nl", "no", "pt", "ro", "ru", plainLanguage, "sv", "tr",
}

const plainLanguage = "standard"

// Languages returns the languages that an index can be in, in alphabetical order.
func Languages() []string { return slices.Clone(languages) }

// CheckLanguage returns an error wrapping [clipsearch.ErrInvalid] unless an index
// can be in the language.
func CheckLanguage(name string) error {
	if slices.Contains(languages, name) {
		return nil
	}
	return fmt.Errorf("language %q is none of %s: %w", name, strings.Join(languages, ", "), clipsearch.ErrInvalid)
}

// SetLanguage changes the language of the captions, tags and names. A new text index
// is built beside the one that answers meanwhile; SetLanguage returns when it has
// taken its place. If that is cut short, by ctx or by a crash, whoever opens the
// index next goes on with it.
func (x *Index) SetLanguage(ctx context.Context, name string) error {
	if err := CheckLanguage(name); err != nil {
		return err
	}
	if err := x.text.translate(func() error { return x.noteLanguage(name) }); err != nil {
		return fmt.Errorf("change the language of index %s: %w", x.dir, withSpace(err, x.dir))
	}
	if err := x.text.build(ctx); err != nil {
		return fmt.Errorf("build the text index in language %s, which goes on when the index is opened again: %w", name, err)
	}
	return nil
}

// noteLanguage writes name into the store, which decides, and into the files.
func (x *Index) noteLanguage(name string) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	m := x.meta()
	if m.WordLanguage() == name {
		return nil
	}
	if err := checkSpace(x.dir, margin); err != nil {
		return err
	}
	if err := x.upgrade(); err != nil {
		return err
	}
	m = x.meta()
	m.Language = name
	return x.setMetaAnd(m, nil, func(*writer) {})
}

// WordLanguage is m.Language, or what it stands for where it is empty.
func (m Meta) WordLanguage() string {
	if m.Language == "" {
		return DefaultLanguage
	}
	return m.Language
}
