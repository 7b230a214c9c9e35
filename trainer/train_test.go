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

func (p *parabola) Update(rate float64) float64 {
	norm := 1.0
	if p.norm != nil {
		norm = p.norm(p.step)
	}
	if !finite(norm) {
		return norm
	}
	for i := range p.w {
		p.m[i] += (p.g[i] - p.m[i]) * 0.1
		p.w[i] -= float32(rate) * p.m[i]
	}
	return norm
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

// TestRefuses: what must not be begun or gone on with is refused, and left as it is.
func TestRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, dir string)
		change  func(r *Run)
		resume  bool
		want    string
	}{
		"something else": {func(t *testing.T, dir string) { write(t, "mine", dir, "holiday.jpg") }, nil, false, "is not empty, and no run is in it"},
		"a file":         {func(t *testing.T, dir string) { write(t, "mine", dir) }, nil, false, "name another --out"},
		"finished":       {func(t *testing.T, dir string) { leg(t, dir, 40, 0) }, nil, false, "holds the model of a run that has ended"},
		"unfinished":     {func(t *testing.T, dir string) { leg(t, dir, 40, 20) }, nil, false, "go on with it by --resume"},
		"no run":         {nil, nil, true, "there is no run in"},
		"no run but files": {func(t *testing.T, dir string) { write(t, "mine", dir, "holiday.jpg") }, nil, true,
			"there is no run in"},
		"another configuration": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Config.Optim.Rate, r.Config.Data.Batch = 0.2, 64 }, true, "data.batch is 64, not 128; optim.lr is 0.2, not 0.1"},
		"more pictures": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Data.Train.Pictures++ }, true, "the number of training pictures is 11, not 10"},
		"other pictures": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Data.Train.Digest = "abd" }, true, "digest of the training data's names, sizes and captions is abd, not abc"},
		"another model": {func(t *testing.T, dir string) { leg(t, dir, 40, 20) },
			func(r *Run) { r.Record.Init = "xyz" }, true, "digest of the model that is trained on is xyz"},
		"a record that cannot be read": {func(t *testing.T, dir string) { write(t, "{", dir, RecordName) }, nil, true, "is no record of a run"},
		"a record of the future":       {func(t *testing.T, dir string) { write(t, `{"version":9}`, dir, RecordName) }, nil, true, "take a newer one"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if tt.prepare != nil {
				tt.prepare(t, dir)
			}
			before := tree(t, dir)
			r, _, _ := testRun(dir, newParabola(1000), 40)
			r.Resume = tt.resume
			if tt.change != nil {
				tt.change(r)
			}
			_, err := r.Train(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("%v, want an invalid input that says %q", err, tt.want)
			}
			if after := tree(t, dir); before != after {
				t.Errorf("before: %s\nafter: %s", before, after)
			}
		})
	}
}

// leg trains in dir until a step, or to the end if that is 0.
func leg(t *testing.T, dir string, steps, stop int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newParabola(1000)
	p.before = func(step int) {
		if step == stop+1 && stop > 0 {
			cancel()
		}
	}
	r, _, _ := testRun(dir, p, steps)
	if _, err := r.Train(ctx); err != nil && !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
}

func write(t *testing.T, text string, elem ...string) {
	t.Helper()
	name := filepath.Join(elem...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// tree lists what lies below dir, the lock aside.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { //nolint:errcheck // it returns none
		if err == nil && d.Name() != lockName {
			info, _ := d.Info()
			fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano()*map[bool]int64{true: 0, false: 1}[d.IsDir()])
		}
		return nil
	})
	return b.String()
}

