package index

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// wrongDerived notes that codes or graph of a space are not what they should be.
func (c *check) wrongDerived(space clipsearch.Space, what string) {
	c.wrong(fmt.Sprintf("codes of %.12s", space), what+": repair makes them again from the vectors", func(r *repair) { r.derived[space] = true })
}

// checkParts checks that the store has, whole, the parts that each manifest names,
// and no others.
func (c *check) checkParts(t tx) error {
	wanted := map[string]bool{}
	err := t.scan([]byte(manifestPrefix), true, func(key, value []byte, err error) error {
		if len(key) != 2+len(clipsearch.Space{}) {
			c.wrongKey(keyName(key), "a key that no manifest of codes has", key)
			return nil
		}
		space := clipsearch.Space(key[2:])
		var m manifest
		var kept ann.Kept
		if err == nil {
			err = decode(value, &m)
		}
		if err == nil {
			kept, err = ann.Keeps(m.Saved)
		}
		if _, known := c.spaces[space]; err == nil && !known {
			err = fmt.Errorf("the space is not here")
		}
		if err != nil {
			c.wrongDerived(space, "the manifest of the codes is damaged: "+oneLine(err))
			c.broken[space] = true
			return nil
		}
		for _, p := range kept.Parts() {
			wanted[string(partKey(space, p))] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, prefix := range []string{codesPrefix, graphPrefix, journalPrefix} {
		if err := c.checkPart(t, prefix, wanted); err != nil {
			return err
		}
	}
	for key := range wanted {
		if space := clipsearch.Space([]byte(key)[2 : 2+len(clipsearch.Space{})]); !c.broken[space] {
			c.wrongDerived(space, fmt.Sprintf("%s is missing", partName([]byte(key))))
			c.broken[space] = true
		}
	}
	return nil
}

// checkPart checks the keys with a prefix and takes them out of wanted. Parts that
// nothing refers to are what a crash leaves, and are gone when codes are next
// written.
func (c *check) checkPart(t tx, prefix string, wanted map[string]bool) error {
	length := partKeyLen
	if prefix == journalPrefix {
		length = journalKeyLen
	}
	return t.scan([]byte(prefix), true, func(key, value []byte, err error) error {
		if len(key) != length {
			c.wrongKey(keyName(key), "a key of no part of the codes", key)
			return nil
		}
		space := clipsearch.Space(key[2 : 2+len(clipsearch.Space{})])
		named := wanted[string(key)]
		delete(wanted, string(key))
		if prefix == journalPrefix {
			named = c.hasManifest(t, space)
			if err == nil && len(value)%len(clipsearch.ID{}) != 0 {
				err = errDamaged
			}
		}
		if err != nil && named && !c.broken[space] {
			c.wrongDerived(space, fmt.Sprintf("%s is damaged: %v", partName(key), err))
			c.broken[space] = true
		}
		return nil
	})
}

func (c *check) hasManifest(t tx, space clipsearch.Space) bool {
	has, err := t.has(manifestKey(space))
	return err == nil && has
}

// partName is what a part is called in a problem.
func partName(key []byte) string {
	switch string(key[:2]) {
	case codesPrefix:
		return fmt.Sprintf("part %d of the codes", binary.BigEndian.Uint32(key[len(key)-4:]))
	case graphPrefix:
		return fmt.Sprintf("part %d of the graph", binary.BigEndian.Uint32(key[len(key)-4:]))
	}
	return fmt.Sprintf("entry %d of the journal", binary.BigEndian.Uint64(key[len(key)-8:]))
}

// checkNear compares what searches work on with the vectors: every vector has its
// codes, no codes are of another, and the graph leads to all. The caller holds
// x.writing; what is loaded for this is loaded as for a search.
func (c *check) checkNear(ctx context.Context) error {
	space := c.x.meta().Space
	if c.broken[space] || len(c.problems) > 0 {
		return nil // what is wrong with the vectors is told, and their codes follow
	}
	c.x.mu.RLock()
	near, mem := c.x.mem.vectors, c.x.mem
	c.x.mu.RUnlock()
	if near == nil {
		if len(c.x.journal.spaces) == 0 {
			return nil // nothing is kept that could be wrong
		}
		mem = newMemory()
		var err error
		if near, err = c.x.loadNear(ctx, c.x.meta(), mem.pictures, mem.doc); err != nil {
			return err
		}
		defer near.stop()
	}
	count := 0
	var lost []clipsearch.ID
	v := make(clipsearch.Vector, c.x.meta().Dim)
	err := c.x.view(ctx, func(t tx) error {
		return t.scan(spaceKey(vectorPrefix, space), true, func(key, value []byte, err error) error {
			_, id, _, ok := parseVectorKey(key)
			if err != nil || !ok || decodeVector(v, value) != nil {
				return ctx.Err()
			}
			count++
			if d, known := mem.docs[id]; (!known || !near.Holds(uint32(d), v)) && !slices.Contains(lost, id) {
				lost = append(lost, id)
			}
			return ctx.Err()
		})
	})
	if err != nil {
		return err
	}
	for _, id := range lost[:min(len(lost), 20)] {
		c.wrong(id.String(), "its vector has no codes, or others: repair makes the codes again", func(r *repair) { r.derived[space] = true })
	}
	if n := near.Len(); n != count && len(lost) == 0 {
		c.wrongDerived(space, fmt.Sprintf("%d codes of %d vectors", n, count))
	}
	return near.Check(ctx, func(d uint32, what string) { c.wrongDerived(space, what) })
}
