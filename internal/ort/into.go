package ort

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"
)

// RunInto evaluates the graph and writes each output into the memory of a tensor
// of its shape. No tensor of out may share memory with another, or with one of in:
// the runtime would read what it has overwritten, and say nothing. After an error
// what the tensors hold is of no use.
func (s *Session) RunInto(out []Tensor, in ...Tensor) error {
	if len(out) != s.outputs {
		return fmt.Errorf("%d tensors for %d outputs", len(out), s.outputs)
	}
	if err := apart(out, in); err != nil {
		return err
	}
	outputs := make([]onnx.Value, 0, len(out))
	defer func() { destroy(outputs) }()
	var pinned runtime.Pinner
	defer pinned.Unpin()
	for i, t := range out {
		v, err := t.value(&pinned)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		outputs = append(outputs, v)
	}
	return s.run(outputs, in)
}

// apart says which output shares memory with another tensor of the run.
func apart(out, in []Tensor) error {
	spans := make([]span, 0, len(out)+len(in))
	for i, t := range out {
		spans = append(spans, t.span(true, i))
	}
	for i, t := range in {
		spans = append(spans, t.span(false, i))
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var inputs, outputs span // of those so far, the one that reaches furthest
	for _, s := range spans {
		if s.from < outputs.to {
			return fmt.Errorf("%v and %v share memory: an output needs memory of its own", s, outputs)
		}
		if s.out && s.from < inputs.to {
			return fmt.Errorf("%v and %v share memory: an output needs memory of its own", s, inputs)
		}
		if s.out {
			outputs = s
		} else if s.to > inputs.to {
			inputs = s
		}
	}
	return nil
}

// span is the memory of the elements of a tensor of a run.
type span struct {
	from, to uintptr
	out      bool
	i        int // among the inputs or outputs
}

func (s span) String() string {
	if s.out {
		return fmt.Sprint("output ", s.i)
	}
	return fmt.Sprint("input ", s.i)
}

func (t Tensor) span(out bool, i int) span {
	s := span{out: out, i: i}
	switch {
	case len(t.F32) > 0:
		s.from, s.to = bounds(t.F32)
	case len(t.I64) > 0:
		s.from, s.to = bounds(t.I64)
	case len(t.I32) > 0:
		s.from, s.to = bounds(t.I32)
	case len(t.U8) > 0:
		s.from, s.to = bounds(t.U8)
	}
	return s
}

func bounds[T onnx.TensorData](data []T) (from, to uintptr) {
	from = uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	return from, from + uintptr(len(data))*unsafe.Sizeof(data[0])
}
