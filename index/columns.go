package index

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// columns holds of every picture what filters ask, a field at a time: numbers in
// arrays, names that many share in dictionaries, words packed and in lower case. It
// finds the docs that a filter admits and keeps what each predicate found.
//
// One goroutine at a time writes, any number read. The zero value is empty.
type columns struct {
	mu       sync.RWMutex
	live     *roaring.Bitmap // docs that were set; nil while there are none
	blocks   []*columnBlock
	formats  dictionary // as they are
	cameras  dictionary // these and all below in lower case
	folders  dictionary // with the separator that ends them
	more     map[doc][]uint32
	names    texts
	captions texts
	tags     texts
	odd      map[doc]*row // what the columns cannot hold

	kept  map[predicate]*kept
	clock atomic.Int64 // counts uses of kept
}

// blockDocs is how many docs share a block: a multiple of the bits of a word.
const blockDocs = 1024

// columnBlock holds the fields of blockDocs docs. Of a doc that is odd or not live
// it says nothing.
type columnBlock struct {
	plain    [blockDocs / 64]uint64 // one bit a doc: it is live and not odd
	taken    [blockDocs]int64       // microseconds since 1970, or noDate
	width    [blockDocs]uint32
	height   [blockDocs]uint32
	bytes    [blockDocs]uint32
	folder   [blockDocs]uint32 // of the first file; of others see columns.more
	names    [blockDocs]place
	captions [blockDocs]place
	tags     [blockDocs]place
	camera   [blockDocs]uint16
	format   [blockDocs]uint8
}

const (
	noDate = -1 << 61
	// farSeconds is how far from 1970 a date may lie to be counted in microseconds.
	farSeconds = 1 << 40
)

// row is what filters ask of one picture, its words in lower case.
type row struct {
	taken                 time.Time
	width, height, bytes  float64
	format, camera        string
	paths, captions, tags []string
}

func newRow(m clipsearch.Image) *row {
	return &row{
		taken: m.TakenAt, width: float64(m.Width), height: float64(m.Height), bytes: float64(m.Bytes),
		format: m.Format, camera: strings.ToLower(m.Camera),
		paths: lowered(m.Paths()), captions: lowered(m.Captions), tags: lowered(m.Tags),
	}
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// set notes what filters ask of m, the picture that d numbers, in the place of what
// was known of d.
func (c *columns) set(d doc, m clipsearch.Image) {
	r := newRow(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear(d)
	for int(d) >= len(c.blocks)*blockDocs {
		c.blocks = append(c.blocks, &columnBlock{})
	}
	if c.live == nil {
		c.live = roaring.New()
	}
	c.live.Add(uint32(d))
	if !c.pack(d, r) {
		if c.odd == nil {
			c.odd = map[doc]*row{}
		}
		c.odd[d] = r
	}
	c.tell(d, func(p predicate) bool { return p.holds(r) })
}

// drop forgets d.
func (c *columns) drop(d doc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.has(d) {
		return
	}
	c.clear(d)
	c.live.Remove(uint32(d))
	c.tell(d, func(predicate) bool { return false })
}

func (c *columns) has(d doc) bool { return c.live != nil && c.live.Contains(uint32(d)) }

// at returns d's block and its place there.
func (c *columns) at(d doc) (*columnBlock, int) { return c.blocks[d/blockDocs], int(d % blockDocs) }

// pack puts r into the columns, unless they cannot hold it.
func (c *columns) pack(d doc, r *row) bool {
	folders, names := make([]string, len(r.paths)), make([]string, len(r.paths))
	for i, path := range r.paths {
		cut := 1 + lastSeparator(path)
		folders[i], names[i] = path[:cut], path[cut:]
		if filepath.Base(path) != names[i] { // no file is called so, but an Image may say so
			return false
		}
	}
	taken, ok := microseconds(r.taken)
	if !ok || !inUint32(r.width) || !inUint32(r.height) || !inUint32(r.bytes) ||
		!c.formats.fits(r.format, math.MaxUint8) || !c.cameras.fits(r.camera, math.MaxUint16) {
		return false
	}
	b, i := c.at(d)
	b.plain[i/64] |= 1 << (i % 64)
	b.taken[i] = taken
	b.width[i], b.height[i], b.bytes[i] = uint32(r.width), uint32(r.height), uint32(r.bytes)
	b.format[i], b.camera[i] = uint8(c.formats.add(r.format)), uint16(c.cameras.add(r.camera))
	b.names[i], b.captions[i], b.tags[i] = c.names.add(d, names), c.captions.add(d, r.captions), c.tags.add(d, r.tags)
	b.folder[i] = noFolder
	for n, f := range folders {
		id := c.folders.add(f)
		if n == 0 {
			b.folder[i] = id
			continue
		}
		if c.more == nil {
			c.more = map[doc][]uint32{}
		}
		c.more[d] = append(c.more[d], id)
	}
	return true
}

// clear takes out of the columns what they hold of d.
func (c *columns) clear(d doc) {
	delete(c.odd, d)
	if int(d) >= len(c.blocks)*blockDocs {
		return
	}
	b, i := c.at(d)
	if b.plain[i/64]>>(i%64)&1 == 0 {
		return
	}
	b.plain[i/64] &^= 1 << (i % 64)
	c.formats.release(uint32(b.format[i]))
	c.cameras.release(uint32(b.camera[i]))
	if b.folder[i] != noFolder {
		c.folders.release(b.folder[i])
	}
	for _, f := range c.more[d] {
		c.folders.release(f)
	}
	delete(c.more, d)
	c.names.drop(b.names[i])
	c.captions.drop(b.captions[i])
	c.tags.drop(b.tags[i])
}

// noFolder is the folder of a picture that was seen nowhere.
const noFolder = math.MaxUint32

// lastSeparator returns where the last path separator of path is, or -1.
func lastSeparator(path string) int {
	i := len(path) - 1
	for i >= 0 && !os.IsPathSeparator(path[i]) {
		i--
	}
	return i
}

func inUint32(x float64) bool { return x >= 0 && x <= math.MaxUint32 }

// microseconds counts those since 1970; it returns noDate for the zero time, and
// not ok where they do not tell the date.
func microseconds(t time.Time) (us int64, ok bool) {
	if t.IsZero() {
		return noDate, true
	}
	s := t.Unix()
	return t.UnixMicro(), s >= -farSeconds && s < farSeconds && t.Nanosecond()%1000 == 0
}

// bytes is what the columns take in memory, about.
func (c *columns) bytes() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n := int64(unsafe.Sizeof(*c)) + int64(len(c.blocks))*int64(unsafe.Sizeof(columnBlock{})+8)
	n += c.formats.bytes() + c.cameras.bytes() + c.folders.bytes()
	n += c.names.bytes() + c.captions.bytes() + c.tags.bytes()
	for _, list := range c.more {
		n += 64 + 4*int64(cap(list))
	}
	for _, r := range c.odd {
		n += 64 + int64(unsafe.Sizeof(*r)) + int64(len(r.format)+len(r.camera))
		for _, list := range [][]string{r.paths, r.captions, r.tags} {
			for _, s := range list {
				n += 16 + int64(len(s))
			}
		}
	}
	if c.live != nil {
		n += int64(c.live.GetSizeInBytes())
	}
	for _, k := range c.kept {
		n += k.bytes()
	}
	return n
}
