package ort

import (
	"errors"
	"fmt"
	"os"

	onnx "github.com/yalue/onnxruntime_go"
)

// Options of a session.
type Options struct {
	Threads int // of one run; 1 if zero. Runs may be concurrent, each with so many
	// ExactInt8 takes the kernels that do not saturate on x86 CPUs without VNNI.
	// They cost a third of the speed there, and nothing elsewhere.
	ExactInt8 bool
	// Once is for a session that is run once or twice: weights are not rearranged
	// for the kernels, which halves the time to load and costs a third a run.
	Once bool
}

// Session is a loaded graph. Run may be called from several goroutines.
type Session struct {
	session *onnx.DynamicAdvancedSession
	inputs  []string
	outputs int
}

// Open loads a graph from memory. in and out name the inputs that Run is given
// and the outputs that it returns, in their order.
func Open(model []byte, in, out []string, o Options) (*Session, error) {
	return open(in, out, o, func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSessionWithONNXData(model, in, out, so)
	})
}

// OpenFile loads a graph from a file, and its external data from beside it.
func OpenFile(path string, in, out []string, o Options) (*Session, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return open(in, out, o, func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSession(path, in, out, so)
	})
}

func open(in, out []string, o Options, load func(*onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error)) (*Session, error) {
	if Version() == "" {
		return nil, fmt.Errorf("%w: Init was not called", ErrLibrary)
	}
	so, err := sessionOptions(o)
	if err != nil {
		return nil, err
	}
	defer so.Destroy()
	s, err := load(so)
	if err != nil {
		return nil, err
	}
	return &Session{session: s, inputs: in, outputs: len(out)}, nil
}

func sessionOptions(o Options) (*onnx.SessionOptions, error) {
	so, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		so.SetIntraOpNumThreads(max(1, o.Threads)),
		so.SetInterOpNumThreads(1),
		so.SetExecutionMode(onnx.ExecutionModeSequential),
		so.SetGraphOptimizationLevel(onnx.GraphOptimizationLevelEnableAll),
		// A thread that spins while it waits takes a core from the decoder.
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if o.ExactInt8 {
		err = errors.Join(err, so.AddSessionConfigEntry("session.x64quantprecision", "1"))
	}
	if o.Once {
		err = errors.Join(err, so.AddSessionConfigEntry("session.disable_prepacking", "1"))
	}
	if err != nil {
		so.Destroy()
		return nil, err
	}
	return so, nil
}

// Close frees the session. No Run may be under way.
func (s *Session) Close() error { return s.session.Destroy() }

// Tensor is a value in or out: its shape and, in row-major order, the elements
// of one of the types.
type Tensor struct {
	Shape []int64
	F32   []float32
	I64   []int64
	I32   []int32
	U8    []uint8
}

// Run evaluates the graph. The inputs are read in place, not copied, and must
// not change meanwhile; the outputs are the caller's.
func (s *Session) Run(in ...Tensor) ([]Tensor, error) {
	if len(in) != len(s.inputs) {
		return nil, fmt.Errorf("%d tensors for the inputs %v", len(in), s.inputs)
	}
	values := make([]onnx.Value, 0, len(in))
	defer func() {
		for _, v := range values {
			v.Destroy()
		}
	}()
	for i, t := range in {
		v, err := t.value()
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", s.inputs[i], err)
		}
		values = append(values, v)
	}
	outputs := make([]onnx.Value, s.outputs)
	if err := s.session.Run(values, outputs); err != nil {
		return nil, err
	}
	tensors := make([]Tensor, 0, len(outputs))
	var wrong error
	for _, v := range outputs {
		t, err := tensorOf(v)
		wrong = errors.Join(wrong, err, v.Destroy())
		tensors = append(tensors, t)
	}
	return tensors, wrong
}

func (t Tensor) value() (onnx.Value, error) {
	switch {
	case t.F32 != nil:
		return newValue(t.Shape, t.F32)
	case t.I64 != nil:
		return newValue(t.Shape, t.I64)
	case t.I32 != nil:
		return newValue(t.Shape, t.I32)
	case t.U8 != nil:
		return newValue(t.Shape, t.U8)
	}
	return nil, fmt.Errorf("a tensor of shape %v without elements", t.Shape)
}

func newValue[T onnx.TensorData](shape []int64, data []T) (onnx.Value, error) {
	n := int64(1)
	for _, d := range shape {
		if d <= 0 {
			return nil, fmt.Errorf("shape %v", shape)
		}
		n *= d
	}
	if n != int64(len(data)) {
		return nil, fmt.Errorf("%d elements for the shape %v", len(data), shape)
	}
	return onnx.NewTensor(onnx.Shape(shape), data)
}

// tensorOf copies a result out of the runtime's memory.
func tensorOf(v onnx.Value) (Tensor, error) {
	t := Tensor{Shape: append([]int64(nil), v.GetShape()...)}
	switch v := v.(type) {
	case *onnx.Tensor[float32]:
		t.F32 = append([]float32(nil), v.GetData()...)
	case *onnx.Tensor[int64]:
		t.I64 = append([]int64(nil), v.GetData()...)
	case *onnx.Tensor[int32]:
		t.I32 = append([]int32(nil), v.GetData()...)
	case *onnx.Tensor[uint8]:
		t.U8 = append([]uint8(nil), v.GetData()...)
	default:
		return t, fmt.Errorf("the graph answers with %T, not with float32 or integers: float16 models are not run on CPUs", v)
	}
	return t, nil
}
