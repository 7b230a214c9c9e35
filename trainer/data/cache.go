package data

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// The file of a cache: a magic number, how many pictures there are, for each of them
// where it begins and its sides (none if it is damaged), and the pictures, red, green
// and blue of each pixel in turn. Numbers are little-endian.
const (
	cacheMagic  = "clpixel1"
	cacheHead   = len(cacheMagic) + 8
	cacheRecord = 8 + 4 + 4
	maxSide     = 1 << 16
)

// Cache is the pictures of a set, decoded and shrunk once, in a file: epochs after the
// first need not decode. It is safe for concurrent use.
//
// It is read and not mapped into memory: the operating system keeps it just as well, the
// pixels have to be copied anyway, and a file that is cut short then is an error and not
// the end of the process.
type Cache struct {
	file  *os.File
	index []cached
}

type cached struct {
	at   int64
	w, h int
}

// CacheOptions say what is kept of a picture.
type CacheOptions struct {
	Dir     string // where the file is, under a name that tells the set and the size; made if need be
	Size    int    // of the model's pictures; a shorter side of 1.15 times as much is kept
	Threads int    // that decode; as many as there are cores if zero
	Decode  func(file []byte) (*image.RGBA, error)
	Report  func(done, of int) // is called now and then while the file is made, by one goroutine; nil: nobody is
}

// edge is the shorter side that is kept: room for a random crop to be sharper than the
// whole picture, as it is where the file is decoded.
func (o CacheOptions) edge() int { return int(math.Ceil(1.15 * float64(o.Size))) }

// OpenCache opens the cache of a set and makes it if it is not there, or not whole. It is
// written aside and renamed: a run that is killed leaves none, or a whole one.
func OpenCache(ctx context.Context, set *Set, o CacheOptions) (*Cache, error) {
	if o.Size < 1 || o.Size > maxSide/2 {
		return nil, invalid("pictures of size %d: it must be from 1 to %d", o.Size, maxSide/2)
	}
	key, err := cacheKey(set, o.edge())
	if err != nil {
		return nil, err
	}
	name := filepath.Join(o.Dir, key+".pixels")
	c, err := readCache(name)
	if err == nil && c.Len() == len(set.Items) {
		return c, nil
	}
	if err == nil {
		c.Close()
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cache of pictures: %w", err)
	}
	err = writeCache(ctx, name, set, o)
	switch {
	case disk.IsFull(err):
		return nil, fmt.Errorf("make a cache of %d pictures: the disk of %s is full, and nothing was left on it: free some, name a folder elsewhere, or do without: %w", len(set.Items), o.Dir, clipsearch.ErrNoSpace)
	case err != nil:
		return nil, fmt.Errorf("make a cache of %d pictures in %s: %w", len(set.Items), o.Dir, err)
	}
	return readCache(name)
}

// cacheKey names what a cache is made from: another file in the place of one, or a
// changed one, is another cache.
func cacheKey(set *Set, edge int) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", cacheMagic, edge)
	stats := map[string]string{} // of tars, which many pictures share
	for _, it := range set.Items {
		stat, ok := stats[it.file]
		if !ok {
			path, err := filepath.Abs(it.file)
			if err != nil {
				return "", err
			}
			stat = path
			if info, err := os.Stat(it.file); err == nil {
				stat = fmt.Sprintf("%q %d %d", path, info.Size(), info.ModTime().UnixNano())
			}
			if it.inside {
				stats[it.file] = stat
			}
		}
		fmt.Fprintf(h, "%s %d %d\n", stat, it.at, it.size)
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// readCache opens a file and reads its index. It is an error if the file is no cache, or
// not whole.
func readCache(name string) (*Cache, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var index []cached
		if index, err = readIndex(f, info.Size()); err == nil {
			return &Cache{f, index}, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("cache %s: %w", name, err)
}

// readIndex reads that of a file of size bytes, whose pictures must fill the rest of it.
func readIndex(r io.Reader, size int64) ([]cached, error) {
	head := make([]byte, cacheHead)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(cacheMagic)]) != cacheMagic {
		return nil, invalid("it does not begin as one")
	}
	n := binary.LittleEndian.Uint64(head[len(cacheMagic):])
	if n > uint64(size)/uint64(cacheRecord) {
		return nil, invalid("%d pictures in %d bytes", n, size)
	}
	records := make([]byte, int(n)*cacheRecord)
	if _, err := io.ReadFull(r, records); err != nil {
		return nil, invalid("its index ends early")
	}
	index := make([]cached, n)
	next := int64(cacheHead + len(records))
	for i := range index {
		b := records[i*cacheRecord:]
		c := cached{int64(binary.LittleEndian.Uint64(b)), int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint32(b[12:]))}
		if c.at != next || c.w > maxSide || c.h > maxSide {
			return nil, invalid("picture %d lies at %d and not at %d, or is %d x %d", i, c.at, next, c.w, c.h)
		}
		index[i], next = c, next+3*int64(c.w)*int64(c.h)
	}
	if next != size {
		return nil, invalid("its pictures end at %d and the file at %d", next, size)
	}
	return index, nil
}

