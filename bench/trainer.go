package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// training is a line of trainer.py: a model to train at first, then what to do with it.
type training struct {
	Model           string  `json:"model"` // a checkpoint, with batches beside it
	Batch           int     `json:"batch"`
	Pixels          int     `json:"pixels"`
	Context         int     `json:"context"`
	Threads         int     `json:"threads"`
	Rate            float64 `json:"lr"`
	Warmup          int     `json:"warmup"`
	Decay           float64 `json:"decay"`
	Beta1           float64 `json:"beta1"`
	Beta2           float64 `json:"beta2"`
	Epsilon         float64 `json:"eps"`
	Clip            float64 `json:"clip"`
	Chunk           int     `json:"chunk"` // of a batch; as the engine likes it if zero
	GradCache       bool    `json:"grad_cache"`
	Steps           int     `json:"steps"`     // to train
	GradientsOfStep string  `json:"gradients"` // where those of the first batch go, as safetensors
}

// trained is the answer.
type trained struct {
	Steps [][2]float64 `json:"steps"` // seconds and loss
	Loss  float64      `json:"loss"`  // that the gradients are of
}

// student is a model in training, as the trainer trains it.
type student struct {
	o      training
	engine *engine.Engine
	adam   *optim.AdamW
	step   int
}

// runTrainer trains a model as trainer.py asks for it, line by line.
func runTrainer(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("trainer", flag.ExitOnError)
	f.Parse(args) //nolint:errcheck // ExitOnError
	library, err := findLibrary()
	if err == nil {
		err = ort.Init(library)
	}
	if err != nil {
		return err
	}
	var s *student
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var o training
		err := json.Unmarshal(lines.Bytes(), &o)
		if err == nil && o.Model != "" {
			s, err = newStudent(o)
		}
		var a trained
		for range o.Steps {
			if err == nil {
				err = s.train(&a)
			}
		}
		if err == nil && o.GradientsOfStep != "" {
			a.Loss, err = s.gradients(o.GradientsOfStep)
		}
		if err == nil {
			err = answers.Encode(a)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func newStudent(o training) (*student, error) {
	m, err := clip.ReadModel(o.Model, "fp32")
	if err != nil {
		return nil, err
	}
	stream, names := engine.Stream{Batch: o.Batch}, map[string]bool{}
	stream.Image, stream.ImageFiles, err = m.TrainingGraph(clip.ImageSide)
	if err == nil {
		stream.Text, stream.TextFiles, err = m.TrainingGraph(clip.TextSide)
	}
	for _, side := range []clip.Side{clip.ImageSide, clip.TextSide} {
		list, failed := m.Parameters(side)
		err = cmp.Or(err, failed)
		for _, p := range list {
			names[p.Name] = true
		}
	}
	if err != nil {
		return nil, err
	}
	e, err := engine.New(engine.Options{
		Streams: []engine.Stream{stream}, Trained: func(name string) bool { return names[name] },
		LogitScale: float32(math.Log(m.LogitScale)), Chunk: o.Chunk, GradCache: o.GradCache, Threads: o.Threads,
	})
	if err != nil {
		return nil, err
	}
	var groups []optim.Group
	for _, p := range e.Params {
		groups = append(groups, optim.Group{From: p.Offset, To: p.Offset + p.Len, Rate: 1, Decay: matrix(p.Dims)})
	}
	adam, err := optim.New(len(e.W), groups, optim.Options{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, Decay: o.Decay, Clip: o.Clip, Threads: o.Threads})
	return &student{o: o, engine: e, adam: adam}, err
}

// matrix tells what decays: a class token [1,1,D] is a vector.
func matrix(dims []int64) bool {
	return len(slices.DeleteFunc(slices.Clone(dims), func(d int64) bool { return d == 1 })) > 1
}

// train does a step and adds its seconds and loss to the answer.
func (s *student) train(a *trained) error {
	batch, err := s.batch(s.step)
	if err != nil {
		return err
	}
	began := time.Now()
	loss, err := s.engine.Step(s.step, batch)
	if err != nil {
		return err
	}
	s.adam.Update(s.engine.W, s.engine.G, optim.Schedule{Rate: s.o.Rate, Warmup: s.o.Warmup, Constant: true}.At(s.step))
	s.engine.Clamp()
	a.Steps = append(a.Steps, [2]float64{time.Since(began).Seconds(), loss})
	s.step++
	return nil
}

// batch reads one of the four that trainer.py has written.
func (s *student) batch(i int) ([]engine.Inputs, error) {
	n, side := int64(s.o.Batch), int64(s.o.Pixels)
	pixels, err := numbers[float32](filepath.Join(s.o.Model, fmt.Sprintf("pixels%d.f32", i%4)))
	if err != nil {
		return nil, err
	}
	ids, err := numbers[int64](filepath.Join(s.o.Model, fmt.Sprintf("ids%d.i64", i%4)))
	return []engine.Inputs{{
		Image: map[string]engine.Tensor{clip.PixelsPort: {Shape: []int64{n, 3, side, side}, F32: pixels}},
		Text:  map[string]engine.Tensor{clip.IDsPort: {Shape: []int64{n, int64(s.o.Context)}, I64: ids}},
	}}, err
}

// numbers reads a file of them.
func numbers[T float32 | int64](name string) ([]T, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list := make([]T, len(data)/int(unsafe.Sizeof(T(0))))
	_, err = binary.Decode(data, binary.LittleEndian, list)
	return list, err
}

// gradients writes those of the first batch at the weights of now, by their names.
func (s *student) gradients(path string) (loss float64, err error) {
	batch, err := s.batch(0)
	if err != nil {
		return 0, err
	}
	if loss, err = s.engine.Step(0, batch); err != nil {
		return 0, err
	}
	header := map[string]any{}
	for _, p := range s.engine.Params {
		header[p.Name] = map[string]any{"dtype": "F32", "shape": []int{p.Len}, "data_offsets": []int{4 * p.Offset, 4 * (p.Offset + p.Len)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return 0, err
	}
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	data, err = binary.Append(append(data, text...), binary.LittleEndian, s.engine.G)
	if err != nil {
		return 0, err
	}
	return loss, os.WriteFile(path, data, 0o644)
}
