package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/embed"
)

// checkWords opens the tokenizer and looks for the marks around a text.
func (d *doctor) checkWords() {
	if d.model.Text == "" {
		return
	}
	if d.model.Tokenizer.Dir == "" {
		d.lack("tokenizer", "there is none beside the text tower: it takes ids, and no words: add tokenizer.json")
		return
	}
	t, err := d.model.OpenTokenizer()
	if err != nil {
		d.fail("tokenizer", "%v", err)
		return
	}
	d.words = t
	ids := t.Encode("a dog")
	if len(ids) == 0 || len(t.Encode("a red house by the sea")) <= len(t.Encode("")) {
		d.fail("tokenizer", "it makes the ids %v of \"a dog\"", ids)
		return
	}
	d.pass("tokenizer", "%s; \"a dog\" is %v", t.Kind(), ids)
	d.checkEnd(ids)
}

// endMarks and beginMarks are what the families call the tokens around a text. Not
// every family that has a token called <s> begins with it.
var (
	endMarks   = []string{"<|endoftext|>", "<end_of_text>", "</s>", "<eos>", "[SEP]"}
	beginMarks = []string{"<|startoftext|>", "<start_of_text>", "[CLS]"}
)

// checkEnd sees to it that texts end with the end token, cut ones too: a tower that
// reads its answer there reads it from some word otherwise.
func (d *doctor) checkEnd(ids []int64) {
	const name = "end_token"
	marks, err := d.marks()
	if err != nil {
		d.fail("tokenizer", "%v", err)
		return
	}
	ends, begins := marks.of(endMarks), marks.of(beginMarks)
	long := d.words.Encode(longText)
	last := func(ids []int64) bool { // a mark of the language may follow
		return slices.ContainsFunc(ids[max(0, len(ids)-2):], func(id int64) bool { return slices.Contains(ends, id) })
	}
	switch {
	case len(ends) == 0:
		d.pass(name, "the tokenizer's files name none; texts end with %d", ids[len(ids)-1])
	case !last(ids):
		d.fail(name, "\"a dog\" is %v, without the end token (%v): the tokenizer's post_processor is missing or wrong", ids, ends)
	case !last(long):
		d.fail(name, "a text that is cut to %d ids ends with %d, not with the end token (%v)", len(long), long[len(long)-1], ends)
	case len(begins) > 0 && !slices.Contains(begins, ids[0]):
		d.fail(name, "\"a dog\" is %v, without the begin token (%v): the tokenizer's post_processor is missing or wrong", ids, begins)
	default:
		d.pass(name, "texts end with %d, cut ones too", ids[len(ids)-1])
	}
}

// longText is longer than any context.
var longText = strings.Repeat("a small white house stands by the sea, and behind it the hills are green. ", 400)

// tokenIDs are the ids of a tokenizer's added tokens.
type tokenIDs map[string]int64

