package engine

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch/trainer/optim"
)

// engine makes one of the tiny model.
func (m *tiny) engine(t testing.TB, dropout float64, o Options) *Engine {
	t.Helper()
	startRuntime(t)
	image, text := m.towers(t, dropout)
	if o.Streams == nil {
		o.Streams = []Stream{{Image: image, Text: text, Files: os.DirFS("testdata")}}
	}
	if o.Trained == nil {
		o.Trained = func(name string) bool { return m.trained(name) }
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// trained: the graphs hold constants beside the weights.
func (m *tiny) trained(name string) bool {
	_, is := m.at[name]
	return is
}

// TestTwentySteps: losses follow PyTorch's through AdamW with warm-up, cosine, decay
// and clipping.
func TestTwentySteps(t *testing.T) {
	m := readTiny(t)
	e := m.engine(t, 0, Options{Threads: 2})
	opt := m.optimizer(t, e)
	rate := optim.Schedule{Rate: m.Rate, Warmup: m.Warmup, Steps: len(m.Losses)}
	for step, want := range m.Losses {
		loss, err := e.Step(step, []Inputs{m.batch(step, m.Context)})
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(loss-want) <= 1e-5) {
			t.Errorf("step %d: loss %v, want %v", step, loss, want)
		}
		opt.Update(e.W, e.G, rate.At(step))
		e.Clamp()
	}
}

// optimizer decays matrices only, as the script does.
func (m *tiny) optimizer(t *testing.T, e *Engine) *optim.AdamW {
	t.Helper()
	var groups []optim.Group
	for _, p := range e.Params {
		groups = append(groups, optim.Group{From: p.Offset, To: p.Offset + p.Len, Rate: 1, Decay: len(p.Dims) > 1})
	}
	opt, err := optim.New(len(e.W), groups, optim.Options{Decay: m.Decay, Clip: m.Clip, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return opt
}

// TestGradients: measured against float64, they are no more than twice as far off as
// PyTorch's in float32.
func TestGradients(t *testing.T) {
	m := readTiny(t)
	e := m.engine(t, 0, Options{Threads: 2})
	if _, err := e.Step(0, []Inputs{m.batch(0, m.Context)}); err != nil {
		t.Fatal(err)
	}
	exact, torch := numbers(t, "tiny.grad.f64", 8), numbers(t, "tiny.grad.f32", 4)
	var mine, theirs []float64 // relative errors, by parameter
	for _, p := range e.Params {
		i, is := m.at[p.Name]
		if !is {
			continue // the bias
		}
		var size, a, b float64
		for j, g := range p.of(e.G) {
			k := int(m.Params[i].Offset) + j
			size += exact[k] * exact[k]
			a += (float64(g) - exact[k]) * (float64(g) - exact[k])
			b += (torch[k] - exact[k]) * (torch[k] - exact[k])
		}
		if size = math.Sqrt(size); size < 1e-6 { // keys' biases: zero in theory
			if math.Sqrt(a) > 1e-6 {
				t.Errorf("%s: the gradient is %v, want 0", p.Name, math.Sqrt(a))
			}
			continue
		}
		mine, theirs = append(mine, math.Sqrt(a)/size), append(theirs, math.Sqrt(b)/size)
	}
	if len(mine) < 70 {
		t.Fatalf("%d parameters of %d compared", len(mine), len(m.Params))
	}
	slices.Sort(mine)
	slices.Sort(theirs)
	for _, q := range []struct {
		name string
		at   int
	}{{"median", len(mine) / 2}, {"ninth tenth", len(mine) * 9 / 10}, {"worst", len(mine) - 1}} {
		t.Logf("%s relative error %.2g, PyTorch's %.2g", q.name, mine[q.at], theirs[q.at])
		if mine[q.at] > 2*theirs[q.at] {
			t.Errorf("%s relative error of the gradients: %v, PyTorch's %v", q.name, mine[q.at], theirs[q.at])
		}
	}
}

// TestCuts: however a batch is cut, loss and gradients are the same, dropout masks
// included, but for the order of additions; and the same cut gives the same bits.
func TestCuts(t *testing.T) {
	m := readTiny(t)
	cuts := []Options{{Chunk: 8, Threads: 2}, {Chunk: 8, Threads: 2}, {Chunk: 3}, {GradCache: true, Part: 4}, {GradCache: true, Chunk: 1, Part: 3, Threads: 2}, {GradCache: true, Part: 100}}
	for _, dropout := range []float64{0, 0.2} {
		for _, loss := range []string{InfoNCE, SigLIP, InfoLOOB} {
			var want []float32
			var wantLoss float64
			for _, o := range cuts {
				if dropout == 0 && loss != InfoNCE && !o.GradCache && o.Chunk == 3 {
					continue
				}
				o.Loss, o.Seed = loss, 5
				e := m.engine(t, dropout, o)
				if o.Threads == 2 {
					e.large = 1 // as a table of millions is treated
				}
				var got float64
				for step := range 2 { // the second overwrites the first
					var err error
					if got, err = e.Step(step, []Inputs{m.batch(step, m.Context)}); err != nil {
						t.Fatal(err)
					}
				}
				if want == nil {
					want, wantLoss = e.G, got
				}
				if d := distance(e.G, want); !(d < 3e-6) || math.Abs(got-wantLoss) > 1e-6*max(1, wantLoss) {
					t.Errorf("%s, dropout %v, %+v: loss %v, want %v; the gradients differ by %.2g", loss, dropout, o, got, wantLoss, d)
				} else if o.Chunk == 8 && !slices.Equal(e.G, want) {
					t.Errorf("%s, dropout %v: two runs differ", loss, dropout)
				}
			}
		}
	}
}

// distance is that of two vectors, relative to the length of the second.
func distance(a, b []float32) float64 {
	var d, size float64
	for i := range a {
		d += float64(a[i]-b[i]) * float64(a[i]-b[i])
		size += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / size)
}

// TestDropout: masks depend on the seed and the step, and embedding knows of none.
func TestDropout(t *testing.T) {
	m := readTiny(t)
	in := []Inputs{m.batch(0, m.Context)}
	losses := map[float64]bool{}
	for _, seed := range []uint64{1, 2} {
		e := m.engine(t, 0.3, Options{Seed: seed})
		for _, step := range []int{0, 1, 0} {
			loss, err := e.Step(step, in)
			if err != nil {
				t.Fatal(err)
			}
			losses[loss] = true
		}
	}
	if len(losses) != 4 {
		t.Errorf("two steps with two seeds have the losses %v, want four", losses)
	}
	with, without := m.engine(t, 0.3, Options{}), m.engine(t, 0, Options{})
	for side, data := range []map[string]Tensor{in[0].Image, in[0].Text} {
		a, err := with.Embed(0, Side(side), data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := without.Embed(0, Side(side), data)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.F32, b.F32) || !slices.Equal(a.Shape, []int64{8, 8}) {
			t.Errorf("%v: embeddings of a tower with dropout differ, or are no [8,8]: %v", Side(side), a.Shape)
		}
	}
}

// TestEmbed: the loss of what Embed returns is that of a step, before and after an
// update.
func TestEmbed(t *testing.T) {
	m := readTiny(t)
	e := m.engine(t, 0, Options{Chunk: 3})
	opt := m.optimizer(t, e)
	for step := range 2 {
		in := m.batch(0, m.Context)
		want, err := e.Step(step, []Inputs{in})
		if err != nil {
			t.Fatal(err)
		}
		image, err := e.Embed(0, Image, in.Image)
		if err != nil {
			t.Fatal(err)
		}
		text, err := e.Embed(0, Text, in.Text)
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := e.pairs(nil, 8)
		if err != nil {
			t.Fatal(err)
		}
		got := runLoss(t, lossCase{Loss: InfoNCE, Rows: 8, Scale: e.W[len(e.W)-2], Pairs: pairs, Image: image.F32, Text: text.F32})[0].F32[0]
		if math.Abs(float64(got)-want) > 1e-6 {
			t.Errorf("step %d: embeddings have the loss %v, the step %v", step, got, want)
		}
		opt.Update(e.W, e.G, 0.01)
	}
}

// TestLengths: texts of a batch may be cut behind the longest, and lengths may take
// turns.
func TestLengths(t *testing.T) {
	m := readTiny(t)
	for row := range slices.Chunk(m.IDs[0], int(m.Context)) {
		clear(row[6:])
		row[5] = slices.Max(row) + 1 // ends within six
		row[5] = min(row[5], 39)
	}
	e := m.engine(t, 0, Options{})
	e.o.Sessions = 6 // of which a step has the image tower's and the loss's
	var losses []float64
	var grads [][]float32
	for i, length := range []int64{10, 6, 8, 7, 9, 6, 10, 7} {
		loss, err := e.Step(i, []Inputs{m.batch(0, length)})
		if err != nil {
			t.Fatal(err)
		}
		losses, grads = append(losses, loss), append(grads, slices.Clone(e.G))
	}
	for i := range losses {
		if d := distance(grads[i], grads[0]); math.Abs(losses[i]-losses[0]) > 1e-6 || d > 2e-6 {
			t.Errorf("run %d: loss %v, at full length %v; the gradients differ by %.2g", i, losses[i], losses[0], d)
		}
	}
	if n := len(e.programs.list); n != 6 {
		t.Errorf("%d programs are kept, want 6", n)
	}
}

// TestStreams: two streams add up, and share what they call by one name.
func TestStreams(t *testing.T) {
	m := readTiny(t)
	image, text := m.towers(t, 0)
	files := os.DirFS("testdata")
	one := Stream{Image: image, Text: text, Files: files}
	alone := m.engine(t, 0, Options{Streams: []Stream{one}})
	var want [2][]float32
	var losses [2]float64
	for i := range want {
		loss, err := alone.Step(0, []Inputs{m.batch(i, m.Context)})
		if err != nil {
			t.Fatal(err)
		}
		want[i], losses[i] = slices.Clone(alone.G), loss
	}
	for _, cached := range []bool{false, true} {
		other := one
		other.Weight = 0.25
		e := m.engine(t, 0, Options{Streams: []Stream{one, other}, GradCache: cached, Part: 4})
		if len(e.Params) != len(alone.Params) {
			t.Fatalf("two streams of the same towers have %d parameters, one has %d", len(e.Params), len(alone.Params))
		}
		loss, err := e.Step(0, []Inputs{m.batch(0, m.Context), m.batch(1, m.Context)})
		if err != nil {
			t.Fatal(err)
		}
		sum := slices.Clone(want[0])
		for i, g := range want[1] {
			sum[i] += 0.25 * g
		}
		if d := distance(e.G, sum); d > 2e-6 || math.Abs(loss-losses[0]-0.25*losses[1]) > 1e-6 || math.Abs(e.Losses[1]-losses[1]) > 1e-6 {
			t.Errorf("GradCache %v: loss %v of %v, want %v; the gradients differ by %.2g", cached, loss, e.Losses, losses, d)
		}
	}
}

// TestFrozen: what is not trained is a constant, and the others' gradients do not
// change; a tower may be frozen whole.
func TestFrozen(t *testing.T) {
	m := readTiny(t)
	in := []Inputs{m.batch(0, m.Context)}
	all := m.engine(t, 0, Options{})
	want, err := all.Step(0, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"text.", "image.head", "image.blocks.1"} {
		for _, cached := range []bool{false, true} {
			e := m.engine(t, 0, Options{GradCache: cached, Trained: func(name string) bool { return strings.HasPrefix(name, prefix) }})
			loss, err := e.Step(0, in)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(loss-want) > 1e-6 {
				t.Errorf("only %s trained: loss %v, want %v", prefix, loss, want)
			}
			for _, p := range e.Params {
				if d := distance(p.of(e.G), all.Params[all.byName[p.Name]].of(all.G)); d > 1e-5 && !strings.HasSuffix(p.Name, ".k.bias") && p.Name != LogitBias {
					t.Errorf("only %s trained: the gradient of %s differs by %.2g", prefix, p.Name, d)
				}
			}
		}
	}
}

// TestPairs: texts that share a picture are no contrast to it, and which of them stands
// beside it does not matter.
func TestPairs(t *testing.T) {
	m := readTiny(t)
	in := m.batch(0, m.Context)
	pixels := in.Image["pixels"].F32
	each := len(pixels) / 8
	copy(pixels[each:], pixels[:each]) // pictures 0 and 1 are one
	pairs := make([]float32, 64)
	for i := range 8 {
		for j := range 8 {
			if i == j || i < 2 && j < 2 {
				pairs[8*i+j] = 1
			}
		}
	}
	in.Pairs = pairs
	e := m.engine(t, 0, Options{Loss: InfoLOOB})
	want, err := e.Step(0, []Inputs{in})
	if err != nil {
		t.Fatal(err)
	}
	grads := slices.Clone(e.G)
	ids := in.Text["ids"].I64
	for i := range int(m.Context) {
		ids[i], ids[i+int(m.Context)] = ids[i+int(m.Context)], ids[i]
	}
	got, err := e.Step(0, []Inputs{in})
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(e.G, grads); math.Abs(got-want) > 1e-6 || d > 3e-6 {
		t.Errorf("with two texts of a picture exchanged the loss is %v, before %v; the gradients differ by %.2g", got, want, d)
	}
	in.Pairs = nil
	if alone, err := e.Step(0, []Inputs{in}); err != nil || math.Abs(alone-want) < 1e-3 {
		t.Errorf("with each text for itself: loss %v (%v), with pairs %v", alone, err, want)
	}
}
