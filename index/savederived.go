package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// saveDue is how many entries the journal may have before codes and graph are
// written; of a large index, a part of its vectors.
func saveDue(n int) uint64 { return uint64(max(64, n/2000)) }

// saveNear writes what the store lacks of n, if that is due or forced.
func (x *Index) saveNear(ctx context.Context, meta Meta, p *pictures, n *near, force bool) error {
	x.saving.Lock()
	defer x.saving.Unlock()
	x.writing.Lock()
	behind := x.journal.seq - n.saved
	x.writing.Unlock()
	if n.Len() < x.tuning.saved {
		return x.forgetSmall(meta, n)
	}
	if !n.Keepable() || n.Current(n.kept) && (behind == 0 || !force && behind < saveDue(n.Len())) || n.ctx.Err() != nil {
		return nil
	}
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.give()
	s := &saver{x: x, meta: meta, of: n}
	kept, saved, err := n.Save(ctx, n.kept, ann.Keeper{
		At:   func(freeze func()) { s.at(freeze) },
		Name: func(d uint32) ann.Name { return ann.Name(p.name(doc(d))) },
		Put:  s.put,
	})
	if err == nil {
		err = s.flush()
	}
	if errors.Is(err, errForgotten) {
		return nil // what has taken its place has parts of its own
	}
	if err != nil || kept.File == "" {
		return err
	}
	if err := s.finish(saved); errors.Is(err, errForgotten) {
		return nil
	} else if err != nil {
		return err
	}
	n.kept, n.saved = kept, s.seq
	if n.ctx.Err() != nil {
		return nil // what has taken its place has files of its own
	}
	return s.sweep(ctx, n, kept)
}

// forgetSmall has the store forget what it has of n, of which there are too few
// vectors to be saved by now: nothing else would ever end the journal.
func (x *Index) forgetSmall(meta Meta, n *near) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if n.ctx.Err() != nil || !x.journal.spaces[meta.Space] || x.journal.seq-n.saved < saveDue(n.Len()) {
		return nil
	}
	return x.forgetDerived(meta.Space)
}

// errForgotten says that what was being saved is not to be any more: a repair, a
// change to another space or the end of its space has come between.
var errForgotten = errors.New("what is saved is given up")

// saver writes the parts of one saving.
type saver struct {
	x    *Index
	meta Meta
	of   *near
	seq  uint64
	keys [][]byte
	vals [][]byte
	size int
}

// at has the journal begin at the moment of which the parts are.
func (s *saver) at(freeze func()) {
	s.x.writing.Lock()
	defer s.x.writing.Unlock()
	freeze()
	s.seq = s.x.journal.seq
	if s.of.ctx.Err() == nil { // else nobody would end it
		s.x.journal.spaces[s.meta.Space] = true
	}
}

// update writes, unless what is saved has been forgotten since at: then a manifest
// would be of a time of which the journal knows nothing.
func (s *saver) update(fn func(tx) error) error {
	s.x.writing.Lock()
	defer s.x.writing.Unlock()
	if s.of.ctx.Err() != nil || !s.x.journal.spaces[s.meta.Space] {
		return errForgotten
	}
	return s.x.store.update(fn)
}

// put writes parts, several in a transaction.
func (s *saver) put(p ann.Part, b []byte) error {
	s.keys, s.vals, s.size = append(s.keys, partKey(s.meta.Space, p)), append(s.vals, b), s.size+len(b)
	if s.size < 1<<20 {
		return nil
	}
	return s.flush()
}

func (s *saver) flush() error {
	err := s.update(func(t tx) error {
		for i, key := range s.keys {
			if err := t.set(key, s.vals[i]); err != nil {
				return err
			}
		}
		return nil
	})
	s.keys, s.vals, s.size = nil, nil, 0
	return err
}

// finish writes the manifest, unless the space has gone meanwhile.
func (s *saver) finish(saved []byte) error {
	return s.update(func(t tx) error {
		if _, err := t.spaceEntry(s.meta.Space); err != nil {
			return fmt.Errorf("save codes of space %.12s: %w", s.meta.Space, err)
		}
		return t.set(manifestKey(s.meta.Space), encode(manifest{Seq: s.seq, Saved: saved}))
	})
}

// sweep removes parts, entries of the journal and files that nothing refers to any
// more.
func (s *saver) sweep(ctx context.Context, n *near, kept ann.Kept) error {
	keep := map[string]bool{}
	for _, p := range kept.Parts() {
		keep[string(partKey(s.meta.Space, p))] = true
	}
	var drop [][]byte
	err := s.x.view(ctx, func(t tx) error {
		for _, prefix := range []string{codesPrefix, graphPrefix, journalPrefix} {
			keys, err := t.keys(spaceKey(prefix, s.meta.Space))
			if err != nil {
				return err
			}
			for _, key := range keys {
				old := prefix != journalPrefix || len(key) == journalKeyLen && binary.BigEndian.Uint64(key[journalKeyLen-8:]) <= s.seq
				if old && !keep[string(key)] {
					drop = append(drop, key)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := dropKeys(drop, s.x.update); err != nil {
		return err
	}
	return n.Tidy(kept.File)
}

// dropKeys deletes keys, some hundreds in a transaction.
func dropKeys(keys [][]byte, update func(func(tx) error) error) error {
	for part := range slices.Chunk(keys, 1000) {
		err := update(func(t tx) error {
			w := writer{t: t}
			for _, key := range part {
				w.delete(key)
			}
			return w.err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetDerived removes what is derived of a space, in the store and in memory. The
// journal ends with the manifest: ended before it, it would lack what changes while
// the manifest stays, as where the disk is full. The caller holds x.writing.
func (x *Index) forgetDerived(space clipsearch.Space) error {
	err := x.store.update(func(t tx) error { return t.delete(manifestKey(space)) })
	if err != nil {
		return err
	}
	delete(x.journal.spaces, space)
	if space == x.meta().Space {
		x.unload() // it takes the parts for kept
	}
	var keys [][]byte
	err = x.store.view(func(t tx) error {
		for _, prefix := range []string{codesPrefix, graphPrefix, journalPrefix} {
			found, err := t.keys(spaceKey(prefix, space))
			if keys = append(keys, found...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := dropKeys(keys, x.store.update); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(x.dir, "vectors", space.String()))
}
