package clip

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
	"github.com/rivo/uniseg"
)

// charsmap is SentencePiece's compiled normaliser: a double-array trie from
// what is written to what is meant, and the texts it points at.
type charsmap struct {
	units []uint32
	texts []byte // each ends with a zero
}

// readCharsmap reads the base64 text of precompiled_charsmap: four bytes with
// the size of the trie in bytes, the trie, the texts; little-endian.
func readCharsmap(encoded string) (*charsmap, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %v: %w", err, clipsearch.ErrInvalid)
	}
	if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
		return nil, fmt.Errorf("precompiled_charsmap is cut off: %w", clipsearch.ErrInvalid)
	}
	size := binary.LittleEndian.Uint32(data)
	c := &charsmap{units: make([]uint32, size/4), texts: data[4+size:]}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	return c, nil
}

// normalize replaces letter groups. What a reader sees as one letter is looked
// up as a whole while it is short, else, and where that finds nothing, sign by
// sign.
func (c *charsmap) normalize(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for state := -1; s != "" && b.Len() <= maxNormal; {
		var group string
		group, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		if len(group) < 6 {
			if text, ok := c.find(group); ok {
				b.Write(text)
				continue
			}
		}
		for len(group) > 0 {
			_, n := utf8.DecodeRuneInString(group)
			if text, ok := c.find(group[:n]); ok {
				b.Write(text)
			} else {
				b.WriteString(group[:n])
			}
			group = group[n:]
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD") // a text may be cut in a letter
}

// replaceLongest replaces the longest key at every place, as SentencePiece itself does.
func (c *charsmap) replaceLongest(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 && b.Len() <= maxNormal {
		text, n := c.longest(s)
		if n == 0 {
			_, n = utf8.DecodeRuneInString(s)
			text = []byte(s[:n])
		}
		b.Write(text)
		s = s[n:]
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// longest returns the text for the longest key that s begins with, and that key's
// length, 0 if there is none.
func (c *charsmap) longest(s string) (text []byte, n int) {
	if len(c.units) == 0 {
		return nil, 0
	}
	at := trieOffset(c.units[0])
	for i := range min(len(s), maxAddedToken) { // a table may go round in circles
		to := at ^ uint32(s[i])
		if s[i] == 0 || uint64(to) >= uint64(len(c.units)) || c.units[to]&(1<<31|0xFF) != uint32(s[i]) {
			break
		}
		unit := c.units[to]
		at = to ^ trieOffset(unit)
		if unit>>8&1 == 1 {
			if found, ok := c.text(at); ok {
				text, n = found, i+1
			}
		}
	}
	return text, n
}

// find returns the text for the shortest key that group begins with: so does
// the reference, which then replaces all of group.
func (c *charsmap) find(group string) ([]byte, bool) {
	at, unit := uint32(0), uint32(0)
	follow := func(to uint32) bool {
		at = to
		if uint64(at) >= uint64(len(c.units)) {
			return false
		}
		unit = c.units[at]
		return true
	}
	if !follow(0) {
		return nil, false
	}
	at ^= trieOffset(unit)
	for i := range len(group) {
		b := uint32(group[i])
		if b == 0 || !follow(at^b) || unit&(1<<31|0xFF) != b {
			return nil, false
		}
		at ^= trieOffset(unit)
		if unit>>8&1 == 1 { // a key ends here; its value is the first child
			return c.text(at)
		}
	}
	return nil, false
}

func trieOffset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

func (c *charsmap) text(at uint32) ([]byte, bool) {
	if uint64(at) >= uint64(len(c.units)) {
		return nil, false
	}
	from := c.units[at] & (1<<31 - 1)
	if uint64(from) > uint64(len(c.texts)) {
		return nil, false
	}
	text := c.texts[from:]
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	return text, true
}
