package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

const testDim = 32

var testSpace = clipsearch.Space{1, 2, 3}

// unit returns a random vector that seed decides.
func unit(dim int, seed uint64) clipsearch.Vector {
	r := rand.New(rand.NewPCG(seed, 7))
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	u, err := clipsearch.Unit(v)
	if err != nil {
		panic(err)
	}
	return u
}

func testID(n int) clipsearch.ID { return clipsearch.NewID(fmt.Append(nil, "picture ", n)) }

func testFile(n int) clipsearch.File {
	return clipsearch.File{Path: fmt.Sprintf("/pictures/album %d/IMG_%04d-redCar.jpg", n%7, n), Size: int64(1000 + n), ModTime: time.Unix(1700000000, int64(n)*1000)}
}

// testEntry is a whole picture.
func testEntry(n int) clipsearch.Entry {
	m := clipsearch.Image{
		ID: testID(n), Files: []clipsearch.File{testFile(n)}, Format: "jpeg", Width: 640 + n%100, Height: 480, Bytes: int64(1000 + n),
		Captions: []string{fmt.Sprintf("a dog number%d runs over the grass", n), "second words"},
		Tags:     []string{"street", fmt.Sprintf("tag%d", n%3)},
	}
	return clipsearch.Entry{
		Image: m, Space: testSpace, Vectors: []clipsearch.Vector{unit(testDim, uint64(n))},
		CaptionVectors: []clipsearch.Vector{unit(testDim, uint64(n)+1e6), unit(testDim, 5e6)},
		Thumb:          testThumb(n),
	}
}

// testThumb is as large as thumbnails are, so that it lies in the value log.
func testThumb(n int) []byte {
	b := make([]byte, 12<<10)
	r := rand.New(rand.NewPCG(uint64(n), 3))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func testOptions() Options {
	return Options{Space: testSpace, Model: "test-model", Dim: testDim, Create: true}
}

// open opens the index in dir, or makes one.
func open(t testing.TB, dir string) *Index {
	t.Helper()
	return openTuned(t, dir, usual)
}

func openTuned(t testing.TB, dir string, z tuning) *Index {
	t.Helper()
	o := testOptions()
	o.tuning = z
	x, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func newIndex(t testing.TB) *Index {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "index"))
}

func put(t testing.TB, x *Index, batch ...clipsearch.Entry) {
	t.Helper()
	if err := x.Put(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
}

func closeIndex(t testing.TB, x *Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
