package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/graph"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// source is a tower's graph before it is loaded: what it says of itself, and where
// it lies.
type source struct {
	graph.Graph
	model  clip.Model // whose file it is: one of a pair
	name   string     // of the file, as the model has it
	path   string     // on disk, or ""
	data   []byte     // in memory, where there is no path
	folder string     // of the weights that a graph in memory keeps in files
	part   bool       // the other tower was cut off
	places int        // patches that a picture becomes; 0: not known
}

// source reads what the graph of a tower says of itself: the one in the model's file,
// or the one that is built from the weights there.
func (e *Encoder) source(side clip.Side) (source, error) {
	m := e.model.Side(side)
	name := m.Image
	if side == clip.TextSide {
		name = m.Text
	}
	s := source{model: m, name: name, path: m.Path(name)}
	var err error
	if m.Built() {
		s.path, s.folder = "", m.Path(".")
		if s.data, s.places, err = build(m, side); err == nil {
			s.Graph, err = graph.Inspect(s.data)
		}
	} else if s.path != "" {
		s.Graph, err = graph.InspectFile(s.path)
	} else if s.data, err = fs.ReadFile(m.FS(), name); err == nil {
		s.Graph, err = graph.Inspect(s.data)
	}
	if err != nil {
		return s, fmt.Errorf("read %s of model %s: %w", name, m.Name, err)
	}
	return s, nil
}

func build(m clip.Model, side clip.Side) (data []byte, places int, err error) {
	g, err := m.BuildGraph(side)
	if err != nil {
		return nil, 0, err
	}
	data, err = g.Marshal()
	return data, int(g.Rows), err
}

// cut leaves of a graph of two towers the one that makes output. A graph that cannot
// be cut stays whole.
func (s source) cut(output string) source {
	part := source{model: s.model, name: s.name, part: true}
	var err error
	if s.path != "" {
		part.folder = filepath.Dir(s.path)
		part.data, err = graph.CutFile(s.path, output)
	} else {
		part.data, err = graph.Cut(s.data, output)
	}
	if err == nil {
		part.Graph, err = graph.Inspect(part.data)
	}
	if err != nil {
		return s
	}
	return part
}

// invalid is an error about a tower's graph.
func (e *Encoder) invalid(s source, format string, args ...any) error {
	return fmt.Errorf("%s of model %s: %s: %w", s.name, s.model.Name, fmt.Sprintf(format, args...), clipsearch.ErrInvalid)
}

// absent is the error of a model that cannot be run.
func (e *Encoder) absent() error {
	return fmt.Errorf("model %s is known by vectors that were made elsewhere, and cannot be run: search with --mode text or `clipsearch similar ID`, and bring more vectors with `clipsearch ingest --vectors`: %w",
		e.model.Name, clipsearch.ErrInvalid)
}

// output picks the embedding among a graph's outputs: the first of names that is
// there, or else the only one of two dimensions.
func (e *Encoder) output(s source, names []string) (string, error) {
	for _, name := range names {
		if slices.ContainsFunc(s.Outputs, func(p graph.Port) bool { return p.Name == name }) {
			return name, nil
		}
	}
	var flat []string
	for _, p := range s.Outputs {
		if len(p.Shape) == 2 {
			flat = append(flat, p.Name)
		}
	}
	if len(flat) == 0 && len(s.Outputs) == 1 && s.Outputs[0].Shape == nil {
		return s.Outputs[0].Name, nil // its shape is not told
	}
	if len(flat) != 1 {
		return "", e.invalid(s, "its outputs are %v, and which is the embedding cannot be told", s.Outputs)
	}
	return flat[0], nil
}

// loader returns what loads a tower with so many threads. It takes s, which is not
// kept beyond the first time: it may have many megabytes, and the second is rare.
func (e *Encoder) loader(side clip.Side, s *source, in []string, out string, o ort.Options) func(int) (*ort.Session, error) {
	cut := s.part
	return func(threads int) (*ort.Session, error) {
		from := s
		if s = nil; from == nil {
			again, err := e.source(side)
			if err != nil {
				return nil, err
			}
			if cut {
				again = again.cut(out)
			}
			from = &again
		}
		o.Threads = threads
		return e.session(*from, in, out, o)
	}
}

// session loads a tower.
func (e *Encoder) session(s source, in []string, out string, o ort.Options) (*ort.Session, error) {
	library, err := e.opts.Library()
	if err != nil {
		return nil, err
	}
	if err := ort.Init(library); err != nil {
		return nil, err
	}
	o.Once, o.Folder, o.Provider = e.opts.Once, s.folder, e.opts.Provider
	o.ExactInt8 = s.model.Precision == "int8" && !s.model.Built() && !slices.Contains(s.model.ExactInt8, s.name)
	load := func() (*ort.Session, error) {
		if s.path != "" {
			return ort.OpenFile(s.path, in, []string{out}, o)
		}
		return ort.Open(s.data, in, []string{out}, o)
	}
	if o.Provider == auto {
		o.Provider = ort.CPU
		// It takes seconds to start, and has no kernels for most of what is int8.
		if !o.Once && s.model.Precision != "int8" {
			o.Provider = ort.CUDA
			if session, err := load(); err == nil {
				return session, nil
			}
			o.Provider = ort.CPU
		}
	}
	session, err := load()
	if errors.Is(err, ort.ErrProvider) {
		err = fmt.Errorf("%w: see `clipsearch runtime info`: %w", err, clipsearch.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s of model %s: %w", s.name, s.model.Name, err)
	}
	return session, nil
}

// auto is the provider that is the best of those that start.
const auto = "auto"

// rows cuts the first output of a run, [N,D], into its rows.
func rows(out []ort.Tensor, err error) ([][]float32, error) {
	if err != nil {
		return nil, err
	}
	if len(out) != 1 || len(out[0].Shape) != 2 || out[0].F32 == nil {
		return nil, fmt.Errorf("the graph answers %d tensors, not one of float32 [N,D]: %w", len(out), clipsearch.ErrInvalid)
	}
	n, d := int(out[0].Shape[0]), int(out[0].Shape[1])
	cut := make([][]float32, n)
	for i := range cut {
		cut[i] = out[0].F32[i*d : (i+1)*d : (i+1)*d]
	}
	return cut, nil
}
