package index

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/clipsearch/clipsearch"
)

func (m *storeModel) switchTo(ctx context.Context) error {
	s := pick(m.r, modelSpaces...)
	m.spaces[s.Space] = s
	if m.next = s.Space; s.Space == m.answering {
		m.next, m.owed = clipsearch.Space{}, true
	}
	return m.x.SwitchTo(ctx, clipsearch.SpaceStats{Model: s.Model, Digest: s.Space, Dim: s.Dim})
}

// reencode gives pictures that lack vectors some of them, mostly in the space that
// they are wanted in.
func (m *storeModel) reencode(ctx context.Context) error {
	space := m.answering
	if m.next != (clipsearch.Space{}) {
		space = m.next
	}
	if m.r.IntN(4) == 0 {
		space = m.known()
	}
	list, err := m.x.Lacking(ctx, space, clipsearch.ID{}, modelPictures, m.r.IntN(2) == 0)
	if err != nil {
		return err
	}
	var batch []clipsearch.Reencoded
	for _, l := range list {
		r := clipsearch.Reencoded{ID: l.Image.ID, Thumb: m.r.IntN(3) == 0, Captions: l.Image.Captions}
		if l.Vectors || l.Thumb {
			r.Vectors = m.vectors(space)
		}
		if l.Captions && m.r.IntN(8) > 0 {
			r.CaptionVectors = m.captionVectors(space, r.Captions)
		}
		if m.r.IntN(10) > 0 {
			batch = append(batch, r)
		}
	}
	for _, r := range batch {
		m.reencodeOne(space, r)
	}
	return m.x.Reencode(ctx, space, batch)
}

func (m *storeModel) reencodeOne(space clipsearch.Space, r clipsearch.Reencoded) {
	p := m.pictures[r.ID]
	v := p.in[space]
	if len(r.Vectors) > 0 && (len(v.vectors) == 0 || v.thumb && !r.Thumb) {
		v.vectors, v.thumb = r.Vectors, r.Thumb
	}
	if len(r.CaptionVectors) > 0 && len(v.captions) == 0 {
		v.captions = r.CaptionVectors
	}
	p.in[space] = v
}

func (m *storeModel) change(ctx context.Context) error {
	want, to := true, m.next
	if to == (clipsearch.Space{}) {
		to = m.answering
	}
	if m.next != (clipsearch.Space{}) || m.owed {
		for _, p := range m.pictures {
			want = want && !p.lacks(to)
		}
		if want {
			m.answer(to, false)
		}
	}
	got, err := m.x.Change(ctx)
	if err == nil && got != want {
		err = fmt.Errorf("Change = %v, want %v", got, want)
	}
	return err
}

func (m *storeModel) answer(s clipsearch.Space, owed bool) {
	if s != m.answering {
		m.answering, m.previous = s, m.answering
	}
	m.next, m.owed = clipsearch.Space{}, owed
}

func (m *storeModel) rollback(ctx context.Context) error {
	err := m.x.Rollback(ctx)
	switch {
	case m.next != (clipsearch.Space{}):
		m.next = clipsearch.Space{}
	case m.previous != (clipsearch.Space{}):
		m.answer(m.previous, true)
	case errors.Is(err, clipsearch.ErrInvalid):
		return nil
	default:
		return fmt.Errorf("Rollback to nothing = %v, want ErrInvalid", err)
	}
	return err
}

func (m *storeModel) dropSpaces(ctx context.Context) error {
	want := 0
	m.previous = clipsearch.Space{}
	for s := range maps.Clone(m.spaces) {
		if s == m.answering || s == m.next {
			continue
		}
		want++
		delete(m.spaces, s)
		for _, p := range m.pictures {
			delete(p.in, s)
		}
	}
	n, _, err := m.x.DropSpaces(ctx)
	if err == nil && n != want {
		err = fmt.Errorf("DropSpaces = %d, want %d", n, want)
	}
	return err
}

// harm takes a vector out of the store behind the index's back, and has it repaired:
// a picture loses those of that space, which are owed if it answers; captions lose
// theirs. No picture goes.
func (m *storeModel) harm(ctx context.Context) error {
	space, prefix := m.known(), pick(m.r, vectorPrefix, captionPrefix)
	for _, r := range m.records() { // in the order of the IDs, so that the seed decides
		p := m.pictures[r.ID]
		v := p.in[space]
		if prefix == vectorPrefix && len(v.vectors) == 0 || prefix == captionPrefix && len(v.captions) == 0 || m.r.IntN(3) > 0 {
			continue
		}
		err := m.x.update(func(t tx) error { return t.delete(vectorKey(prefix, space, r.ID, 0)) })
		m.owed = m.owed || space == m.answering
		switch {
		case space != m.answering || prefix == vectorPrefix:
			delete(p.in, space)
		default:
			for s, v := range p.in {
				v.captions = nil
				p.in[s] = v
			}
		}
		problems, err2 := m.x.Check(ctx, true)
		if err := errors.Join(err, err2); err != nil || len(problems) == 0 {
			return fmt.Errorf("Check = %v, %v, want a problem", problems, err)
		}
		return nil
	}
	return nil
}
