package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph"
)

// Options of a session.
type Options struct {
	Threads int // of one run; 1 if zero. Runs may be concurrent, each with so many
	// ExactInt8 takes the kernels that do not saturate on x86 CPUs without VNNI.
	// They cost a third of the speed there, and nothing elsewhere.
	ExactInt8 bool
	// Once is for a session that is run once or twice: weights are not rearranged
	// for the kernels, which makes it quicker to load and slower to run.
	Once bool
	// Varying is for a session whose inputs change their shapes from run to run: no
	// plan of memory is made for each, which would be kept.
	Varying bool
	// Training is for a session that is run without a pause, alone in the process: its
	// threads spin while they wait, its memory is kept in one arena with that of all
	// such sessions, and no plan of memory is made.
	Training bool
	// Provider names what the session runs on; the processor if empty. What it has no
	// kernels for runs on the processor all the same.
	Provider string
	// Folder is where a graph in memory finds the weights that it keeps in files.
	Folder string
}

// Session is a loaded graph. Its methods may be called from several goroutines.
type Session struct {
	inputs   []string
	outputs  int
	training bool // in the arena

	mu      sync.RWMutex // Run reads, Close writes
	session *onnx.DynamicAdvancedSession
}

// errClosed is what Run says after Close.
var errClosed = errors.New("the session is closed")

// Open loads a graph from memory, which it does not keep. in and out name the
// inputs that Run is given and the outputs that it returns, in their order.
func Open(model []byte, in, out []string, o Options) (*Session, error) {
	g, err := graph.Inspect(model)
	if err != nil {
		return nil, err
	}
	if o.Folder != "" {
		if model, o.Folder, err = follow(model, g.ExternalData, o.Folder); err != nil {
			return nil, err
		}
	}
	return open(g, in, out, o, func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSessionWithONNXData(model, in, out, so)
	})
}

// OpenFile loads a graph from a file, and its external data from beside it.
func OpenFile(path string, in, out []string, o Options) (*Session, error) {
	g, err := graph.InspectFile(path)
	if err != nil {
		return nil, err
	}
	return open(g, in, out, o, func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSession(path, in, out, so)
	})
}

func open(g graph.Graph, in, out []string, o Options, load func(*onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error)) (*Session, error) {
	if Version() == "" {
		return nil, fmt.Errorf("%w: Init was not called", ErrLibrary)
	}
	if err := errors.Join(runnable("input", g.Inputs, in), runnable("output", g.Outputs, out)); err != nil {
		return nil, fmt.Errorf("%s: %w", oneLine(err.Error()), clipsearch.ErrInvalid)
	}
	so, err := sessionOptions(o)
	if err != nil {
		return nil, err
	}
	defer so.Destroy()
	if o.Training {
		if err := joinArena(); err != nil {
			return nil, err
		}
	}
	s, err := load(so)
	if err != nil {
		if o.Training {
			err = errors.Join(err, leaveArena())
		}
		return nil, fmt.Errorf("%s: %w", oneLine(err.Error()), clipsearch.ErrInvalid)
	}
	return &Session{session: s, inputs: in, outputs: len(out), training: o.Training}, nil
}

// runnable says why Run could not be given, or give, the named ports. Types that
// the graph does not tell are left to the run.
func runnable(kind string, ports []graph.Port, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("no %s is named: the graph has %v", kind, ports)
	}
	for _, name := range names {
		i := slices.IndexFunc(ports, func(p graph.Port) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("the graph has no %s %s: it has %v", kind, name, ports)
		}
		switch ports[i].Type {
		case "float32", "int64", "int32", "uint8", "":
		default:
			return fmt.Errorf("the %s %s is of %s, and only float32, int64, int32 and uint8 are run here: take the model's float32 or int8 file", kind, name, ports[i].Type)
		}
	}
	return nil
}

// sessionOptions leaves ONNX Runtime's arena on and its optimizations at their full: see BenchmarkOpen and BenchmarkImages. The level
// below full is six times slower with int8 convolutions.
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
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", spin(o)),
	)
	if o.ExactInt8 {
		err = errors.Join(err, so.AddSessionConfigEntry("session.x64quantprecision", "1"))
	}
	if o.Once {
		err = errors.Join(err, so.AddSessionConfigEntry("session.disable_prepacking", "1"))
	}
	if o.Varying || o.Training {
		err = errors.Join(err, so.SetMemPattern(false))
	}
	if o.Training {
		err = errors.Join(err, so.AddSessionConfigEntry("session.use_env_allocators", "1"))
	}
	if o.Folder != "" {
		err = errors.Join(err, so.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", o.Folder))
	}
	err = errors.Join(err, addProvider(so, o.Provider))
	if err != nil {
		so.Destroy()
		return nil, err
	}
	return so, nil
}

// spin is "0" but for training: a thread that spins while it waits takes a core from
// the decoder, and one that sleeps takes as long to wake as a small operator to run.
func spin(o Options) string {
	if o.Training {
		return "1"
	}
	return "0"
}

// Close waits for the runs that are under way and frees the session and its memory.
// A second Close does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil
	}
	session := s.session
	s.session = nil
	defer giveBack()
	err := session.Destroy()
	if s.training {
		err = errors.Join(err, leaveArena())
	}
	return err
}

// Run evaluates the graph. The inputs are read in place, not copied, and must
// not change meanwhile; the outputs are the caller's.
func (s *Session) Run(in ...Tensor) ([]Tensor, error) {
	outputs := make([]onnx.Value, s.outputs)
	if err := s.run(outputs, in); err != nil {
		destroy(outputs)
		return nil, err
	}
	return tensorsOf(outputs)
}

// run fills the outputs, making those that are nil.
func (s *Session) run(outputs []onnx.Value, in []Tensor) error {
	if len(in) != len(s.inputs) {
		return fmt.Errorf("%d tensors for the inputs %v", len(in), s.inputs)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.session == nil {
		return errClosed
	}
	var pinned runtime.Pinner // the runtime keeps pointers to the inputs from call to call
	defer pinned.Unpin()
	values := make([]onnx.Value, 0, len(in))
	defer func() { destroy(values) }()
	for i, t := range in {
		v, err := t.value(&pinned)
		if err != nil {
			return fmt.Errorf("input %s: %w", s.inputs[i], err)
		}
		values = append(values, v)
	}
	if err := s.session.Run(values, outputs); err != nil {
		return errors.New(oneLine(err.Error()))
	}
	return nil
}
