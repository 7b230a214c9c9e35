package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// records are m's pictures as an export has them, in the order of their IDs.
func (m *storeModel) records() (list []clipsearch.Record) {
	for n := range modelPictures {
		p := m.pictures[testID(n)]
		if p == nil {
			continue
		}
		r := clipsearch.Record{Image: p.Image, Thumb: []byte{byte(n), 1}}
		for s, v := range p.in {
			if len(v.vectors)+len(v.captions) > 0 {
				r.Vectors = append(r.Vectors, clipsearch.SpaceVectors{Space: s, Vectors: v.vectors, Captions: v.captions, Thumb: v.thumb})
			}
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b clipsearch.Record) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return list
}

func (m *storeModel) export(ctx context.Context) error {
	m.saved, m.savedSpaces = nil, nil
	var after clipsearch.ID
	for {
		page, err := m.x.Export(ctx, after, 1+m.r.IntN(5))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		m.saved, after = append(m.saved, page...), page[len(page)-1].ID
	}
	for _, s := range m.spaces {
		m.savedSpaces = append(m.savedSpaces, s)
	}
	byEach := func(list []clipsearch.Record) []clipsearch.Record {
		for i := range list {
			slices.SortFunc(list[i].Vectors, func(a, b clipsearch.SpaceVectors) int { return slices.Compare(a.Space[:], b.Space[:]) })
		}
		return list
	}
	if diff := gocmp.Diff(byEach(m.records()), byEach(m.saved)); diff != "" {
		return fmt.Errorf("export (-want +got):\n%s", diff)
	}
	return nil
}

func (m *storeModel) imports(ctx context.Context) error {
	var batch []clipsearch.Record
	for range min(len(m.saved), 5) {
		batch = append(batch, m.saved[m.r.IntN(len(m.saved))])
	}
	for _, s := range m.savedSpaces {
		m.spaces[s.Space] = s
	}
	before := m.lacking()
	var want clipsearch.Imported
	for _, r := range batch {
		m.importOne(r, &want)
	}
	m.owe(func(p *modelPicture) bool { return p.lacks(m.answering) }, before)
	got, err := m.x.Import(ctx, m.savedSpaces, batch)
	if err == nil && got != want {
		err = fmt.Errorf("Import = %+v, want %+v", got, want)
	}
	return err
}

func (m *storeModel) importOne(r clipsearch.Record, sum *clipsearch.Imported) {
	var files []clipsearch.File
	for _, f := range r.Files {
		taken := false
		for _, p := range m.pictures {
			taken = taken || p.HasPath(f.Path)
		}
		if !taken {
			files = append(files, f)
		}
	}
	p := m.pictures[r.ID]
	switch {
	case p == nil && len(files) == 0:
		sum.Skipped++
		return
	case p == nil:
		sum.Stored++
		p = &modelPicture{Image: r.Image, in: map[clipsearch.Space]modelVectors{}}
		p.Files = nil
		m.pictures[r.ID] = p
	default:
		sum.Known++
	}
	p.Files = append(p.Files, files...)
	if len(p.Captions) == 0 {
		p.Captions = r.Captions
	}
	if len(p.Tags) == 0 {
		p.Tags = r.Tags
	}
	for _, s := range r.Vectors {
		v := p.in[s.Space]
		if len(s.Vectors) > 0 && (len(v.vectors) == 0 || v.thumb && !s.Thumb) {
			v.vectors, v.thumb = s.Vectors, s.Thumb
		}
		if len(v.captions) == 0 && slices.Equal(p.Captions, r.Captions) {
			v.captions = s.Captions
		}
		p.in[s.Space] = v
	}
}

// compare returns how the index differs from m.
func (m *storeModel) compare() error {
	ctx := clipsearch.InSpace(context.Background(), m.answering)
	for n := range modelPictures {
		got, err := m.x.Image(ctx, testID(n))
		p := m.pictures[testID(n)]
		if p == nil {
			if !errors.Is(err, clipsearch.ErrNotFound) {
				return fmt.Errorf("picture %d: %v, want none", n, err)
			}
			continue
		}
		if diff := gocmp.Diff(p.Image, got); err != nil || diff != "" {
			return fmt.Errorf("picture %d: %v (-want +got):\n%s", n, err, diff)
		}
	}
	f := m.filter()
	return errors.Join(m.compareSpaces(ctx), m.compareNearest(ctx, f), m.compareMatch(ctx, f), m.compareLacking(ctx), m.compareCaptions(ctx))
}

// filter is nil at times, so that columns are not always in memory.
func (m *storeModel) filter() clipsearch.Filter {
	var f clipsearch.Filter
	for range m.r.IntN(3) {
		p := clipsearch.Predicate{Field: pick(m.r, "caption", "tag", "path", "name", "width", "taken"), Op: "has", Not: m.r.IntN(3) == 0}
		switch p.Text = pick(m.r, "quagga", "kud", "lion", "tag1", "album 2", "IMG_0003", "", "1"); p.Field {
		case "width":
			p.Op, p.Number = pick(m.r, "<", ">="), float64(640+m.r.IntN(modelPictures))
		case "taken":
			p.Op, p.Time = "<", time.Unix(1, 0)
		}
		f = append(f, p)
	}
	return f
}

func (m *storeModel) compareSpaces(ctx context.Context) error {
	s, err := m.x.Spaces(ctx)
	if err != nil {
		return err
	}
	got := []any{s.Answering.Digest, s.Previous.Digest, s.Next.Digest, s.Images, s.Owed}
	want := []any{m.answering, m.previous, m.next, len(m.pictures), m.owed}
	if !slices.Equal(got, want) {
		return fmt.Errorf("Spaces = %v, want %v", got, want)
	}
	st, err := m.x.Stats(ctx)
	if err != nil || len(st.Spaces) != len(m.spaces) || st.TextDocuments != len(m.pictures) {
		return fmt.Errorf("Stats = %+v, %v, want %d spaces and %d documents", st, err, len(m.spaces), len(m.pictures))
	}
	for _, s := range st.Spaces {
		images, thumbs := 0, 0
		for _, p := range m.pictures {
			if v := p.in[s.Digest]; len(v.vectors) > 0 {
				images++
				if v.thumb {
					thumbs++
				}
			}
		}
		if s.Images != images || s.Thumbs != thumbs {
			return fmt.Errorf("space %.4s has %d pictures, %d from thumbnails, want %d, %d", s.Digest, s.Images, s.Thumbs, images, thumbs)
		}
	}
	return nil
}

func (m *storeModel) compareNearest(ctx context.Context, f clipsearch.Filter) error {
	v, k := unit(m.spaces[m.answering].Dim, m.r.Uint64()), 1+m.r.IntN(modelPictures)
	var want []clipsearch.Hit
	for id, p := range m.pictures {
		h := clipsearch.Hit{ID: id, Score: -2}
		for _, w := range p.in[m.answering].vectors {
			h.Score = max(h.Score, v.Dot(w))
		}
		if h.Score > -2 && f.Admits(p.Image) {
			want = append(want, h)
		}
	}
	slices.SortFunc(want, func(a, b clipsearch.Hit) int { return cmp.Compare(b.Score, a.Score) })
	want = want[:min(k, len(want))]
	got, err := m.x.Nearest(ctx, v, k, f)
	same := slices.EqualFunc(got, want, func(a, b clipsearch.Hit) bool {
		return a.ID == b.ID && math.Abs(float64(a.Score-b.Score)) < 1e-5
	})
	if err != nil || !same {
		return fmt.Errorf("Nearest(%d, %+v) = %v, %v, want %v", k, f, got, err, want)
	}
	for s, other := range m.spaces {
		if s == m.answering {
			continue
		}
		if _, err := m.x.Nearest(clipsearch.InSpace(ctx, s), unit(other.Dim, 1), 1, f); !errors.Is(err, clipsearch.ErrSpace) {
			return fmt.Errorf("Nearest in space %.4s, which does not answer: %v, want ErrSpace", s, err)
		}
	}
	return nil
}

func (m *storeModel) compareMatch(ctx context.Context, f clipsearch.Filter) error {
	word := pick(m.r, modelWords...)
	want := map[clipsearch.ID]bool{}
	for id, p := range m.pictures {
		if slices.Contains(p.Captions, word) && f.Admits(p.Image) {
			want[id] = true
		}
	}
	hits, err := m.x.Match(ctx, word, 100, f)
	got := map[clipsearch.ID]bool{}
	for _, h := range hits {
		got[h.ID] = true
	}
	if diff := gocmp.Diff(want, got); err != nil || diff != "" || len(got) < len(hits) {
		return fmt.Errorf("Match(%s, %+v): %d hits, %v (-want +got):\n%s", word, f, len(hits), err, diff)
	}
	return nil
}

func (m *storeModel) compareLacking(ctx context.Context) error {
	space, improve := m.known(), m.r.IntN(2) == 0
	var want []clipsearch.Lack
	for _, r := range m.records() {
		p := m.pictures[r.ID]
		v := p.in[space]
		l := clipsearch.Lack{Image: p.Image, Vectors: len(v.vectors) == 0, Thumb: improve && v.thumb, Captions: len(v.captions) == 0 && len(p.Captions) > 0}
		if l.Vectors || l.Thumb || l.Captions {
			want = append(want, l)
		}
	}
	got, err := m.x.Lacking(ctx, space, clipsearch.ID{}, 100, improve)
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		return fmt.Errorf("Lacking(%.4s, %v): %v (-want +got):\n%s", space, improve, err, diff)
	}
	return nil
}

func (m *storeModel) compareCaptions(ctx context.Context) error {
	if m.r.IntN(2) == 0 { // so that they are not always in memory
		return nil
	}
	want := map[string]bool{}
	for _, p := range m.pictures {
		if len(p.in[m.answering].captions) > 0 {
			for _, t := range p.Captions {
				want[t] = true
			}
		}
	}
	hits, err := m.x.NearestCaptions(ctx, unit(m.spaces[m.answering].Dim, 1), 100)
	got := map[string]bool{}
	for _, h := range hits {
		got[h.Text] = true
	}
	if diff := gocmp.Diff(want, got); err != nil || diff != "" || len(got) < len(hits) {
		return fmt.Errorf("NearestCaptions: %d texts, %v (-want +got):\n%s", len(hits), err, diff)
	}
	return nil
}
