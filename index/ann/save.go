package ann

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
)

// frozen is an index as it was at a moment.
type frozen struct {
	st   *state
	rows int
	dead []uint64
}

// Name names a doc for good.
type Name [16]byte

func (x *Index) freeze() *frozen {
	x.writing.Lock()
	defer x.writing.Unlock()
	st := x.state.Load()
	f := &frozen{st: st, rows: st.rows.len()}
	f.dead = make([]uint64, (f.rows+63)/64)
	for i := range f.dead {
		n := uint32(i) << 6
		f.dead[i] = st.rows.tombs[n>>chunkShift][n&chunkMask>>6].Load()
	}
	return f
}

const (
	blockRows = 512  // of a part that holds rows
	partRows  = 4096 // of a part that holds links
)

// Kept says which parts are where they are kept. The zero value: none are.
type Kept struct {
	Epoch int64          // of the rows
	Rows  int            // that are
	Graph map[int]uint64 // generations of the parts that hold links
	File  string         // of the whole numbers, in the index's directory
}

// Part is a piece of a saved index: rows, or links of a generation.
type Part struct {
	Links bool
	Epoch int64  // of rows
	Gen   uint64 // of links
	N     int
}

// Keeper keeps the parts of a saved index.
type Keeper struct {
	At   func(freeze func())      // calls freeze at the moment of which everything is to be
	Name func(doc uint32) Name    // names a doc, also one that is deleted
	Put  func(Part, []byte) error // keeps a part
}

// Save has k keep the parts that kept lacks, which the last manifest that was written
// is of. It returns what then is kept, and the manifest by which Load finds it: that
// is to be written last. If it was not, or Save failed, the next one is given kept
// once more.
func (x *Index) Save(ctx context.Context, kept Kept, k Keeper) (Kept, []byte, error) {
	x.working.Lock()
	defer x.working.Unlock()
	var f *frozen
	k.At(func() { f = x.freeze() })
	r, g := f.st.rows, f.st.graph
	if kept.Epoch != r.epoch {
		kept = Kept{Epoch: r.epoch}
	}
	now := Kept{Epoch: r.epoch, Rows: f.rows, Graph: map[int]uint64{}, File: r.place.name()}
	for b := kept.Rows / blockRows; b*blockRows < f.rows; b++ {
		if err := ctx.Err(); err != nil {
			return kept, nil, err
		}
		from, to := b*blockRows, min(f.rows, (b+1)*blockRows)
		if err := k.Put(Part{Epoch: r.epoch, N: b}, r.rowPart(from, to, k.Name)); err != nil {
			return kept, nil, fmt.Errorf("write rows %d to %d: %w", from, to, err)
		}
	}
	if g != nil {
		if err := g.save(ctx, r, int(g.linked.Load()), kept.Graph, now.Graph, k.Put); err != nil {
			return kept, nil, err
		}
	}
	return now, f.manifest(now), nil
}

// save writes the parts of the graph over rows below n that changed.
func (g *graph) save(ctx context.Context, r *rows, n int, had, now map[int]uint64, put func(Part, []byte) error) error {
	gen := rand.Uint64() >> 1 // so that no part of an earlier graph passes for one of this
	if len(had) > 0 {
		gen = 0
	}
	for _, of := range had {
		gen = max(gen, of)
	}
	gen++
	for i := 0; i*partRows < n; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		of, known := had[i]
		if written, ok := g.written[i]; ok && written != of {
			known = false // that one was written for a manifest that never was
		}
		to := min(n, (i+1)*partRows)
		if changed := g.changed[i].Swap(false); !changed && known && g.savedTo >= to {
			now[i] = of
			continue
		}
		g.written[i] = gen
		if err := put(Part{Links: true, Gen: gen, N: i}, g.linkPart(r, uint32(i*partRows), uint32(to))); err != nil {
			return fmt.Errorf("write links of rows %d to %d: %w", i*partRows, to, err)
		}
		now[i] = gen
	}
	g.savedTo = n
	return nil
}

// rowPart encodes rows: name, lean and coarse codes of each. The dead are named as
// well: to the manifest that is there when a part is written they may be alive.
func (r *rows) rowPart(from, to int, name func(uint32) Name) []byte {
	size := len(Name{}) + 4 + r.quant.width/2
	b := make([]byte, 0, (to-from)*size)
	for n := uint32(from); n < uint32(to); n++ {
		in := r.info(n)
		var id Name
		if in.doc != noDoc { // it was dead to that one already
			id = name(in.doc)
		}
		b = append(b, id[:]...)
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(in.lean))
		b = append(b, r.code(n)...)
	}
	return b
}

// linkPart encodes the links of rows from up to to: of each the number of its links
// on level 0, and those; its levels above, and of each the same; its twin.
func (g *graph) linkPart(r *rows, from, to uint32) []byte {
	b := make([]byte, 0, int(to-from)*4*(g.m0+2))
	for n := from; n < to; n++ {
		b = appendLinks(b, g.list(n, 0))
		levels := g.height(n)
		b = append(b, byte(levels))
		for l := 1; l <= levels; l++ {
			b = appendLinks(b, g.list(n, l))
		}
		b = binary.LittleEndian.AppendUint32(b, r.info(n).twin.Load())
	}
	return b
}

func appendLinks(b []byte, list []uint32) []byte {
	at := len(b)
	b = append(b, 0)
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 {
			break
		}
		b = binary.LittleEndian.AppendUint32(b, next)
		b[at]++
	}
	return b
}

// height returns the highest level of row r.
func (g *graph) height(r uint32) int {
	at := atomic.LoadUint32(&g.uppers[r>>chunkShift][r&chunkMask])
	if at == 0 {
		return 0
	}
	return int(g.tower[at>>towerShift][at&(towerSize-1)])
}
