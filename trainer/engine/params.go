package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// The parameters of the loss, the last two of an engine.
const (
	LogitScale = "logit_scale" // the logarithm of what cosines are multiplied by
	LogitBias  = "logit_bias"  // what SigLIP adds to them; it stays zero in other losses
)

// Param is a parameter: which of the numbers of W and G are its.
type Param struct {
	Name   string
	Dims   []int64
	Offset int
	Len    int
}

// of returns the parameter's part of W or G.
func (p Param) of(flat []float32) []float32 { return flat[p.Offset : p.Offset+p.Len : p.Offset+p.Len] }

func (p Param) tensor(flat []float32) Tensor {
	return Tensor{Shape: p.shape(), F32: p.of(flat)}
}

// shape is that of the graphs' input: the binding has no tensors without dimensions.
func (p Param) shape() []int64 {
	if len(p.Dims) == 0 {
		return []int64{1}
	}
	return p.Dims
}

// source is where the initial numbers of a parameter are.
type source struct {
	t     *onnx.Tensor
	tower tower
}

// gather lists the trained initializers of all towers, in order, each name once.
func (e *Engine) gather() ([]source, error) {
	var sources []source
	for _, s := range e.o.Streams {
		for side := range sides {
			for _, t := range s.tower(side).model.Initializers {
				if t.Type != onnx.Float || !e.o.Trained(t.Name) {
					continue
				}
				if i, met := e.byName[t.Name]; met {
					if !slices.Equal(e.Params[i].Dims, t.Dims) {
						return nil, fmt.Errorf("two towers have a weight %s, of %v and of %v: give one of them another name: %w", t.Name, e.Params[i].Dims, t.Dims, clipsearch.ErrInvalid)
					}
					continue
				}
				if err := e.addParam(t.Name, t.Dims); err != nil {
					return nil, err
				}
				sources = append(sources, source{t, s.tower(side)})
			}
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no weight of the towers is trained: %w", clipsearch.ErrInvalid)
	}
	return sources, nil
}

func (e *Engine) addParam(name string, dims []int64) error {
	n, err := (&onnx.Tensor{Name: name, Dims: dims}).Len()
	if err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("weight %s of %v cannot be trained: %w", name, dims, clipsearch.ErrInvalid))
	}
	if _, taken := e.byName[name]; taken {
		return fmt.Errorf("a weight of a tower is called %s, as the loss's is: give it another name: %w", name, clipsearch.ErrInvalid)
	}
	at := 0
	if last := len(e.Params) - 1; last >= 0 {
		at = e.Params[last].Offset + e.Params[last].Len
	}
	e.byName[name] = len(e.Params)
	e.Params = append(e.Params, Param{name, slices.Clone(dims), at, int(n)})
	return nil
}

// load reads the initial weights.
func (e *Engine) load(sources []source) error {
	last := e.Params[len(e.Params)-1]
	e.W, e.G = optim.Zeros(last.Offset+last.Len), optim.Zeros(last.Offset+last.Len)
	for i, s := range sources {
		t, err := s.tower.loaded(s.t)
		if err != nil {
			return err
		}
		w := e.Params[i].of(e.W)
		if len(t.Raw) != 4*len(w) {
			return fmt.Errorf("weight %s of %v has %d bytes: %w", t.Name, t.Dims, len(t.Raw), clipsearch.ErrInvalid)
		}
		for j := range w {
			w[j] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*j:]))
			if x := float64(w[j]); math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("weight %s of %v holds %v: it is damaged: %w", t.Name, t.Dims, x, clipsearch.ErrInvalid)
			}
		}
	}
	scale, bias := start(e.o.Loss)
	e.W[len(e.W)-2] = cmp.Or(e.o.LogitScale, scale)
	e.W[len(e.W)-1] = cmp.Or(e.o.LogitBias, bias)
	return nil
}

// ReadExternal returns the bytes of a tensor that lies in a file.
func ReadExternal(x *onnx.External, files fs.FS) ([]byte, error) {
	if files == nil {
		return nil, fmt.Errorf("it lies in %s, and where that is was not said", x.Location)
	}
	f, err := files.Open(x.Location)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, x.Length)
	if at, ok := f.(io.ReaderAt); ok {
		_, err = at.ReadAt(raw, x.Offset)
	} else if _, err = io.CopyN(io.Discard, f, x.Offset); err == nil {
		_, err = io.ReadFull(f, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read %d bytes at %d of %s: %w", x.Length, x.Offset, x.Location, err)
	}
	return raw, nil
}

// Clamp brings the scale back to between 1 and 100 after an update, which is open_clip's
// way: its gradient knows of no bounds.
func (e *Engine) Clamp() {
	scale := &e.W[len(e.W)-2]
	*scale = min(max(*scale, 0), float32(math.Log(100)))
}
