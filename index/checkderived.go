package index

import (
	"encoding/binary"
	"fmt"

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
