package ann

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// graph is a hierarchical navigable small world (Malkov and Yashunin 2016, 2018)
// over rows. Readers take no lock: a list that changes under them is a mix of the
// old and the new one, and every link in it leads to a row.
type graph struct {
	m0, m  int // links of a node on level 0, and above
	ef     int // ef_construction
	seed   uint64
	entry  atomic.Uint64 // level<<32 | row, plus one: 0 is an empty graph
	linked atomic.Uint32 // rows below are in the graph, or dead, or twins
	mended atomic.Uint32 // what linked was when the graph was last mended

	links  [maxChunks][]uint32 // m0 a row; 0 ends the list
	uppers [maxChunks][]uint32 // of each row where its upper links begin in tower, 0: nowhere
	tower  [maxChunks][]uint32 // for each row with upper levels: levels, then m links each
	built  uint32              // numbers in tower
	grown  sync.Mutex          // guards the growth of all three
	rising sync.Mutex          // who sets entry
	locks  [1 << 10]sync.Mutex // of the links of a row
	slabs  *slabs

	changed [maxChunks * chunkRows / partRows]atomic.Bool // parts whose links are others than those kept
	savedTo int                                           // rows below were linked when it was last written
	written map[int]uint64                                // of each part: under which generation that was
}

// A link is the number of a row, one more, and what is known of the row: that it is
// spare, being nearer to another row of the list than to the list's owner; or that it
// came since the list was last chosen, so that nobody knows.
const (
	linkRow = 1<<27 - 1 // > maxChunks*chunkRows
	spare   = 1 << 31
	unknown = 1 << 30
)

// leads returns which row a link leads to.
func leads(link uint32) uint32 { return link&linkRow - 1 }

const (
	towerShift = 18
	towerSize  = 1 << towerShift
	maxLevel   = 24
)

func newGraph(m, ef int, seed uint64) *graph {
	return &graph{m0: 2 * m, m: m, ef: ef, seed: seed, built: 1, slabs: newSlabs(), written: map[int]uint64{}}
}

// level draws how high row r reaches: geometrically, with factor 1/ln m. It depends
// on the row alone, not on who comes first.
func (g *graph) level(r uint32) int {
	x := g.seed + (uint64(r)+1)*0x9e3779b97f4a7c15 // splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	u := (float64(x>>11) + 0.5) / (1 << 53)
	return min(maxLevel, int(-math.Log(u)/math.Log(float64(g.m))))
}

// reserve makes room for the links of rows below n.
func (g *graph) reserve(n int) error {
	g.grown.Lock()
	defer g.grown.Unlock()
	for c := range (n + chunkMask) >> chunkShift {
		if g.links[c] != nil {
			continue
		}
		b, err := g.slabs.allocate(4 * chunkRows * g.m0)
		if err != nil {
			return err
		}
		g.uppers[c] = make([]uint32, chunkRows)
		g.links[c] = unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), chunkRows*g.m0)
	}
	return nil
}

// raise makes room for the upper links of row r, which nobody sees yet.
func (g *graph) raise(r uint32, levels int) error {
	if levels == 0 {
		return nil
	}
	need := uint32(1 + levels*g.m)
	g.grown.Lock()
	defer g.grown.Unlock()
	if g.uppers[r>>chunkShift][r&chunkMask] != 0 {
		return nil // an attempt before this one has made it
	}
	if g.built>>towerShift != (g.built+need)>>towerShift {
		g.built = (g.built + need) >> towerShift << towerShift // a tower lies in one piece
	}
	c := g.built >> towerShift
	if c >= maxChunks {
		return fmt.Errorf("a graph of more than %d upper links", maxChunks*towerSize)
	}
	if g.tower[c] == nil {
		g.tower[c] = make([]uint32, towerSize)
	}
	g.tower[c][g.built&(towerSize-1)] = uint32(levels)
	atomic.StoreUint32(&g.uppers[r>>chunkShift][r&chunkMask], g.built)
	g.built += need
	return nil
}

// list returns the links of row r on a level, m0 or m of them; nil if it does not
// reach so high. They are read and written atomically.
func (g *graph) list(r uint32, level int) []uint32 {
	if level == 0 {
		at := int(r&chunkMask) * g.m0
		return g.links[r>>chunkShift][at : at+g.m0 : at+g.m0]
	}
	at := atomic.LoadUint32(&g.uppers[r>>chunkShift][r&chunkMask])
	if at == 0 {
		return nil
	}
	t := g.tower[at>>towerShift][at&(towerSize-1):]
	if level > int(t[0]) {
		return nil
	}
	from := 1 + (level-1)*g.m
	return t[from : from+g.m : from+g.m]
}

func (g *graph) lock(r uint32) *sync.Mutex {
	return &g.locks[bits.Reverse32(r*0x9e3779b1)&(uint32(len(g.locks))-1)]
}

// top returns where every walk begins.
func (g *graph) top() (row uint32, level int, ok bool) {
	e := g.entry.Load()
	if e == 0 {
		return 0, 0, false
	}
	e--
	return uint32(e), int(e >> 32), true
}

func (g *graph) setTop(row uint32, level int) { g.entry.Store(uint64(level)<<32 + uint64(row) + 1) }

// neighbours sets w.ids to the links of r on a level that w has not visited.
func (g *graph) neighbours(w *walker, r uint32, level int) {
	list := g.list(r, level)
	ids := slices.Grow(w.ids[:0], len(list))[:len(list)]
	n := 0
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 {
			break
		}
		next = leads(next)
		ids[n] = next // taken back where it was visited: a processor cannot guess that
		n += w.visitOnce(next)
	}
	w.ids = ids[:n]
}

// fetch asks for the links of row r, which will be read soon.
func (g *graph) fetch(r uint32, level int) {
	if level == 0 {
		simd.Prefetch((*byte)(unsafe.Pointer(&g.links[r>>chunkShift][int(r&chunkMask)*g.m0])), 4*g.m0)
	}
}

// descend walks greedily from the top to the level above to.
func (g *graph) descend(w *walker, r *rows, q []int8, to int) (spot, bool) {
	row, level, ok := g.top()
	if !ok {
		return 0, false
	}
	w.ids = append(w.ids[:0], row)
	w.score(r, q)
	best := newSpot(w.scores[0], row)
	for ; level > to; level-- {
		for {
			from := best
			w.ids = w.ids[:0]
			list := g.list(best.row(), level)
			for i := range list {
				next := atomic.LoadUint32(&list[i])
				if next == 0 {
					break
				}
				w.ids = append(w.ids, leads(next))
			}
			w.score(r, q)
			for i, id := range w.ids {
				best = max(best, newSpot(w.scores[i], id))
			}
			if best == from {
				break
			}
		}
	}
	return best, true
}

// walk finds the ef best rows on a level, from those in w.beam on (algorithm 2):
// it follows the links of the best row not yet followed, until the beam holds none.
func (g *graph) walk(w *walker, r *rows, q []int8, level, ef int) {
	for next := 0; next < len(w.beam); {
		from := w.beam[next]
		if from&followed != 0 {
			next++
			continue
		}
		w.beam[next] |= followed
		g.neighbours(w, from.row(), level)
		if len(w.ids) == 0 {
			continue
		}
		if next+1 < len(w.beam) {
			g.fetch(w.beam[next+1].row(), level)
		}
		w.score(r, q)
		for i, id := range w.ids {
			if s := newSpot(w.scores[i], id); len(w.beam) < ef || s > w.beam[ef-1] {
				next = min(next, w.keep(s, ef))
			}
		}
	}
}
