package index

import (
	"context"
	"fmt"
)

// quickly is how many bytes of tables are read in passing, to see whether they can be.
const quickly = 32 << 20

// Damage says what searches leave out because it cannot be read, as far as that is
// known; empty if nothing. It takes no lock.
func (x *Index) Damage(ctx context.Context) (string, error) {
	if what := x.store.broken.Load(); what != nil {
		return fmt.Sprintf("a table of the store is damaged (%s), and pictures may be left out: `clipsearch check` names what is lost", *what), ctx.Err()
	}
	if what := x.short.Load(); what != nil {
		return *what, ctx.Err()
	}
	return "", ctx.Err()
}

// inspect compares vectors that were loaded with what the store should have. Where
// they were read one by one, or all is small, it reads the tables too: whoever reads
// a damaged one just finds less in it. The caller holds x.writing.
func (x *Index) inspect(ctx context.Context, m Meta, n *near) error {
	if n.kept.File == "" || x.store.tablesSize() <= quickly {
		x.store.look()
	}
	return x.view(ctx, func(t tx) error {
		x.short.Store(nil)
		c, err := t.counts()
		if want := c.of(m.Space).Images; err != nil || n.Len() < want {
			what := fmt.Sprintf("%d of %d pictures can be read, the others are left out: `clipsearch check` names them", n.Len(), want)
			if err != nil {
				what = fmt.Sprintf("how many pictures there are cannot be read (%v): run `clipsearch check`", err)
			}
			x.short.Store(&what)
		}
		return nil
	})
}

// counts reads n. Where there is none, or no picture, it makes sure that this is so:
// of what lies behind a damage in a table nothing is found either.
func (x *Index) counts(t tx) (counts, error) {
	c, err := t.counts()
	if err != nil || c.Images > 0 {
		return c, err
	}
	x.store.lookHeld()
	if what := x.store.broken.Load(); what != nil {
		return c, fmt.Errorf("a table of the store is damaged (%s): `clipsearch check` names the pictures; %s", *what, save)
	}
	return c, nil
}