func (t tokenIDs) of(names []string) (ids []int64) {
	for _, name := range names {
		if id, ok := t[name]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// marks reads the added tokens of tokenizer.json; other forms have none to look for.
func (d *doctor) marks() (tokenIDs, error) {
	data, err := fs.ReadFile(d.model.FS(), path.Join(d.model.Tokenizer.Dir, "tokenizer.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var file struct {
		Added []struct {
			ID      int64  `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	ids := tokenIDs{}
	for _, a := range file.Added {
		if a.Special {
			ids[a.Content] = a.ID
		}
	}
	return ids, nil
}

// lengths are those that families have, the longest first.
var lengths = []int{512, 256, 128, 80, 77, 72, 64, 52, 48, 40, 32, 24, 20, 16, 8}

// maxPlaces bounds the search for how long a text the graph takes.
const maxPlaces = 1024

// checkContext compares the length that texts are cut to with what the graph takes.
func (d *doctor) checkContext(ctx context.Context) {
	const name = "context"
	want := d.model.ContextLength
	if d.model.Text == "" || want == 0 {
		return
	}
	m := d.model
	m.ContextLength, m.Tokenizer.PadTo = maxPlaces, 0
	free := embed.Open(m, d.opts.Embed)
	defer free.Close()
	takes := func(length int) bool {
		ids := make([]int64, length)
		for i := range ids {
			ids[i] = int64(5 + i%60)
		}
		_, err := free.RawIDs(ctx, [][]int64{ids}, nil)
		return err == nil
	}
	// Texts of these families fill all the places there are; BERT's do not.
	exact := d.model.Tokenizer.PadTo > 0 && (d.words != nil && d.words.Kind() == "bpe" || d.siglip())
	switch {
	case !takes(want):
		// A tower that takes no length at all has been told of as such.
		if i := slices.IndexFunc(lengths, takes); i >= 0 {
			d.fail(name, "texts have up to %d ids by the model's files, and the text tower does not take so many; it takes %d", want, lengths[i])
		}
	case d.places > 0 && d.places != want && d.places != want+1: // CoCa has one more, for itself
		d.judgePlaces(name, want, d.places)
	case !takes(want + 1):
		d.pass(name, "the text tower takes %d ids and no more, and texts are cut to that", want)
	case !exact && d.shortensMost():
		d.fail(name, "texts are cut to %d ids, which is less than most captions of a few words have, and the text tower takes longer ones: the context length in the model's files is wrong", want)
	case !exact:
		d.pass(name, "texts are cut to %d ids; the text tower takes longer ones", want)
	default:
		d.judgePlaces(name, want, places(want+1, takes))
	}
}

// shortensMost reports whether most captions lose words to the context length.
func (d *doctor) shortensMost() bool {
	m := d.model
	m.ContextLength = maxPlaces
	free, err := m.OpenTokenizer()
	if err != nil || d.words == nil {
		return false
	}
	captions, cut := readAlbum().Captions["en"], 0
	for _, caption := range captions {
		if len(free.Encode(caption)) > d.model.ContextLength {
			cut++
		}
	}
	return 2*cut > len(captions)
}

// places finds how many ids are taken at most, of which low are.
func places(low int, takes func(int) bool) int {
	high := low
	for takes(high) {
		if low = high; high == maxPlaces {
			return high
		}
		high = min(2*high, maxPlaces)
	}
	for high-low > 1 {
		if mid := (low + high) / 2; takes(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

func (d *doctor) judgePlaces(name string, want, has int) {
	if has == maxPlaces {
		d.pass(name, "texts are cut to %d ids; the text tower takes any length", want)
		return
	}
	d.fail(name, "texts are cut and filled to %d ids, and the text tower has places for %d: the context length in the model's files is wrong", want, has)
}

// checkPadding compares a text filled up with the pad token and with the end token.
// A tower that looks at what follows the end must be filled as in training.
func (d *doctor) checkPadding(ctx context.Context) {
	const name = "padding"
	length := d.model.Tokenizer.PadTo
	if d.words == nil || d.texts == nil || length == 0 {
		return
	}
	captions := readAlbum().Captions[orEnglish(d.language)]
	fill := func(pad func(ids []int64) int64) ([][]float32, error) {
		rows := make([][]int64, len(captions))
		for i, caption := range captions {
			rows[i] = d.words.Encode(caption)
			for p := pad(rows[i]); len(rows[i]) < length; {
				rows[i] = append(rows[i], p)
			}
		}
		return d.enc.RawIDs(ctx, rows, nil)
	}
	pad, own := d.model.Tokenizer.Pad, d.words.PadID()
	ours, err := fill(func([]int64) int64 { return pad })
	if err != nil {
		d.fail(name, "%v", err)
		return
	}
	usual, _ := fill(func([]int64) int64 { return own })
	end, _ := fill(func(ids []int64) int64 { return ids[len(ids)-1] })
	moved := max(farthest(ours, usual), farthest(ours, end))
	switch {
	case moved < 1e-4:
		d.pass(name, "what fills a text up to %d ids does not matter to the text tower", length)
	case pad != own:
		d.fail(name, "texts are filled up with %d, and this tokenizer's towers with %d; this one sees the difference (its vectors move by %.2g)", pad, own, moved)
	default:
		d.pass(name, "texts are filled up to %d ids with %d; the text tower would see another one (its vectors would move by %.2g)", length, pad, moved)
	}
}

func orEnglish(language string) string {
	if language == "" {
		return "en"
	}
	return language
}

// farthest returns the largest difference of the numbers of two lists of vectors, each
// brought to unit length; 0 where there is nothing to compare.
func farthest(a, b [][]float32) (far float64) {
	if len(a) != len(b) {
		return 0
	}
	x, y := units(a), units(b)
	for i := range x {
		for j := range x[i] {
			far = max(far, float64(max(x[i][j]-y[i][j], y[i][j]-x[i][j])))
		}
	}
	return far
}
