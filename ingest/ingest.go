package ingest

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/clipsearch/clipsearch"
)

// Encoder makes the vectors. Its methods are called from several goroutines.
type Encoder interface {
	// Fit returns what the model sees of a picture.
	Fit(img image.Image) *image.RGBA
	EncodeImages(ctx context.Context, imgs []image.Image) ([]clipsearch.Vector, error)
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
	Space() clipsearch.Space
}

// Store keeps the entries. Seen and Image are called from several goroutines.
type Store interface {
	// Seen returns for each file the picture stored for that path with that size
	// and time, else the zero ID.
	Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error)
	Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error)
	// Put stores all of a batch or nothing. A path names one picture: the picture
	// that had it before loses it.
	Put(ctx context.Context, batch []clipsearch.Entry) error
	Forget(ctx context.Context, paths []string) (int, error)
	Files(ctx context.Context) ([]clipsearch.File, error)
}

// Pipeline says how folders are ingested. Encoder and Store are required.
type Pipeline struct {
	Encoder Encoder
	Store   Store

	Jobs      int   // pictures read and decoded at once; the number of CPUs if zero
	Encoders  int   // batches encoded at once; Jobs if zero
	Batch     int   // pictures to the encoder at once; 16 if zero
	PutBatch  int   // entries to the store at once; 64 if zero
	MaxPixels int64 // a picture that has more is refused; what package picture says if zero
	Memory    int64 // bytes of decoded pictures at once, a single larger one aside; 256 MB if zero
	ThumbSide int   // longest side of a thumbnail; 384 if zero

	Exclude  []string // globs (** crosses folders) of paths below a root, names, or absolute paths to leave out
	Skip     []string // folders and files to leave out, such as the index itself
	Captions Captions
	Ready    Ready // take these instead of roots, with the vectors that they have
	Wordless bool  // the encoder has no words: captions are stored without vectors
	DryRun   bool  // read, hash and count; store nothing
	Prune    bool  // forget files below the roots that are gone from disk

	// Report and Failed are called from one goroutine, never at the same time,
	// Report about ten times a second and once at the end. Either may be nil.
	Report func(Progress)
	Failed func(path string, err error)
}

// run is one call of Run: the pipeline and what its stages share.
type run struct {
	*Pipeline
	roots   []root
	claims  claims
	reading *semaphore.Weighted // bytes of files in memory
	pixels  *semaphore.Weighted // bytes of decoded pictures

	files   chan found   // scan → sift
	unseen  chan found   // sift → prepare
	ready   chan item    // prepare → gather
	batches chan []item  // gather → encode
	results chan item    // every stage → settle
	encoded atomic.Bool  // the encoder has worked at least once
	total   atomic.Int64 // files found, once the walk has ended; -1 before

	skipped int // by scan alone
	tally
	ledger
}

// Run ingests every picture under roots: folders, files and archives; or those of
// Ready. A root that
// does not exist is the caller's mistake, and nothing is done. A file that cannot
// be read or decoded is counted and passed over; an error of the store, or of an
// encoder that fails for every picture, ends the run. What was stored before an
// error or a cancellation stays stored and is told by the Summary beside the error.
func (p *Pipeline) Run(ctx context.Context, roots ...string) (Summary, error) {
	r, err := p.newRun(roots)
	if err != nil {
		return Summary{}, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.produce(gctx) })
	g.Go(func() error { return r.settle(gctx) })
	err = g.Wait() // before the summary is read
	if err == nil && p.Prune {
		err = r.prune(ctx)
	}
	return r.summary(), err
}

func (p *Pipeline) newRun(paths []string) (*run, error) {
	roots, err := openRoots(paths)
	if err != nil {
		return nil, err
	}
	for _, glob := range p.Exclude {
		if !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("exclude %q: the pattern cannot be read, see `**/drafts/**` or `*.png`: %w", glob, clipsearch.ErrInvalid)
		}
	}
	q := *p
	q.Jobs = cmp.Or(q.Jobs, runtime.GOMAXPROCS(0))
	q.Encoders = cmp.Or(q.Encoders, q.Jobs)
	q.Batch = cmp.Or(q.Batch, 16)
	q.PutBatch = cmp.Or(q.PutBatch, 64)
	q.Memory = cmp.Or(q.Memory, 256<<20)
	q.ThumbSide = cmp.Or(q.ThumbSide, thumbSide)
	r := &run{
		Pipeline: &q,
		roots:    roots,
		reading:  semaphore.NewWeighted(q.Memory),
		pixels:   semaphore.NewWeighted(q.Memory),
		files:    make(chan found, seenBatch),
		unseen:   make(chan found, seenBatch),
		ready:    make(chan item, 2*q.Batch), // small: prepare has shrunk the pixels
		batches:  make(chan []item),
		results:  make(chan item, 4*q.Batch),
		tally:    newTally(time.Now()),
		ledger:   ledger{waiting: map[clipsearch.ID][]item{}, settled: map[clipsearch.ID]error{}},
	}
	r.total.Store(-1)
	return r, nil
}

// produce runs the stages that send to settle, and closes what it reads.
func (r *run) produce(ctx context.Context) error {
	defer close(r.results)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(r.files)
		return r.scan(ctx)
	})
	g.Go(func() error {
		defer close(r.unseen)
		return r.sift(ctx)
	})
	g.Go(func() error {
		defer close(r.ready)
		return parallel(ctx, r.Jobs, r.prepareAll)
	})
	g.Go(func() error {
		defer close(r.batches)
		return r.gather(ctx)
	})
	g.Go(func() error { return parallel(ctx, r.Encoders, r.encodeAll) })
	return g.Wait()
}

// parallel runs n copies of work and returns the first error.
func parallel(ctx context.Context, n int, work func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error { return work(ctx) })
	}
	return g.Wait()
}

// send delivers v unless ctx ends first.
func send[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case ch <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolved is path without symbolic links, or as it is where that cannot be told.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
