package index

import "context"

// Writable returns nil if a write would find room now, and else why not: an error
// wrapping [clipsearch.ErrNoSpace]. Reads are answered either way, and the next
// write looks again: with room made, all is as it was.
func (x *Index) Writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	need := int64(margin)
	if x.writing.TryLock() { // whoever holds it has found room
		if !x.store.ready {
			need = max(need, x.store.sizes.room())
		}
		x.writing.Unlock()
	}
	return checkSpace(x.dir, need)
}
