package data

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// random returns the numbers that belong to a purpose and a place: the same ones
// whoever asks, and in whatever order.
func random(seed uint64, purpose string, place ...uint64) *rand.Rand {
	b := binary.LittleEndian.AppendUint64([]byte(purpose+"\x00"), seed)
	for _, p := range place {
		b = binary.LittleEndian.AppendUint64(b, p)
	}
	sum := sha256.Sum256(b)
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
}

// order says which picture is where in the endless row of epochs that batches are cut
// from. It is safe for concurrent use.
type order struct {
	n, batch int
	seed     uint64

	mu   sync.Mutex
	kept map[int][]int32 // epochs asked for last
}

// batchOf returns the pictures of a step and the epoch of each.
func (o *order) batchOf(step int) (items, epochs []int) {
	for row := range o.batch {
		at := int64(step)*int64(o.batch) + int64(row)
		epoch := int(at / int64(o.n))
		items = append(items, int(o.epoch(epoch)[at%int64(o.n)]))
		epochs = append(epochs, epoch)
	}
	return items, epochs
}

// epoch returns the order of an epoch.
func (o *order) epoch(e int) []int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if perm := o.kept[e]; perm != nil {
		return perm
	}
	from := e // where a row of epochs begins of which each needs the one before
	if o.n < 2*o.batch {
		for from = e; from > 0 && o.kept[from-1] == nil; from-- {
		}
	}
	for x := from; x <= e; x++ {
		perm := o.shuffled(x)
		if t := o.shared(x); t > 0 {
			o.part(perm, o.last(x-1, t), o.batch-t)
		}
		o.keep(x, perm)
	}
	return o.kept[e]
}

func (o *order) keep(e int, perm []int32) {
	if o.kept == nil {
		o.kept = map[int][]int32{}
	}
	for x := range o.kept {
		if x < e-1 || x > e+1 {
			delete(o.kept, x)
		}
	}
	o.kept[e] = perm
}

// shuffled returns the pictures in the order that epoch e has but for its head.
func (o *order) shuffled(e int) []int32 {
	perm := make([]int32, o.n)
	for i := range perm {
		perm[i] = int32(i)
	}
	random(o.seed, "order", uint64(e)).Shuffle(len(perm), func(i, j int) { perm[i], perm[j] = perm[j], perm[i] })
	return perm
}

// shared returns how many pictures of the epoch before lie in the first batch of e.
func (o *order) shared(e int) int {
	return int(int64(e) * int64(o.n) % int64(o.batch))
}

// last returns the last t pictures of an epoch. In a set of two batches or more no
// exchange reaches so far, and the epoch before it need not be known.
func (o *order) last(e, t int) []int32 {
	perm := o.kept[e]
	if perm == nil {
		perm = o.shuffled(e)
	}
	return perm[o.n-t:]
}

// part moves those of the pictures seen just before that are among the first head of
// perm behind them, in exchange for the next that were not seen: a batch across two
// epochs has no picture twice.
func (o *order) part(perm, seen []int32, head int) {
	is := make(map[int32]bool, len(seen))
	for _, i := range seen {
		is[i] = true
	}
	next := head
	for i := range head {
		if !is[perm[i]] {
			continue
		}
		for is[perm[next]] {
			next++
		}
		perm[i], perm[next] = perm[next], perm[i]
		next++
	}
}
