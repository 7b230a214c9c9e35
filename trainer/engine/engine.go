package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// Tensor is a value that a tower is given.
type Tensor = ort.Tensor

// Side is one of a model's towers.
type Side int

const (
	Image Side = iota
	Text
	sides
)

func (s Side) String() string { return [...]string{"image", "text"}[s] }

// Stream is a kind of pairs: the towers that they go through, each an inference graph
// with one output, [batch, features].
type Stream struct {
	Image, Text *onnx.Model
	// Files is where the tensors of both lie that are not in memory, ImageFiles and
	// TextFiles where those of one tower do; nil where there are none.
	Files, ImageFiles, TextFiles fs.FS

	Batch  int     // pairs of a step; any number if zero
	Weight float64 // of its loss in the sum; 1 if zero
}

// tower is one side of a stream.
type tower struct {
	model *onnx.Model
	files fs.FS
}

func (s Stream) tower(side Side) tower {
	t := tower{s.Image, s.ImageFiles}
	if side == Text {
		t = tower{s.Text, s.TextFiles}
	}
	if t.files == nil {
		t.files = s.Files
	}
	return t
}

// inputs are those that a batch brings: old files list the weights among them.
func (t tower) inputs() (list []onnx.Port) {
	for _, p := range t.model.Inputs {
		if !slices.ContainsFunc(t.model.Initializers, func(t *onnx.Tensor) bool { return t.Name == p.Name }) {
			list = append(list, p)
		}
	}
	return list
}

// loaded returns a tensor with its bytes in memory: the same one if they are.
func (t tower) loaded(x *onnx.Tensor) (*onnx.Tensor, error) {
	if x.External == nil {
		return x, nil
	}
	own := *x
	var err error
	if own.Raw, err = ReadExternal(x.External, t.files); err != nil {
		return nil, fmt.Errorf("weight %s: %w", x.Name, err)
	}
	own.External = nil
	return &own, nil
}

// Options of [New].
type Options struct {
	Streams []Stream
	// Trained tells which float32 initializers are trained, by their names. What two towers, or towers of two streams, call by one name is one parameter.
	Trained func(name string) bool

	Loss       string  // InfoNCE if empty
	LogitScale float32 // initial, a logarithm; if zero, as the loss's paper has it
	LogitBias  float32 // initial, of SigLIP; -10 if zero

	Chunk int // rows of a batch that follow one another in a graph; if zero, as many as make about 500 rows of the towers' products
	// GradCache runs a batch in parts, so that memory does not grow with it. The
	// features are computed twice.
	GradCache bool
	Part      int // rows of a part, a multiple of Chunk; 128 if zero

	Seed    uint64 // of the dropout masks
	Threads int    // 1 if zero
	// Sessions is how many graphs are kept, one for each length of texts that batches
	// come with, and a few more; 16 for each stream if zero, and 9 at least.
	Sessions int
	Provider string // see ort.Options
}

// Engine holds the weights and computes their gradients. Its methods are called from
// one goroutine at a time.
type Engine struct {
	Params []Param
	// W are the weights, which an optimizer changes between steps, and G the gradients
	// of the last step. The last two are LogitScale and LogitBias.
	W, G []float32
	// Losses are those of the last step, one a stream, before they are weighted.
	Losses []float64

	o        Options
	byName   map[string]int // in Params
	programs cache
	lanes    [lanes]lane
	work     buffers
	large    int64 // parameters of so many numbers are tables, see building.tables
}

// New reads the initial weights. Graphs are built when a step comes with a new shape.
func New(o Options) (*Engine, error) {
	loss, err := lossNamed(o.Loss)
	if err != nil {
		return nil, err
	}
	o.Loss, o.Part, o.Threads = loss, cmp.Or(o.Part, 128), cmp.Or(o.Threads, 1)
	o.Sessions = max(cmp.Or(o.Sessions, 16*len(o.Streams)), 9*len(o.Streams))
	if err := check(o); err != nil {
		return nil, fmt.Errorf("%w: %w", err, clipsearch.ErrInvalid)
	}
	e := &Engine{o: o, work: buffers{loss: make([]float32, 1)}, large: 1 << 18, byName: map[string]int{}, Losses: make([]float64, len(o.Streams))}
	sources, err := e.gather()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(e.addParam(LogitScale, []int64{1}), e.addParam(LogitBias, []int64{1})); err != nil {
		return nil, err
	}
	if err := e.load(sources); err != nil {
		return nil, err
	}
	e.makeLanes()
	return e, nil
}

func check(o Options) error {
	if len(o.Streams) == 0 || o.Trained == nil {
		return errors.New("no stream of pairs, or nothing said of what is trained")
	}
	for i, s := range o.Streams {
		for side := range sides {
			m := s.tower(side).model
			if m == nil || len(m.Outputs) != 1 || len(s.tower(side).inputs()) == 0 {
				return fmt.Errorf("stream %d has no %s tower of one output", i, side)
			}
		}
		if s.Batch < 0 || s.Batch == 1 || s.Weight < 0 {
			return fmt.Errorf("stream %d has batches of %d and weight %g: a contrast needs two pairs", i, s.Batch, s.Weight)
		}
	}
	if o.Chunk < 0 || o.Part < 1 || o.Threads < 1 || o.Sessions < 1 {
		return errors.New("negative chunks, parts, threads or sessions")
	}
	if o.GradCache && o.Chunk > 0 && o.Part%o.Chunk != 0 {
		return fmt.Errorf("parts of %d rows in chunks of %d: a part is a multiple of a chunk", o.Part, o.Chunk)
	}
	return nil
}

// Close frees the sessions.
func (e *Engine) Close() error { return e.programs.close() }
