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
	Judge    func(ctx context.Context, images, texts []float32, dim int, owner []int64) (textToImage, imageToText Recalls, err error)
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
func (t *Training) open(ctx context.Context, r *Run, work string) (err error) {
	c := t.setup.Config
	var m clip.Model
	if t.setup.Init != nil {
		m = *t.setup.Init
	} else if m, err = scratch(ctx, work, c, t.train); err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	net, err := openNetwork(m, c.Train)
	if err != nil {
		return err
	}
	loader, err := t.loader(ctx, t.train, m.Preprocess, r.Batch, filepath.Join(work, "cache"))
	if err != nil {
		return err
	}
	if t.learner, err = newLearner(c, net, loader, t.setup.Threads, t.setup.Provider); err != nil {
		return err
	}
	r.Learner, r.Record.Parameters = t.learner, int64(len(t.learner.engine.W)-2)
	r.Export = t.export
	if t.val != nil {
		if t.judge, err = t.newJudge(m.Preprocess); err != nil {
			return err
		}
		r.Validate = t.validate
	}
	return nil
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
	return errors.Join(errs...)
}

// loader draws the batches of the training set, from a cache of its pictures if that
// has room.
func (t *Training) loader(ctx context.Context, set *data.Set, p clip.Preprocess, batch int, dir string) (*data.Loader, error) {
	c := t.setup.Config
	if room := t.cacheRoom(p, dir); room {
		var err error
		t.cache, err = data.OpenCache(ctx, set, data.CacheOptions{Dir: dir, Size: p.Size, Threads: t.setup.Threads, Decode: t.setup.Decode,
			Report: func(done, of int) { t.progress("decode pictures", done, of) }})
		if err != nil {
			return nil, err
		}
	}
	return data.NewLoader(set, data.LoaderOptions{
		Batch: batch, Seed: uint64(c.Seed), Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: p, Augment: c.Augment.augment(), Cache: t.cache,
		Report: func(line string) { t.setup.note("%s", line) },
	})
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
