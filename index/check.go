package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// check is one run over everything that the index holds. It gathers what is wrong
// and, for each, what would put it right.
type check struct {
	x        *Index
	pictures map[clipsearch.ID]*picture
	spaces   map[clipsearch.Space]spaceEntry
	intent   intent
	stored   counts // as n says
	counted  counts
	problems []clipsearch.Problem
	repairs  []func(*repair)
	strange  []string // copies of models to be removed
	remodel  bool     // the copy of the model is to be made again
	retext   bool     // the text index is to be built again
	thumbs   []lostThumb

	broken map[clipsearch.Space]bool // whose codes are told to be wrong already
}

// picture is what a check knows of one picture.
type picture struct {
	rec   record
	lost  bool // its record cannot be read
	thumb bool
	paths int // of its files, how many have a path entry
	found []stored
}

func newCheck(x *Index) *check {
	return &check{x: x, pictures: map[clipsearch.ID]*picture{}, spaces: map[clipsearch.Space]spaceEntry{}, broken: map[clipsearch.Space]bool{}}
}

// Check reads everything and returns what is wrong. With repair it also puts right
// whatever is Repairable: what follows from the rest is made again, what belongs
// to nothing is removed, and a picture that has lost its record is taken out, so that
// the next ingest brings it back. Of one that has its record the captions and tags
// stay: its vectors are owed from then on, its thumbnail is made of its file.
func (x *Index) Check(ctx context.Context, repair bool) ([]clipsearch.Problem, error) {
	c := newCheck(x)
	c.checkFiles()
	if err := x.store.verify(); errors.Is(err, errClosed) {
		return nil, err
	} else if err != nil {
		// Whatever lies in it would seem to be missing, and what belongs to that an
		// orphan: nothing that follows would be true.
		return c.problems, c.checkRemains(ctx, err)
	}
	c.checkText(ctx)
	sound, err := c.checkTruth(ctx, repair)
	if err == nil && sound { // else what is wrong with the vectors is told, and their codes follow
		err = c.checkNear(ctx, repair)
	}
	if err == nil {
		err = c.checkThumbs(ctx, repair)
	}
	if err == nil && repair {
		err = c.repairRest(ctx)
	}
	if err != nil {
		return c.problems, fmt.Errorf("check: %w", err)
	}
	return c.problems, nil
}

// checkTruth checks the store, and repairs it if that is wished, while nobody writes.
// It reports whether nothing has been found so far, but in the copies of models.
func (c *check) checkTruth(ctx context.Context, repair bool) (sound bool, err error) {
	c.x.writing.Lock()
	defer c.x.writing.Unlock()
	if err := c.checkStore(ctx); err != nil {
		return false, err
	}
	sound = len(c.problems) == 0
	c.checkModels(ctx)
	if repair {
		err = c.repairStore()
	}
	return sound, err
}

// wrong notes a problem. fix may be nil: then nothing can be done about it here.
func (c *check) wrong(id, what string, fix func(*repair)) {
	c.problems = append(c.problems, clipsearch.Problem{What: what, ID: id, Repairable: fix != nil})
	if fix != nil {
		c.repairs = append(c.repairs, fix)
	}
}

// wrongRecord notes that a picture has lost its record, which nothing here can
// replace.
func (c *check) wrongRecord(id clipsearch.ID, what string) {
	c.wrong(id.String(), what+": repair takes the picture out, the next ingest brings it back", func(r *repair) { r.out[id] = true })
}

// wrongKey notes that key has no business here.
func (c *check) wrongKey(id string, what string, key []byte) {
	key = bytes.Clone(key)
	c.wrong(id, what, func(r *repair) { r.drop = append(r.drop, key) })
}