// TestFinished: a run that has ended is not done again by --resume.
func TestFinished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 0)
	before := tree(t, dir)
	r, lines, notes := testRun(dir, newParabola(1000), 40)
	r.Resume = true
	got, err := r.Train(t.Context())
	if err != nil || got.Steps != 40 || len(*lines) != 0 || len(*notes) != 1 || !strings.Contains((*notes)[0], "has ended already") {
		t.Errorf("%+v, %v, %d lines, notes %q", got, err, len(*lines), *notes)
	}
	if after := tree(t, dir); before != after {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// TestDamagedCheckpoint: the one before is taken, and the losses are the same.
func TestDamagedCheckpoint(t *testing.T) {
	want, _, _ := whole(t, 60)
	for name, tt := range map[string]struct {
		damage func(t *testing.T, dir string)
		all    bool // both checkpoints
		want   string
	}{
		"cut": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { return b[:len(b)/2] })
		}, false, "cut off"},
		"longer": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { return append(b, 0) })
		}, false, ""},
		"a bit": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { b[len(b)-9] ^= 4; return b })
		}, false, "checksum"},
		"header": {func(t *testing.T, dir string) {
			edit(t, dir, tensorsFile, func(b []byte) []byte { b[12] ^= 4; return b })
		}, false, ""},
		"a digit":      {func(t *testing.T, dir string) { edit(t, dir, stateFile, digit) }, false, "checksum"},
		"no state":     {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, stateFile)) }, false, "no such file"},
		"empty":        {func(t *testing.T, dir string) { edit(t, dir, stateFile, func([]byte) []byte { return nil }) }, false, stateFile},
		"both damaged": {func(t *testing.T, dir string) { edit(t, dir, stateFile, digit) }, true, "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			leg(t, dir, 60, 45)
			w := &workdir{dir: dir}
			names := w.names()
			if len(names) != 2 {
				t.Fatalf("checkpoints %v, want two", names)
			}
			tt.damage(t, filepath.Join(dir, checkpoints, names[0]))
			if tt.all {
				tt.damage(t, filepath.Join(dir, checkpoints, names[1]))
			}
			r, lines, notes := testRun(dir, newParabola(1000), 60)
			r.Resume = true
			_, err := r.Train(t.Context())
			if tt.all {
				if err == nil || !strings.Contains(err.Error(), "no checkpoint in") || len(w.names()) != 2 {
					t.Errorf("%v, want none to be whole, and checkpoints %v to stay", err, w.names())
				}
				return
			}
			if first := want[len(want)-len(*lines):]; err != nil || !slices.Equal(lossesOf(*lines), first) || len(*lines) != 20 {
				t.Errorf("%v: %d losses, want the last 20 of the whole run", err, len(*lines))
			}
			if all := strings.Join(*notes, "\n"); !strings.Contains(all, "is damaged") || !strings.Contains(all, tt.want) || !strings.Contains(all, "after step 40") {
				t.Errorf("notes %q, want damage (%s) and the step 40", all, tt.want)
			}
		})
	}
}

func edit(t *testing.T, dir, name string, f func([]byte) []byte) {
	t.Helper()
	write(t, string(f([]byte(readFile(t, dir, name)))), dir, name)
}

// digit changes a digit of the seconds.
func digit(b []byte) []byte {
	i := strings.Index(string(b), `"seconds":`) + len(`"seconds":`)
	b[i] = '0' + (b[i]-'0'+1)%10
	return b
}

// TestDamagedBest: the last weights are exported in place of those that are damaged.
func TestDamagedBest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r, _, notes := testRun(dir, newParabola(1000), 40)
	judge := r.Validate
	r.Validate = func(ctx context.Context) (Figures, error) {
		w := &workdir{dir: dir}
		for _, name := range w.withPrefix(bestPrefix) {
			edit(t, filepath.Join(dir, checkpoints, name), tensorsFile, func(b []byte) []byte { return b[:20] })
		}
		return judge(ctx)
	}
	got, err := r.Train(t.Context())
	if err != nil || got.Best.Step != 40 || !strings.Contains(strings.Join(*notes, ""), "are damaged: the last ones are taken") {
		t.Errorf("%+v, %v, notes %q", got, err, *notes)
	}
}

// TestExportFails: what could not be exported is exported by going on, without a step.
func TestExportFails(t *testing.T) {
	_, _, model := whole(t, 40)
	dir := filepath.Join(t.TempDir(), "out")
	r, _, _ := testRun(dir, newParabola(1000), 40)
	r.Export = func(context.Context, string, Record) error { return errors.New("no paper") }
	if _, err := r.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "export: no paper") {
		t.Errorf("%v, want no paper", err)
	}
	r, lines, _ := testRun(dir, newParabola(1000), 40)
	r.Resume = true
	if _, err := r.Train(t.Context()); err != nil || len(*lines) != 0 || readFile(t, dir, "clipsearch-model.json") != model {
		t.Errorf("going on: %v, %d steps", err, len(*lines))
	}
}

// TestOneProcess: nobody else trains in a folder meanwhile.
func TestOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	p := newParabola(10)
	p.before = func(step int) {
		if step != 5 {
			return
		}
		r, _, _ := testRun(dir, newParabola(10), 40)
		r.Resume = true
		if _, err := r.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "another process trains in") {
			t.Errorf("a second process: %v", err)
		}
	}
	r, _, _ := testRun(dir, p, 40)
	if _, err := r.Train(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOtherMachine: last digits may differ, and that is said.
func TestOtherMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	leg(t, dir, 40, 20)
	r, _, notes := testRun(dir, newParabola(1000), 40)
	r.Resume, r.Record.Environment.Threads, r.Config.Run.CheckpointEvery = true, 4, 5
	if _, err := r.Train(t.Context()); err != nil || !strings.Contains(strings.Join(*notes, ""), "the number of threads is 4, not 2") {
		t.Errorf("%v, notes %q", err, *notes)
	}
}
