package trainer

import (
	"context"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// openLocked makes the features of a locked image tower, or finds them in dir, for all
// views of the training pictures and for those that are validated on. Damaged pictures
// are left out from here on.
func (t *Training) openLocked(ctx context.Context, net *network, dir string) error {
	c := t.setup.Config
	tower, err := engine.OpenFrozen(net.locked, net.files[engine.Image], t.setup.Threads, t.setup.Provider)
	if err != nil {
		return err
	}
	defer tower.Close()
	space := net.models[engine.Image].Space()
	if c.Data.FeatureCache != "" {
		dir = c.Data.FeatureCache
	}
	open := func(set *data.Set, views int) (*data.Set, *features, error) {
		loader, err := data.NewLoader(set, data.LoaderOptions{
			Batch: judgeBatch, Seed: uint64(c.Seed), Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: net.preprocess(), Augment: c.Augment.augment(),
			Report: func(line string) { t.setup.note("%s", line) },
		})
		if err != nil {
			return set, nil, err
		}
		m := featureMaker{
			dir: dir, tower: tower, loader: loader, set: set, size: net.preprocess().Size,
			space:    fmt.Sprintf("%x %s %d", space, asJSON(c.Augment), c.Seed),
			progress: func(done, total int) { t.progress("encode pictures", done, total) },
		}
		f, err := m.open(ctx, views)
		if err != nil {
			return set, nil, err
		}
		set, err = f.undamaged(set)
		return set, f, err
	}
	if t.train, t.locked, err = open(t.train, c.Data.Views); err != nil || t.val == nil {
		return err
	}
	t.val, t.lockedVal, err = open(t.val, 1)
	return err
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