// checkStore reads every key, in order: records come before what belongs to them,
// but for the captions' vectors.
func (c *check) checkStore(ctx context.Context) error {
	kinds := []struct {
		prefix string
		check  func(key, value []byte, err error)
	}{
		{recordPrefix, c.checkRecord},
		{spacePrefix, c.checkSpace},
		{vectorPrefix, c.checkVector},
		{captionPrefix, c.checkVector},
		{thumbPrefix, c.checkThumb},
		{pathPrefix, c.checkPath},
		{dirtyPrefix, c.checkMarker},
	}
	err := c.x.view(ctx, func(t tx) error {
		for _, k := range kinds {
			err := t.scan([]byte(k.prefix), true, func(key, value []byte, err error) error {
				k.check(key, value, err)
				return ctx.Err()
			})
			if err == nil && k.prefix == spacePrefix {
				err = c.knowSpaces(t)
			}
			if err != nil {
				return err
			}
		}
		c.checkMeta(t)
		if err := c.checkParts(t); err != nil {
			return err
		}
		return c.checkUnknown(t)
	})
	if err != nil {
		return err
	}
	c.checkPictures()
	c.checkCounts()
	return nil
}

func (c *check) checkRecord(key, value []byte, err error) {
	id, ok := parseIDKey(key)
	if !ok {
		c.wrongKey(keyName(key), "a key that no record has", key)
		return
	}
	p := &picture{}
	if err == nil {
		p.rec, err = decodeRecord(value)
	}
	if err != nil {
		p.lost = true
		c.wrongRecord(id, "record is damaged: "+err.Error())
	}
	c.pictures[id] = p
}

func (c *check) checkSpace(key, value []byte, err error) {
	if len(key) != 2+len(clipsearch.Space{}) {
		c.wrongKey(keyName(key), "a key that no space has", key)
		return
	}
	var e spaceEntry
	if err == nil {
		err = decode(value, &e)
	}
	space := clipsearch.Space(key[2:])
	if err == nil {
		c.spaces[space] = e
		return
	}
	if space == c.x.meta().Space {
		c.wrong(keyName(key), "space is damaged: "+err.Error(), func(r *repair) { r.space = true })
		c.spaces[space] = spaceEntry{Model: c.x.meta().Model, Dim: c.x.meta().Dim}
		return
	}
	c.checkLostSpace(space, err)
}

// checkVector checks a vector of a picture or of a caption.
func (c *check) checkVector(key, value []byte, err error) {
	space, id, n, ok := parseVectorKey(key)
	kind := "vector"
	if strings.HasPrefix(string(key), captionPrefix) {
		kind = "caption vector"
	}
	if !ok {
		c.wrongKey(keyName(key), "a key that no vector has", key)
		return
	}
	entry, known := c.spaces[space]
	p := c.pictures[id]
	switch {
	case !known:
		c.wrongKey(id.String(), fmt.Sprintf("%s %d of a foreign space, %.12s", kind, n, space), key)
		return
	case p == nil:
		c.wrongKey(id.String(), fmt.Sprintf("%s %d of a picture that is not here", kind, n), key)
		return
	case p.lost:
		return // named already
	}
	have := p.rec.of(space)
	if kind == "vector" && n >= have.Vectors || kind != "vector" && n >= have.Captions {
		c.wrongKey(id.String(), fmt.Sprintf("%s %d, of which the record does not know", kind, n), key)
		return
	}
	p.count(space, kind)
	if err == nil {
		v := make([]float32, entry.Dim)
		if err = decodeVector(v, value); err == nil {
			err = unitLength(v)
		}
	}
	switch {
	case err == nil:
	case space != c.x.meta().Space:
		c.wrongIn(id, space, fmt.Sprintf("%s %d of space %.12s is damaged: %v", kind, n, space, err))
	case kind == "vector":
		c.wrongVector(id, fmt.Sprintf("vector %d is damaged: %v", n, err))
	default:
		c.wrongCaptions(id, fmt.Sprintf("caption vector %d is damaged: %v", n, err))
	}
}

