package trainer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/disk"
	"github.com/clipsearch/clipsearch/trainer/data"
)

// Setup is what a run is made from.
type Setup struct {
	Config Config
	Data   string // see data.Options
	Images string
	Eval   string      // data to validate on, all of them; "": the validation split of Data
	Init   *clip.Model // that is trained on; nil: a new network
	// Decode returns the pixels of a picture's file.
	Decode func(file []byte) (*image.RGBA, error)
	// Judge returns the recalls of embeddings, rows of dim numbers: row owner[t] of
	// images is the picture of row t of texts.
	Judge func(ctx context.Context, images, texts []float32, dim int, owner []int64) (textToImage, imageToText Recalls, err error)
	// Quantize writes m, whose towers are float32 graphs, into dir in int8; pictures show
	// what it will see. nil: graphs are exported in float32 only.
	Quantize func(m clip.Model, dir string, pictures []image.Image) error
	Threads  int
	Provider string
	Card     func(Record) string                // the model's card; nil: none
	Note     func(string)                       // what a user should know; may be called by several goroutines
	Progress func(what string, done, total int) // of what takes long before the first step
}

// Training is a run that has its data.
type Training struct {
	setup      Setup
	train, val *data.Set
	record     DataRecord
	learner    *learner
	judge      *judge
	cache      *data.Cache
	locked     *features // of the training pictures
	known      *features // that classes have, too, if those are others
	lockedVal  *features // of those to validate on
}

// Prepare reads the data of a run. Nothing is written.
func Prepare(ctx context.Context, s Setup) (*Training, error) {
	c := s.Config
	t := &Training{setup: s, record: DataRecord{File: s.Data, Images: s.Images, Eval: s.Eval}}
	o := data.Options{Data: s.Data, Images: s.Images, Split: c.Data.Split, HoldOut: c.Data.HoldOut, Seed: uint64(c.Seed), AllowMissing: c.Data.Missing}
	var err error
	if t.train, err = data.Read(o); err != nil {
		return nil, err
	}
	if len(t.train.Items) < 2 {
		return nil, invalid("%s has %d picture to train on: a contrast needs two", s.Data, len(t.train.Items))
	}
	if err := t.readVal(o); err != nil {
		return nil, err
	}
	if left := t.train.Missing + t.train.Uncaptioned; left > 0 {
		s.note("%d pictures are left out: %d are missing, %d have no caption", left, t.train.Missing, t.train.Uncaptioned)
	}
	if t.record.Parts, err = partsDigest(c); err != nil {
		return nil, err
	}
	if t.record.Train, err = setRecord(ctx, t.train); err != nil {
		return nil, err
	}
	if t.val != nil {
		t.record.Validate, err = setRecord(ctx, t.val)
	}
	return t, err
}

// readVal reads what is validated on, if there is anything.
func (t *Training) readVal(o data.Options) (err error) {
	c := t.setup.Config.Data
	switch {
	case t.setup.Eval != "":
		o.Data, o.Split, o.HoldOut = t.setup.Eval, "all", 0
	case c.Val == "none":
		return nil
	default:
		o.Split = c.Val
	}
	o.Limit = t.setup.Config.Run.ValidateLimit
	t.val, err = data.Read(o)
	if err != nil && t.setup.Eval == "" && c.Val == Defaults().Data.Val && errors.Is(err, data.ErrNoSplit) {
		t.setup.note("nothing is validated on, and the last weights are kept: %v", err)
		t.val, err = nil, nil
	}
	if err == nil && t.val != nil && len(t.val.Items) < 2 {
		return invalid("%d picture to validate on: retrieval needs two", len(t.val.Items))
	}
	return err
}

func setRecord(ctx context.Context, s *data.Set) (SetRecord, error) {
	digest, err := s.Digest(ctx)
	return SetRecord{len(s.Items), s.Captions(), hex.EncodeToString(digest[:])}, err
}

func (s Setup) note(format string, args ...any) {
	if s.Note != nil {
		s.Note(fmt.Sprintf(format, args...))
	}
}

// Run returns the run that trains in dir.
func (t *Training) Run(dir string, resume bool) *Run {
	r := &Run{
		Config: t.setup.Config, Dir: dir, Resume: resume, Batch: min(t.setup.Config.Data.Batch, len(t.train.Items)), Note: t.setup.Note,
		Record: Record{Data: t.record},
	}
	if t.setup.Init != nil {
		space := t.setup.Init.Space()
		r.Record.Init = hex.EncodeToString(space[:])
	}
	r.Open = func(ctx context.Context, work string) error { return t.open(ctx, r, work) }
	return r
}

