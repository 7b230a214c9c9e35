package index

import (
	"bytes"
	"iter"
	"math/bits"
	"slices"
	"strings"
)

// stepBlocks and stepParts are how much is looked at while writers wait: about a
// tenth of a millisecond's worth.
const (
	stepBlocks = 128
	stepParts  = 1
)

// scan finds the docs for which p holds, a bit each. Writers come in between: of a
// doc that is set or dropped meanwhile the answer means nothing.
func (c *columns) scan(p predicate) []uint64 {
	c.mu.RLock()
	words := make([]uint64, len(c.blocks)*blockDocs/64)
	c.mu.RUnlock()
	switch p.field {
	case "path":
		c.scanPaths(words, p.text)
	case "name":
		c.scanTexts(words, &c.names, p.text)
	case "tag":
		c.scanTexts(words, &c.tags, p.text)
	case "caption":
		c.scanTexts(words, &c.captions, p.text)
	case "camera":
		cameras := c.which(&c.cameras, func(name string) bool { return strings.Contains(name, p.text) })
		c.scanBlocks(words, func(_ doc, b *columnBlock, out []uint64) { among(out, &b.camera, cameras) })
	case "type":
		formats := c.which(&c.formats, p.isType)
		c.scanBlocks(words, func(_ doc, b *columnBlock, out []uint64) { among(out, &b.format, formats) })
	case "width", "height", "bytes":
		c.scanNumbers(words, p)
	case "taken":
		first, last := p.dates()
		c.scanBlocks(words, func(_ doc, b *columnBlock, out []uint64) { between64(out, &b.taken, first, last) })
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for d, r := range c.odd {
		if p.holds(r) {
			setBit(words, d)
		}
	}
	return words
}

func (c *columns) which(t *dictionary, wanted func(string) bool) members {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return t.which(wanted)
}

// scanBlocks has fn set bits of a block's docs, and clears those of docs that are
// not in the columns.
func (c *columns) scanBlocks(words []uint64, fn func(base doc, b *columnBlock, out []uint64)) {
	const per = blockDocs / 64
	for from := 0; from < len(words)/per; from += stepBlocks {
		c.mu.RLock()
		for i := from; i < min(from+stepBlocks, len(words)/per); i++ {
			out := words[i*per : (i+1)*per]
			fn(doc(i*blockDocs), c.blocks[i], out)
			for w := range out {
				out[w] &= c.blocks[i].plain[w]
			}
		}
		c.mu.RUnlock()
	}
}

func (c *columns) scanNumbers(words []uint64, p predicate) {
	first, span, some := p.interval()
	if !some {
		return
	}
	c.scanBlocks(words, func(_ doc, b *columnBlock, out []uint64) {
		switch p.field {
		case "width":
			between32(out, &b.width, first, span)
		case "height":
			between32(out, &b.height, first, span)
		default:
			between32(out, &b.bytes, first, span)
		}
	})
}

// between32 sets the bit of each number from first up to first+span. It decides
// without a branch, which would be foretold wrongly as often as not.
func between32(out []uint64, column *[blockDocs]uint32, first, span uint32) {
	for w := range out {
		numbers := column[w*64:][:64]
		var beyond uint64
		for i := 0; i < 64; i += 2 {
			a := uint64(span) - uint64(numbers[i]-first) // negative if beyond
			b := uint64(span) - uint64(numbers[i+1]-first)
			beyond = beyond>>2 | a>>63<<62 | b&(1<<63)
		}
		out[w] = ^beyond
	}
}

// between64 sets the bit of each number from first up to last. All of them are
// nearer to 0 than 1<<62.
func between64(out []uint64, column *[blockDocs]int64, first, last int64) {
	for w := range out {
		var beyond uint64
		for _, n := range column[w*64:][:64] {
			beyond = beyond>>1 | uint64((n-first)|(last-n))&(1<<63)
		}
		out[w] = ^beyond
	}
}

// among sets the bit of each name that is wanted.
func among[T uint8 | uint16 | uint32](out []uint64, column *[blockDocs]T, wanted members) {
	for w := range out {
		word := uint64(0)
		for _, n := range column[w*64:][:64] {
			word >>= 1
			if int(n) < len(wanted) {
				word |= uint64(wanted[n]) << 63
			}
		}
		out[w] |= word
	}
}

// scanTexts sets the bit of each doc that has want in one of its texts; where want
// is empty, of each that has a text.
func (c *columns) scanTexts(words []uint64, t *texts, want string) {
	var f *finder
	if want != "" {
		f = newFinder(want)
	}
	for i := 0; ; i += stepParts {
		c.mu.RLock()
		if i >= len(t.parts) {
			c.mu.RUnlock()
			return
		}
		for _, p := range t.parts[i:min(i+stepParts, len(t.parts))] {
			if f != nil {
				f.find(p, words)
				continue
			}
			for _, d := range p.docs {
				setBit(words, d)
			}
		}
		c.mu.RUnlock()
	}
}

// scanPaths finds want in a folder, in a name, or across the two: then it is the
// end of a folder, with its separator, and the beginning of a name.
func (c *columns) scanPaths(words []uint64, want string) {
	cut := 1 + lastSeparator(want)
	folder, name := want[:cut], want[cut:]
	if cut == 0 {
		c.scanTexts(words, &c.names, want)
	}
	within := c.which(&c.folders, func(f string) bool { return strings.Contains(f, want) })
	c.scanBlocks(words, func(_ doc, b *columnBlock, out []uint64) { among(out, &b.folder, within) })
	across := c.which(&c.folders, func(f string) bool { return cut > 0 && name != "" && strings.HasSuffix(f, folder) })
	if slices.Contains(across, 1) {
		c.scanBlocks(words, func(base doc, b *columnBlock, out []uint64) {
			var some [blockDocs / 64]uint64
			among(some[:], &b.folder, across)
			for w := range some {
				some[w] &= b.plain[w]
			}
			for d := range each(some[:]) {
				if c.begins(base+d, across, name) {
					setBit(out, d)
				}
			}
		})
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for d, folders := range c.more {
		if slices.ContainsFunc(folders, func(f uint32) bool { return within.has(f) }) || c.begins(d, across, name) {
			setBit(words, d)
		}
	}
}

// begins reports whether one of d's files lies in one of folders and its name
// begins so.
func (c *columns) begins(d doc, folders members, name string) bool {
	b, i := c.at(d)
	list, folder := c.names.list(b.names[i]), b.folder[i]
	for n := 0; len(list) > 0; n++ {
		if n > 0 {
			folder = c.more[d][n-1]
		}
		if folders.has(folder) && bytes.HasPrefix(list, []byte(name)) {
			return true
		}
		list = list[bytes.IndexByte(list, endOfText)+1:]
	}
	return false
}

// each yields the docs whose bits are set.
func each(words []uint64) iter.Seq[doc] {
	return func(yield func(doc) bool) {
		for w, word := range words {
			for ; word != 0; word &= word - 1 {
				if !yield(doc(w*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