// errDamaged is of a picture that the cache has no pixels of.
var errDamaged = errors.New("it was damaged when the cache was made")

// Len returns how many pictures the cache has, damaged ones included.
func (c *Cache) Len() int { return len(c.index) }

// Close closes the file.
func (c *Cache) Close() error { return c.file.Close() }

// picture returns the i-th, which is the caller's.
func (c *Cache) picture(i int) (*image.RGBA, error) {
	at := c.index[i]
	if at.w == 0 || at.h == 0 {
		return nil, errDamaged
	}
	rgb := make([]byte, 3*at.w*at.h)
	if _, err := c.file.ReadAt(rgb, at.at); err != nil {
		return nil, fmt.Errorf("read cache %s: %w", c.file.Name(), err)
	}
	img := image.NewRGBA(image.Rect(0, 0, at.w, at.h))
	for i, o := 0, 0; i < len(rgb); i, o = i+3, o+4 {
		img.Pix[o], img.Pix[o+1], img.Pix[o+2], img.Pix[o+3] = rgb[i], rgb[i+1], rgb[i+2], 255
	}
	return img, nil
}

// writeCache makes the file aside and puts it in its place.
func writeCache(ctx context.Context, name string, set *Set, o CacheOptions) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".*.pixels.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	index, err := writePictures(ctx, f, set, o)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(index, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// writePictures writes the pictures behind the place of the index, and returns that.
func writePictures(ctx context.Context, f io.WriteSeeker, set *Set, o CacheOptions) ([]byte, error) {
	index := binary.LittleEndian.AppendUint64([]byte(cacheMagic), uint64(len(set.Items)))
	at := int64(cacheHead + len(set.Items)*cacheRecord)
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	const together = 64 // decoded, then written in their order
	for from := 0; from < len(set.Items); from += together {
		part := set.Items[from:min(from+together, len(set.Items))]
		pictures, err := shrunk(ctx, part, o)
		if err != nil {
			return nil, err
		}
		for _, p := range pictures {
			index = binary.LittleEndian.AppendUint64(index, uint64(at))
			index = binary.LittleEndian.AppendUint32(index, uint32(p.w))
			index = binary.LittleEndian.AppendUint32(index, uint32(p.h))
			if _, err := w.Write(p.rgb); err != nil {
				return nil, err
			}
			at += int64(len(p.rgb))
		}
		if o.Report != nil {
			o.Report(from+len(part), len(set.Items))
		}
	}
	return index, w.Flush()
}

type rgbPicture struct {
	w, h int
	rgb  []byte
}

// shrunk decodes and shrinks items. A damaged one has no sides.
func shrunk(ctx context.Context, items []Item, o CacheOptions) ([]rgbPicture, error) {
	all := make([]rgbPicture, len(items))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads(o.Threads))
	for i, it := range items {
		g.Go(func() error {
			if img, err := decode(it, o.Decode); err == nil {
				all[i] = shrink(img, o.edge())
			}
			return ctx.Err()
		})
	}
	return all, g.Wait()
}

func threads(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// shrink returns img with edge as its shorter side, if that is longer. Of what is more
// than four times as long as wide, the middle is kept.
func shrink(img *image.RGBA, edge int) rgbPicture {
	const longest = 4
	b := img.Rect
	side := min(b.Dx(), b.Dy())
	if most := longest * side; b.Dx() > most {
		b.Min.X += (b.Dx() - most) / 2
		b.Max.X = b.Min.X + most
	} else if b.Dy() > most {
		b.Min.Y += (b.Dy() - most) / 2
		b.Max.Y = b.Min.Y + most
	}
	img = img.SubImage(b).(*image.RGBA)
	if side > edge {
		img = clip.Resize(img, b.Dx()*edge/side, b.Dy()*edge/side)
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	p := rgbPicture{w, h, make([]byte, 0, 3*w*h)}
	each(img, func(px []byte) { p.rgb = append(p.rgb, px...) })
	return p
}
