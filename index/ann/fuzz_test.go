package ann

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// FuzzFilter searches with any bitmap, depth and way: what is found is admitted, is
// there, and comes once; an exact search finds the best.
func FuzzFilter(f *testing.F) {
	c := newCloud(12, 16, 8)
	x, m := newIndex(f, Options{Dim: 16, GraphFrom: 200, EfConstruction: 40, Seed: 1}), model{}
	vectors := c.many(150)
	for i := range 600 {
		doc, v := uint32(i*i%911), vectors[i*i%150]
		if i%5 == 4 {
			x.Remove(doc)
			delete(m, doc)
			continue
		}
		if err := x.Add(doc, v); err != nil {
			f.Fatal(err)
		}
		m[doc] = append(m[doc], v)
		if i == 500 {
			if err := x.Work(f.Context()); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Add([]byte{}, uint16(10), uint16(0), byte(0))
	f.Add([]byte{1, 0, 4, 0, 255, 255}, uint16(3), uint16(20), byte(3))
	f.Add([]byte{7, 0, 8, 0, 9, 0, 100, 0}, uint16(3), uint16(1), byte(4))
	f.Fuzz(func(t *testing.T, filter []byte, k, ef uint16, how byte) {
		admit := roaring.New()
		for ; len(filter) >= 2; filter = filter[2:] {
			doc := binary.LittleEndian.Uint16(filter)
			if doc > math.MaxUint16-64 {
				admit.Add(math.MaxUint32 - uint32(doc%64))
			} else if doc%3 == 0 {
				admit.AddRange(uint64(doc), uint64(doc)+64)
			} else {
				admit.Add(uint32(doc) % 1024)
			}
		}
		q := c.centres[int(ef)%len(c.centres)]
		want := m.search(q, int(k), admit)
		s := Search{K: int(k), Ef: int(ef), Admit: admit, by: way(how % 5), Graph: how&8 > 0, Exact: how&16 > 0, Threads: int(how >> 5)}
		got := x.Search(q, s)
		if wrong := m.wrong(q, got, len(want), admit); wrong != "" {
			t.Fatalf("%+v: %s", s, wrong)
		}
		if s.Exact && len(want) > 0 && found(got, want) < len(want) {
			t.Fatalf("%+v: %v, want %v", s, got, want)
		}
	})
}
