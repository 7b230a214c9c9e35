package engine

import (
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// masks makes inputs of the dropout masks that the chunk asked for, which has n rows
// from one of the program's on.
func (b *building) masks(side Side, at, n int) {
	all := b.g.Masks()
	for i, m := range all[b.dropped:] {
		var drawn [lanes]mask // kept from step to step
		b.p.in = append(b.p.in, port{name: m.Name, of: func(c *call) Tensor {
			d := &drawn[c.lane.i]
			if d.values == nil {
				d.values = make([]float32, size(m.Shape))
			}
			first := (c.first + at) * (len(d.values) / n)
			if key := c.key(side, i); d.key != key || d.first != first { // else it is that of the forward pass
				d.key, d.first = key, first
				drop(d.values, m, key, first, max(1, c.e.o.Threads/lanes))
			}
			return Tensor{Shape: m.Shape, F32: d.values}
		}})
	}
	b.dropped = len(all)
}

// mask is what was drawn last for an input.
type mask struct {
	values []float32
	key    uint64
	first  int
}

func size(dims []int64) int {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// key is that of the random numbers of a side's mask i in this step.
func (c *call) key(side Side, i int) uint64 {
	key := c.e.o.Seed
	for _, v := range []uint64{c.step, uint64(c.stream), uint64(side), uint64(i)} {
		key = mix(key ^ mix(v+1))
	}
	return key
}

// drop fills a mask whose first element has that place in the batch's. What an
// element is depends on its place and the key alone: however a batch is cut, it drops
// the same.
func drop(mask []float32, m onnx.DropoutMask, key uint64, first, threads int) {
	kept := float32(1 / (1 - m.Ratio))
	limit := uint32(m.Ratio * (1 << 32))
	optim.Blocks(len(mask), threads, func(from, to int) {
		for i := from; i < to; i++ {
			v := kept
			if uint32(mix(key+uint64(first+i)*0x9e3779b97f4a7c15)>>32) < limit {
				v = 0
			}
			mask[i] = v
		}
	})
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