// count counts a vector that was found.
func (p *picture) count(space clipsearch.Space, kind string) {
	i := slices.IndexFunc(p.found, func(s stored) bool { return string(s.Space) == string(space[:]) })
	if i < 0 {
		i = len(p.found)
		p.found = append(p.found, stored{Space: space[:]})
	}
	if kind == "vector" {
		p.found[i].Vectors++
	} else {
		p.found[i].Captions++
	}
}

func (c *check) checkThumb(key, _ []byte, err error) {
	id, ok := parseIDKey(key)
	p := c.pictures[id]
	switch {
	case !ok:
		c.wrongKey(keyName(key), "a key that no thumbnail has", key)
	case p == nil:
		c.wrongKey(id.String(), "thumbnail of a picture that is not here", key)
	default:
		p.thumb = true
		if err != nil && !p.lost {
			c.lostThumb(id, "thumbnail is damaged: "+err.Error())
		}
	}
}

func (c *check) checkPath(key, value []byte, err error) {
	var id clipsearch.ID
	var f file
	if err == nil {
		id, f, err = decodePath(value)
	}
	if err != nil {
		// The picture misses it too, and makes it again.
		c.wrongKey(keyName(key), "path entry is damaged: "+err.Error(), key)
		return
	}
	path := string(f.Path)
	if !bytes.Equal(key, pathKey(path)) {
		c.wrongKey(id.String(), fmt.Sprintf("path entry at the wrong key: %q", path), key)
		return
	}
	p := c.pictures[id]
	if p == nil {
		c.wrongKey(id.String(), fmt.Sprintf("path %q leads to a picture that is not here", path), key)
		return
	}
	if p.lost {
		return
	}
	i := slices.IndexFunc(p.rec.Files, func(g file) bool { return string(g.Path) == path })
	if i < 0 {
		c.wrongKey(id.String(), fmt.Sprintf("path %q leads to a picture that was not seen there", path), key)
		return
	}
	p.paths++
	if g := p.rec.Files[i]; g.Size != f.Size || g.Sec != f.Sec || g.Nano != f.Nano {
		c.wrong(id.String(), fmt.Sprintf("path %q has another size or time than the record", path), func(r *repair) { r.paths[id] = true })
	}
}

func (c *check) checkMarker(key, _ []byte, err error) {
	id, ok := parseIDKey(key)
	if !ok || err != nil {
		c.wrongKey(keyName(key), "a damaged note for the text index", key)
		return
	}
	_ = id // the text index will come to it
}

// checkMeta checks what the store says of itself.
func (c *check) checkMeta(t tx) {
	var m Meta
	b, err := t.get([]byte(metaKey))
	if err == nil {
		err = decode(b, &m)
	}
	if err != nil {
		c.wrong("store", "what the index is, is damaged: "+err.Error(), func(r *repair) { r.space = true })
	} else if m.Check = c.x.meta().Check; m != c.x.meta() {
		c.wrong("store", "what the index is, the store and the open index say otherwise", func(r *repair) { r.space = true })
	}
	if c.stored, err = t.counts(); err != nil {
		c.wrong("store", "counts are damaged: "+err.Error(), func(r *repair) { r.counts = true })
		c.stored = counts{Images: -1}
	}
}

// checkUnknown looks for keys of no kind.
func (c *check) checkUnknown(t tx) error {
	known := []string{recordPrefix, vectorPrefix, captionPrefix, thumbPrefix, pathPrefix, dirtyPrefix, spacePrefix, codesPrefix, graphPrefix, journalPrefix, manifestPrefix}
	single := []string{countsKey, metaKey, rebuildKey, intentKey}
	return t.scan(nil, false, func(key, _ []byte, _ error) error {
		k := string(key)
		if slices.Contains(single, k) || len(k) > 2 && slices.Contains(known, k[:2]) {
			return nil
		}
		c.wrongKey(keyName(key), "a key of no kind", key)
		return nil
	})
}
