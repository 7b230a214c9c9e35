package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

func openCache(t *testing.T, s *Set, o CacheOptions) *Cache {
	t.Helper()
	o.Decode = decodeStd
	c, err := OpenCache(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCache(t *testing.T) {
	s := generated(t, 70, 4)
	dir := filepath.Join(t.TempDir(), "new")
	made := 0
	o := CacheOptions{Dir: dir, Size: 8, Report: func(_, _ int) { made++ }}
	c := openCache(t, s, o)
	if c.Len() != 70 || made != 2 {
		t.Fatalf("%d pictures, told %d times", c.Len(), made)
	}
	if img, err := c.picture(6); err != nil || img.Rect.Dx() != 13 || img.Rect.Dy() != 10 { // of 26 x 19: the shorter is 1.15 x 8
		t.Errorf("picture 6 is %v, %v", img.Rect, err)
	}
	if _, err := c.picture(4); err == nil {
		t.Error("a damaged picture is there")
	}
	if openCache(t, s, o); made != 2 {
		t.Error("it is made again")
	}
	lo := LoaderOptions{Batch: 16, Decode: decodeStd, Preprocess: small(), Augment: everything(), Cache: c}
	l := loader(t, s, lo)
	b, err := l.Batch(context.Background(), 3)
	if err != nil {
		t.Fatal(err)
	}
	lo.Threads = 1
	if again, err := loader(t, s, lo).Batch(context.Background(), 3); err != nil || !sameBatch(b, again) {
		t.Errorf("the same batch is another (%v)", err)
	}
	// A changed picture, another size and a part of the set are other caches.
	if err := os.Chtimes(s.Items[0].file, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	openCache(t, s, o)
	o.Size = 9
	openCache(t, s, o)
	openCache(t, &Set{Items: s.Items[:64]}, o)
	if files, _ := os.ReadDir(dir); made != 2+2+2+1 || len(files) != 4 {
		t.Errorf("told %d times, %d files, want 7 and 4", made, len(files))
	}
}

// A picture that no side is cut of is kept as it is.
func TestCacheKeepsSmall(t *testing.T) {
	s := generated(t, 3)
	c := openCache(t, s, CacheOptions{Dir: t.TempDir(), Size: 64})
	for i := range 3 {
		got, err1 := c.picture(i)
		want, err2 := decode(s.Items[i], decodeStd)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("picture %d differs (%v)", i, err)
		}
	}
	long := shrink(computed(400, 10), 8)
	if long.w != 32 || long.h != 8 || len(long.rgb) != 3*32*8 {
		t.Errorf("400 x 10 becomes %d x %d", long.w, long.h)
	}
}

func TestCacheIsMadeAgain(t *testing.T) {
	s := generated(t, 3)
	o := CacheOptions{Dir: t.TempDir(), Size: 8}
	name := openCache(t, s, o).file.Name()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{nil, whole[:len(whole)-1], whole[:20], append(slices.Clone(whole), 0)} {
		if err := os.WriteFile(name, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		openCache(t, s, o)
		if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%d bytes of %d are not made good (%v)", len(damaged), len(whole), err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o.Size, o.Decode = 9, decodeStd
	if _, err := OpenCache(ctx, s, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if files, _ := os.ReadDir(o.Dir); len(files) != 1 {
		t.Errorf("%d files are left, want the one", len(files))
	}
	o.Size = 0
	if _, err := OpenCache(context.Background(), s, o); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("size 0: %v", err)
	}
}

func FuzzCache(f *testing.F) {
	f.Add(binary.LittleEndian.AppendUint64([]byte(cacheMagic), 0))
	one := binary.LittleEndian.AppendUint64([]byte(cacheMagic), 1)
	one = binary.LittleEndian.AppendUint64(one, 32)
	f.Add(append(one, 1, 0, 0, 0, 1, 0, 0, 0, 7, 8, 9))
	f.Fuzz(func(t *testing.T, file []byte) {
		index, err := readIndex(bytes.NewReader(file), int64(len(file)))
		if err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Fatal(err)
		}
		for _, c := range index {
			if c.at+3*int64(c.w)*int64(c.h) > int64(len(file)) {
				t.Fatalf("%+v lies behind the end of %d bytes", c, len(file))
			}
		}
	})
}