// open makes the network, or reads it, and what it learns from; work is a folder for
// that.
func (t *Training) open(ctx context.Context, r *Run, work string) error {
	net, err := t.network(ctx, work)
	if err != nil {
		return err
	}
	if net.locked != nil {
		if err := t.openLocked(ctx, net, filepath.Join(work, "features")); err != nil {
			return fmt.Errorf("locked image tower: %w", err)
		}
	}
	loader, err := t.loader(ctx, net, r.Batch, filepath.Join(work, "cache"))
	if err != nil {
		return err
	}
	if t.locked == nil {
		if err := enough(ctx, loader, t.train, "train on: a contrast needs two"); err != nil {
			return err
		}
	}
	if t.learner, err = newLearner(t.setup.Config, net, loader, t.locked, t.setup.Threads, t.setup.Provider); err != nil {
		return err
	}
	if err := t.openKnown(ctx, net, filepath.Join(work, "features")); err != nil {
		return err
	}
	r.Learner, r.Record.Parameters = t.learner, int64(len(t.learner.engine.W)-2)
	r.Export = t.export
	if t.val != nil {
		if t.judge, err = t.newJudge(ctx, net.preprocess()); err != nil {
			return err
		}
		r.Validate = t.validate
	}
	return nil
}

// enough returns an error if fewer than two pictures of a set can be read: before hours
// are spent. Features are made of those that can.
func enough(ctx context.Context, l *data.Loader, set *data.Set, why string) error {
	n, err := l.Readable(ctx, 2)
	if err == nil && n < 2 {
		return invalid("%d of %d pictures can be read to %s", n, len(set.Items), why)
	}
	return err
}

// network makes the network: a new one, that of a model, or of a model's image tower
// and a new text tower.
func (t *Training) network(ctx context.Context, work string) (*network, error) {
	c, init := t.setup.Config, t.setup.Init
	if init != nil && init.Image == "" {
		return nil, invalid("model %s has no image tower to train on", init.Name)
	}
	if c.Compose.Image != "" {
		m, err := t.composed(ctx, work)
		if err != nil {
			return nil, err
		}
		return openNetwork(m, m, false, c)
	}
	fresh := init == nil || c.Train.NewText || init.Text == ""
	if !fresh {
		return openNetwork(*init, *init, false, c)
	}
	m, err := scratch(ctx, work, c, t.train)
	if err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	if init == nil {
		return openNetwork(m, m, false, c)
	}
	return openNetwork(*init, m, true, c)
}

// Close frees what open took.
func (t *Training) Close() error {
	var errs []error
	if t.learner != nil {
		errs = append(errs, t.learner.Close())
	}
	if t.cache != nil {
		errs = append(errs, t.cache.Close())
	}
	for _, f := range []*features{t.locked, t.lockedVal, t.known} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// loader draws the batches of the training set: of features, or of pictures, from a
// cache of them if that has room.
func (t *Training) loader(ctx context.Context, net *network, batch int, dir string) (*data.Loader, error) {
	c, p := t.setup.Config, net.preprocess()
	o := data.LoaderOptions{
		Batch: batch, Seed: uint64(c.Seed), Threads: t.setup.Threads, Preprocess: p,
		Report: func(line string) { t.setup.note("%s", line) },
	}
	if t.locked != nil {
		o.Views = len(t.locked.views)
		return data.NewLoader(t.train, o)
	}
	if t.cacheRoom(p, dir) {
		var err error
		t.cache, err = data.OpenCache(ctx, t.train, data.CacheOptions{Dir: dir, Size: p.Size, Threads: t.setup.Threads, Decode: t.setup.Decode,
			Report: func(done, of int) { t.progress("decode pictures", done, of) }})
		if err != nil {
			return nil, err
		}
	}
	o.Decode, o.Augment, o.Cache = t.setup.Decode, c.Augment.augment(), t.cache
	return data.NewLoader(t.train, o)
}

// cacheRoom reports whether the cache of the training pictures may be made: about so
// many bytes, if pictures are half as long again as they are wide.
func (t *Training) cacheRoom(p clip.Preprocess, dir string) bool {
	side := 1.15 * float64(p.Size)
	need := int64(side * side * 1.5 * 3 * float64(len(t.train.Items)))
	if need>>20 >= int64(t.setup.Config.Data.CacheMB) {
		return false
	}
	free, err := disk.Free(existing(dir))
	return err != nil || free > 2*need
}

// existing is the nearest folder above a path that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func (t *Training) progress(what string, done, total int) {
	if t.setup.Progress != nil {
		t.setup.Progress(what, done, total)
	}
}

// augment is the configuration as package data has it.
func (a AugmentConfig) augment() data.Augment {
	o := data.Augment{
		Flip: a.Flip, KeepSides: a.KeepSides, Brightness: a.Brightness, Contrast: a.Contrast, Saturation: a.Saturation, Hue: a.Hue, Gray: a.Gray,
		Ratio: [2]float64{1 / a.CropRatio, a.CropRatio},
	}
	if a.CropMin < 1 {
		o.Scale = [2]float64{a.CropMin, 1}
	}
	return o
}
