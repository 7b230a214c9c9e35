package index

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// What is derived of a space's vectors lies in the store in parts, each under a
// generation of its own, and a manifest that names them. From the moment that it is
// of on, every transaction that touches vectors of the space says so in a journal;
// whoever loads the parts goes through that.

// manifest is what S/<space> holds.
type manifest struct {
	Seq   uint64 `cbor:"1,keyasint"` // of the last entry of the journal that it knows
	Saved []byte `cbor:"2,keyasint"` // by package ann
}

// journal says which spaces have one, and numbers its entries. Guarded by x.writing.
type journal struct {
	seq    uint64
	spaces map[clipsearch.Space]bool
}

func manifestKey(space clipsearch.Space) []byte { return spaceKey(manifestPrefix, space) }

func journalKey(space clipsearch.Space, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(spaceKey(journalPrefix, space), seq)
}

// partKey is where a part is kept.
func partKey(space clipsearch.Space, p ann.Part) []byte {
	prefix, gen := codesPrefix, uint64(p.Epoch)
	if p.Links {
		prefix, gen = graphPrefix, p.Gen
	}
	key := binary.BigEndian.AppendUint64(spaceKey(prefix, space), gen)
	return binary.BigEndian.AppendUint32(key, uint32(p.N))
}

const (
	journalKeyLen = 2 + len(clipsearch.Space{}) + 8
	partKeyLen    = 2 + len(clipsearch.Space{}) + 8 + 4
)

// openJournal finds out which spaces have a journal, and where it ends.
func (x *Index) openJournal() error {
	j := journal{spaces: map[clipsearch.Space]bool{}}
	err := x.store.view(func(t tx) error {
		err := t.scan([]byte(manifestPrefix), true, func(key, value []byte, err error) error {
			if len(key) != 2+len(clipsearch.Space{}) {
				return nil // Check names it
			}
			j.spaces[clipsearch.Space(key[2:])] = true
			var m manifest
			if err == nil && decode(value, &m) == nil {
				j.seq = max(j.seq, m.Seq)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return t.scan([]byte(journalPrefix), false, func(key, _ []byte, _ error) error {
			if len(key) == journalKeyLen {
				j.seq = max(j.seq, binary.BigEndian.Uint64(key[journalKeyLen-8:]))
			}
			return nil
		})
	})
	x.journal = j
	return err
}

// note writes into the journals which pictures' vectors part changes.
func (x *Index) note(t tx, p *plan, part []*change) error {
	if len(x.journal.spaces) == 0 {
		return nil
	}
	x.journal.seq++
	for space := range x.journal.spaces {
		var ids []byte
		for _, c := range part {
			if c.touches(space, p.space) {
				ids = append(ids, c.id[:]...)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if err := t.set(journalKey(space, x.journal.seq), ids); err != nil {
			return err
		}
	}
	return nil
}

// touches reports whether c changes which vectors there are of a space; of is that
// of c's own.
func (c *change) touches(space, of clipsearch.Space) bool {
	if len(c.vectors) > 0 && space == of {
		return true
	}
	if slices.ContainsFunc(c.others, func(s clipsearch.SpaceVectors) bool { return s.Space == space }) {
		return true
	}
	return c.old != nil && c.old.of(space).Vectors > 0 && (c.gone() || c.rec.of(space).Vectors != c.old.of(space).Vectors)
}

// loadSaved loads what the store has of a space: nil if it has nothing, or not
// what was the last.
func (x *Index) loadSaved(ctx context.Context, meta Meta, p *pictures, number func(clipsearch.ID) doc) (n *near, err error) {
	err = x.view(ctx, func(t tx) error {
		var m manifest
		b, err := t.get(manifestKey(meta.Space))
		if err == nil {
			err = decode(b, &m)
		}
		if err != nil {
			return err
		}
		o, err := x.nearOptions(meta, p)
		if err != nil {
			return err
		}
		kept, err := ann.Keeps(m.Saved)
		if err != nil {
			return err
		}
		a, err := ann.Load(ctx, o, m.Saved, func(name ann.Name) uint32 { return uint32(number(clipsearch.ID(name))) },
			func(part ann.Part) (b []byte, err error) {
				err = x.view(ctx, func(t tx) error { // its own: a transaction is one goroutine's
					b, err = t.get(partKey(meta.Space, part))
					return err
				})
				return b, err
			})
		if err != nil {
			return err
		}
		n = newNear(a)
		n.kept, n.saved = kept, m.Seq
		return n.replay(ctx, t, meta, number)
	})
	if err != nil && ctx.Err() == nil {
		return nil, nil // it is made again from the vectors
	}
	return n, err
}

// replay goes through what was written since n was saved.
func (n *near) replay(ctx context.Context, t tx, meta Meta, number func(clipsearch.ID) doc) error {
	ids := map[clipsearch.ID]bool{}
	err := t.scanFrom(spaceKey(journalPrefix, meta.Space), journalKey(meta.Space, n.saved+1), true, func(_, value []byte, err error) error {
		if err != nil || len(value)%len(clipsearch.ID{}) != 0 {
			return errDamaged
		}
		for id := range slices.Chunk(value, len(clipsearch.ID{})) {
			ids[clipsearch.ID(id)] = true
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	sorted := slices.SortedFunc(maps.Keys(ids), func(a, b clipsearch.ID) int { return slices.Compare(a[:], b[:]) })
	v := make(clipsearch.Vector, meta.Dim)
	for _, id := range sorted {
		d := number(id)
		n.Remove(d)
		rec, err := t.record(id) // it may be gone by now
		if err != nil {
			continue
		}
		for i := range rec.of(meta.Space).Vectors { // quicker than to iterate, which looks into all tables
			b, err := t.get(vectorKey(vectorPrefix, meta.Space, id, i))
			if err != nil || decodeVector(v, b) != nil || unitLength(v) != nil {
				continue // Check names it
			}
			if err := errors.Join(n.Add(d, v), ctx.Err()); err != nil {
				return err
			}
		}
	}
	return nil
}
