package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// parabola is a Learner of n numbers that are drawn to zero, with a momentum, by
// gradients that depend on the step.
type parabola struct {
	w, m, g []float32
	loss    func(step int, loss float64) float64 // changes what Step says; may be nil
	norm    func(step int) float64               // changes what Update says; may be nil
	before  func(step int)                       // is called by Step; may be nil
	step    int
}

func newParabola(n int) *parabola {
	p := &parabola{w: make([]float32, n), m: make([]float32, n), g: make([]float32, n)}
	for i := range p.w {
		p.w[i] = float32(i%7) - 3.1
	}
	return p
}

func (p *parabola) Step(ctx context.Context, step int) (float64, error) {
	p.step = step
	if p.before != nil {
		p.before(step)
	}
	var sum float64
	for i, w := range p.w {
		p.g[i] = w + float32((i*31+step*17)%13-6)/20
		sum += float64(w) * float64(w)
	}
	loss := sum / float64(len(p.w))
	if p.loss != nil {
		loss = p.loss(step, loss)
	}
	return loss, ctx.Err()
}

func (p *parabola) Update(rate float64) (float64, error) {
	norm := 1.0
	if p.norm != nil {
		norm = p.norm(p.step)
	}
	if !finite(norm) {
		return norm, nil
	}
	for i := range p.w {
		p.m[i] += (p.g[i] - p.m[i]) * 0.1
		p.w[i] -= float32(rate) * p.m[i]
	}
	return norm, nil
}

func (p *parabola) State() []Tensor {
	return []Tensor{{"w", []int{len(p.w)}, p.w}, {"m", []int{len(p.m)}, p.m}}
}

func (p *parabola) Weights() []Tensor   { return p.State()[:1] }
func (p *parabola) LogitScale() float64 { return float64(p.m[0]) }

// figures is a validation that likes weights near a third.
func (p *parabola) figures(context.Context) (Figures, error) {
	r := &Recalls{R1: 1 / (1 + math.Abs(float64(p.w[0])+0.4))}
	return Figures{TextToImage: r, ImageToText: r, Mean: r.R1}, nil
}

// export writes the first weight where a model would be.
func (p *parabola) export(_ context.Context, dir string, _ Record) error {
	return os.WriteFile(filepath.Join(dir, "clipsearch-model.json"), fmt.Append(nil, p.w[0]), 0o644)
}

// testRun is a run of a parabola in dir, and what it says.
func testRun(dir string, p *parabola, steps int) (*Run, *[]StepLine, *[]string) {
	c := Defaults()
	c.Optim.Steps, c.Optim.Rate = steps, 0.1
	c.Run.ValidateEvery, c.Run.CheckpointLoad, c.Run.DivergedAfter = 7, 1, 20
	lines, notes := &[]StepLine{}, &[]string{}
	return &Run{
		Config: c, Dir: dir, Batch: 4, Learner: p, Validate: p.figures, Export: p.export,
		Record: Record{Data: DataRecord{Train: SetRecord{Pictures: 10, Captions: 50, Digest: "abc"}}, Environment: Environment{Threads: 2}},
		OnStep: func(l StepLine) { *lines = append(*lines, l) },
		Note:   func(s string) { *notes = append(*notes, s) },
	}, lines, notes
}

// whole runs an uninterrupted run and returns its losses and what it exported.
func whole(t *testing.T, steps int) (losses []float64, result Result, model string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "whole")
	r, lines, _ := testRun(dir, newParabola(1000), steps)
	result, err := r.Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lossesOf(*lines), result, readFile(t, dir, "clipsearch-model.json")
}

func lossesOf(lines []StepLine) (list []float64) {
	for _, l := range lines {
		list = append(list, l.Loss)
	}
	return list
}

func readFile(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTrain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r, lines, notes := testRun(dir, newParabola(1000), 40)
	got, err := r.Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range *lines {
		if l.Step != i+1 || !finite(l.Loss) || l.SamplesPerSecond <= 0 || l.Norm != 1 {
			t.Errorf("line %d: %+v", i, l)
		}
	}
	if len(*lines) != 40 || len(*notes) != 0 {
		t.Errorf("%d lines, notes %q", len(*lines), *notes)
	}
	if (*lines)[3].Rate != 0.1 || (*lines)[0].Rate != 0.025 || (*lines)[39].Rate > 0.001 {
		t.Errorf("rates of the steps 1, 4 and 40: %v, %v, %v", (*lines)[0].Rate, (*lines)[3].Rate, (*lines)[39].Rate)
	}
	logged, err := ReadLog(dir)
	if err != nil || !slices.Equal(logged, *lines) {
		t.Errorf("the log has %d lines (%v), not the %d that were told", len(logged), err, len(*lines))
	}
	rec, err := ReadRecord(dir)
	if err != nil || rec.Result == nil || *rec.Result.Best.TextToImage != *got.Best.TextToImage || len(rec.Validations) != 6 {
		t.Errorf("record: %+v, %v", rec, err)
	}
	best := slices.MaxFunc(rec.Validations, func(a, b Figures) int { return int(math.Copysign(1, a.Mean-b.Mean)) })
	if got.Best.Step != best.Step || best.Step == 40 {
		t.Errorf("the best is of step %d, want %d, which is not the last", got.Best.Step, best.Step)
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"clipsearch-model.json", LogName, RecordName}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the folder holds %v (%v), want %v", names, err, want)
	}
}

