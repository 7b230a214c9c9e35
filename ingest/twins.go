package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/clipsearch/clipsearch"
)

// claims are the pictures under way. The file that claims a picture is its holder;
// a file with the same bytes that comes before the holder is stored is a twin: it
// is not decoded, and settle keeps it until the holder is done. So one picture is
// encoded once, and its captions are changed by one file at a time.
type claims struct {
	mu   sync.Mutex
	held map[clipsearch.ID]bool
}

// take reports whether nobody held id; now somebody does.
func (c *claims) take(id clipsearch.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[clipsearch.ID]bool{}
	}
	was := c.held[id]
	c.held[id] = true
	return !was
}

func (c *claims) release(id clipsearch.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, id)
}

// takeTwin settles a twin, or has it wait.
func (r *run) takeTwin(ctx context.Context, it item) error {
	id := it.entry.ID
	if bad, settled := r.settled[id]; settled {
		it.err = bad
		return r.done(ctx, it)
	}
	if !r.claims.take(id) {
		r.waiting[id] = append(r.waiting[id], it)
		return nil
	}
	return r.settleTwins(ctx, []item{it})
}

// unclaim gives up what it claimed, in favor of the twins that wait.
func (r *run) unclaim(ctx context.Context, it item) error {
	id := it.entry.ID
	twins := r.waiting[id]
	delete(r.waiting, id)
	if r.DryRun || it.err != nil && it.outcome == outcomeStored {
		r.settled[id] = it.err // the store will not tell, so the claim stays
		for _, twin := range twins {
			twin.err = it.err
			if err := r.done(ctx, twin); err != nil {
				return err
			}
		}
		return nil
	}
	if len(twins) > 0 {
		return r.settleTwins(ctx, twins)
	}
	r.claims.release(id)
	return nil
}

// settleTwins stores the paths of files whose picture the store has, and what
// captions they bring. The last of them holds the claim.
func (r *run) settleTwins(ctx context.Context, twins []item) error {
	if ctx.Err() != nil {
		return nil // their paths are not stored: the next run finds them
	}
	captions, err := r.captionsOfTwins(ctx, twins)
	if err != nil {
		return err
	}
	twins[0].entry.Captions = captions
	bad := r.encodeCaptions(ctx, twins[:1])
	for i, it := range twins {
		it.claimed = i == len(twins)-1
		it.put = captions != nil || it.id == (clipsearch.ID{}) // else the store has seen it
		if bad != nil && r.mayHaveCaptions(it.found) {
			it.err = plain(bad)
		}
		it.twin = false
		if err := r.take(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// captionsOfTwins returns all captions that the picture should have, or nil where it
// has them.
func (r *run) captionsOfTwins(ctx context.Context, twins []item) ([]string, error) {
	var bring []string
	for _, it := range twins {
		if r.mayHaveCaptions(it.found) {
			bring = append(bring, r.captions(it.found)...)
		}
	}
	if bring == nil {
		return nil, nil
	}
	rec, err := r.Store.Image(ctx, twins[0].entry.ID)
	if err != nil && !errors.Is(err, clipsearch.ErrNotFound) {
		return nil, fmt.Errorf("look up picture %s: %w", twins[0].entry.ID, err)
	}
	all := distinct(slices.Concat(rec.Captions, bring))
	if len(all) == len(rec.Captions) {
		return nil, nil
	}
	return all, nil
}
