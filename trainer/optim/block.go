package optim

import (
	"sync"
	"sync/atomic"
)

// block is how many numbers are worked on at a time: what AdamW reads and writes
// of so many fits a core's cache.
const block = 1 << 15

// blocks calls f for every block of n numbers, on so many goroutines.
func blocks(n, threads int, f func(i, from, to int)) {
	count := (n + block - 1) / block
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
			f(i, i*block, min(n, (i+1)*block))
		}
	}
	var others sync.WaitGroup
	for range min(threads, count) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// Each calls f with 0 to n-1, on n goroutines.
func Each(n int, f func(k int)) {
	var others sync.WaitGroup
	for k := 1; k < n; k++ {
		others.Go(func() { f(k) })
	}
	f(0)
	others.Wait()
}

// Blocks calls f for ranges that make up [0,n), on so many goroutines.
func Blocks(n, threads int, f func(from, to int)) {
	blocks(n, threads, func(_, from, to int) { f(from, to) })
}