// TestResume: a run that is interrupted again and again tells the losses of one that
// is not, to the last bit, and exports the same.
func TestResume(t *testing.T) {
	want, result, model := whole(t, 60)
	dir := filepath.Join(t.TempDir(), "out")
	var got []float64
	for i, stops := 0, []int{3, 14, 15, 28, 29, 59, 61}; i < len(stops); i++ {
		ctx, stop := context.WithCancel(t.Context())
		p := newParabola(1000)
		p.before = func(step int) {
			if step == stops[i] {
				stop()
			}
		}
		r, lines, notes := testRun(dir, p, 60)
		r.Resume = i > 0
		res, err := r.Train(ctx)
		stop()
		got = append(got, lossesOf(*lines)...)
		if last := i == len(stops)-1; last && (err != nil || res.Best.Step != result.Best.Step) {
			t.Errorf("the last leg: %+v, %v", res, err)
		} else if !last && (!errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "--resume")) {
			t.Errorf("leg %d: %v, want an interruption", i, err)
		}
		if want := fmt.Sprintf("going on after step %d of 60", stops[max(0, i-1)]-1); i > 0 && !slices.Contains(*notes, want) {
			t.Errorf("leg %d says %q, want %q", i, *notes, want)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d losses in legs differ from the %d of a whole run", len(got), len(want))
	}
	if got := readFile(t, dir, "clipsearch-model.json"); got != model {
		t.Errorf("exported %s, want %s", got, model)
	}
	logged, err := ReadLog(dir)
	if err != nil || !slices.Equal(lossesOf(logged), want) {
		t.Errorf("the log's %d losses (%v) differ from those told", len(logged), err)
	}
}

// TestResumeValidation: a run that is interrupted in a validation does it again.
func TestResumeValidation(t *testing.T) {
	_, result, model := whole(t, 40)
	dir := filepath.Join(t.TempDir(), "out")
	for i := 1; ; i++ {
		ctx, stop := context.WithCancel(t.Context())
		r, _, _ := testRun(dir, newParabola(1000), 40)
		r.Resume = i > 1
		judge, n := r.Validate, 0
		r.Validate = func(ctx context.Context) (Figures, error) {
			if n++; n == 2 {
				stop()
			}
			return judge(ctx)
		}
		res, err := r.Train(ctx)
		stop()
		if errors.Is(err, ErrInterrupted) && i < 10 {
			continue
		}
		if err != nil || res.Best.Step != result.Best.Step || readFile(t, dir, "clipsearch-model.json") != model {
			t.Errorf("after %d legs: %+v, %v", i, res, err)
		}
		break
	}
}

func TestDiverges(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *parabola)
		want   string
		kept   string // the last good checkpoint
	}{
		"NaN": {func(p *parabola) {
			p.loss = func(step int, loss float64) float64 {
				return map[bool]float64{true: math.NaN(), false: loss}[step == 25]
			}
		}, "step 25: its loss is NaN", "step-00000020"},
		"gradient": {func(p *parabola) {
			p.norm = func(step int) float64 { return map[bool]float64{true: math.Inf(1), false: 1}[step == 33] }
		}, "step 33: its gradient is not finite", "step-00000030"},
		"far above": {func(p *parabola) {
			p.loss = func(step int, loss float64) float64 { return map[bool]float64{true: 50, false: loss}[step > 30] }
		}, "step 50: the loss has been about", "step-00000030"},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		p := newParabola(10)
		tt.change(p)
		r, _, _ := testRun(dir, p, 200)
		_, err := r.Train(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "lower optim.lr") || errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want %q and advice", name, err, tt.want)
		}
		w := &workdir{dir: dir}
		if names := w.names(); len(names) == 0 || names[0] != tt.kept {
			t.Errorf("%s: checkpoints %v, want %s to be the last", name, names, tt.kept)
		}
		if _, err := w.load(tt.kept, newParabola(10).State()); err != nil {
			t.Errorf("%s: load %s: %v", name, tt.kept, err)
		}
	}
}
