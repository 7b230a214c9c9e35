package eval

import (
	"bytes"
	"sync"
	"time"
)

// Bandwidth is how quickly memory was read, in bytes a second.
type Bandwidth struct {
	Bytes   int64   `json:"bytes"`                    // read for one query
	Reached float64 `json:"bytes_per_second"`         // by the queries of a measurement
	Machine float64 `json:"machine_bytes_per_second"` // by as many threads that read and do no more
}

// bandwidth sets what the scans of p read beside what can be read.
func (o IndexOptions) bandwidth(x Finder, p Point) *Bandwidth {
	b := &Bandwidth{Bytes: x.ScanBytes(), Machine: streamed(o.Threads)}
	b.Reached = float64(b.Bytes) * p.QPS
	return b
}

// streamed reads memory that no cache holds from its beginning to its end, and
// returns the bytes a second of the best of some rounds.
func streamed(threads int) float64 {
	const (
		size   = 256 << 20
		page   = 4 << 10 // the smallest that systems have
		rounds = 5
	)
	memory := make([]byte, size)
	for i := 0; i < size; i += page {
		memory[i] = 2 // pages that nobody has written to are all the same one
	}
	var best float64
	for range rounds {
		start := time.Now()
		var readers sync.WaitGroup
		for t := range threads {
			part := memory[t*size/threads : (t+1)*size/threads]
			readers.Go(func() { bytes.IndexByte(part, 1) }) // which is nowhere: the quickest read of Go's own
		}
		readers.Wait()
		best = max(best, size/time.Since(start).Seconds())
	}
	return best
}
