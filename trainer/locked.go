package trainer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// openLocked makes the features of a locked image tower, or finds them in dir, for all
// views of the training pictures and for those that are validated on. Damaged pictures
// are left out from here on.
func (t *Training) openLocked(ctx context.Context, net *network, dir string) error {
	tower, err := engine.OpenFrozen(net.locked, net.files[engine.Image], t.setup.Threads, t.setup.Provider)
	if err != nil {
		return err
	}
	defer tower.Close()
	if t.train, t.locked, err = t.featuresOf(ctx, tower, net.preprocess(), t.train, t.setup.Config.Data.Views, dir); err != nil || t.val == nil {
		return err
	}
	t.val, t.lockedVal, err = t.featuresOf(ctx, tower, net.preprocess(), t.val, 1, dir)
	return err
}

// featuresOf returns what a frozen graph makes of so many views of a set's pictures, and
// the set without those that are damaged.
func (t *Training) featuresOf(ctx context.Context, tower *engine.Frozen, p clip.Preprocess, set *data.Set, views int, dir string) (*data.Set, *features, error) {
	c := t.setup.Config
	dir = cmp.Or(c.Data.FeatureCache, dir)
	loader, err := data.NewLoader(set, data.LoaderOptions{
		Batch: judgeBatch, Seed: uint64(c.Data.ViewSeed), Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: p, Augment: c.Augment.augment(),
		Report: func(line string) { t.setup.note("%s", line) },
	})
	if err != nil {
		return set, nil, err
	}
	m := featureMaker{
		dir: dir, tower: tower, loader: loader, set: set, size: p.Size,
		space:    fmt.Sprintf("%s %s %s %d", tower.Digest(), asJSON(p), asJSON(c.Augment), c.Data.ViewSeed),
		progress: func(done, total int) { t.progress("encode pictures", done, total) },
		note:     t.setup.note,
	}
	f, err := m.open(ctx, views)
	if err != nil {
		return set, nil, err
	}
	set, err = f.undamaged(set)
	return set, f, err
}

// undamaged returns the set without the pictures that could not be read, and forgets
// their features.
func (f *features) undamaged(set *data.Set) (*data.Set, error) {
	good, err := f.good()
	if err != nil {
		return set, err
	}
	f.at = nil
	left := *set
	left.Items = nil
	for i, it := range set.Items {
		if good[i] {
			left.Items, f.at = append(left.Items, it), append(f.at, i)
		}
	}
	if len(left.Items) < 2 {
		return set, invalid("%d of %d pictures can be read", len(left.Items), len(set.Items))
	}
	left.Items = slices.Clip(left.Items)
	return &left, nil
}
