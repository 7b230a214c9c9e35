package data

import (
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

// generated is a set of n pictures of several sides, with two captions each; the bad
// ones are damaged.
func generated(t *testing.T, n int, bad ...int) *Set {
	t.Helper()
	files := map[string]string{}
	var table strings.Builder
	for i := range n {
		name := fmt.Sprintf("%03d.png", i)
		files[name] = pngFile(t, 20+i%7, 18+i%5)
		if slices.Contains(bad, i) {
			files[name] = files[name][:40]
		}
		fmt.Fprintf(&table, "%s\tfirst of %d\n%s\tsecond of %d\n", name, i, name, i)
	}
	files["captions.tsv"] = table.String()
	s, err := Read(Options{Data: folder(t, files)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func small() clip.Preprocess {
	return clip.Preprocess{Size: 8, Mean: [3]float64{.5, .4, .3}, Std: [3]float64{.2, .3, .4}}
}

func everything() Augment {
	return Augment{Scale: [2]float64{.3, 1}, Flip: .5, ColorProb: .8, Brightness: .3, Contrast: .3, Saturation: .3, Hue: .05, Gray: .1}
}

func loader(t *testing.T, s *Set, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func sameBatch(a, b *Batch) bool {
	return a.Step == b.Step && slices.Equal(a.Items, b.Items) && slices.Equal(a.Captions, b.Captions) && slices.Equal(a.Pixels, b.Pixels)
}

func TestThreadsChangeNothing(t *testing.T) {
	s := generated(t, 23, 4, 11)
	o := LoaderOptions{Batch: 6, Seed: 3, Decode: decodeStd, Preprocess: small(), Augment: everything()}
	o.Threads = 1
	one := loader(t, s, o)
	o.Threads = 4
	four := loader(t, s, o)
	from := 0
	for b, err := range four.Batches(context.Background(), 0, 12) {
		if err != nil {
			t.Fatal(err)
		}
		want, err := one.Batch(context.Background(), from)
		if err != nil || !sameBatch(b, want) {
			t.Fatalf("step %d: four threads make another batch than one (%v)", from, err)
		}
		from++
	}
	if from != 12 {
		t.Errorf("%d batches, want 12", from)
	}
}

// A run that is resumed, by a loader that knows nothing of the steps before.
func TestResume(t *testing.T) {
	s := generated(t, 11, 2)
	o := LoaderOptions{Batch: 6, Seed: 3, Decode: decodeStd, Preprocess: small(), Augment: everything()}
	whole := loader(t, s, o)
	var all []*Batch
	for step := range 20 {
		b, err := whole.Batch(context.Background(), step)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for _, k := range []int{0, 1, 7, 19} {
		step := k
		for b, err := range loader(t, s, o).Batches(context.Background(), k, 20) {
			if err != nil || !sameBatch(b, all[step]) {
				t.Fatalf("resumed at %d: step %d is another batch (%v)", k, step, err)
			}
			step++
		}
	}
	o.Seed = 4
	if b, err := loader(t, s, o).Batch(context.Background(), 0); err != nil || sameBatch(b, all[0]) {
		t.Errorf("another seed makes the same batch (%v)", err)
	}
}

func TestOrder(t *testing.T) {
	for _, tt := range [][2]int{{1, 1}, {2, 1}, {5, 5}, {5, 4}, {7, 4}, {8, 4}, {9, 4}, {10, 7}, {11, 10}, {100, 32}, {37, 36}} {
		n, batch := tt[0], tt[1]
		o := order{n: n, batch: batch, seed: 1}
		var row []int
		const epochs = 30
		for step := 0; len(row) < epochs*n; step++ {
			items, of := o.batchOf(step)
			if sorted := slices.Sorted(slices.Values(items)); len(slices.Compact(sorted)) != batch {
				t.Fatalf("%d of %d: step %d has a picture twice: %v", batch, n, step, items)
			}
			for i, e := range of {
				if e != (step*batch+i)/n {
					t.Fatalf("%d of %d: step %d, row %d is said to be of epoch %d", batch, n, step, i, e)
				}
			}
			row = append(row, items...)
			fresh := order{n: n, batch: batch, seed: 1}
			if alone, _ := fresh.batchOf(step); step%5 == 4 && !slices.Equal(alone, items) {
				t.Fatalf("%d of %d: step %d is %v, but %v when asked for alone", batch, n, step, items, alone)
			}
		}
		for e := range epochs {
			epoch := slices.Clone(row[e*n : (e+1)*n])
			slices.Sort(epoch)
			if len(slices.Compact(epoch)) != n {
				t.Fatalf("%d of %d: epoch %d has not every picture once", batch, n, e)
			}
		}
	}
}

func TestCaptionsTakeTurns(t *testing.T) {
	l := loader(t, &Set{Items: []Item{{Captions: []string{"a", "b", "c"}}}}, LoaderOptions{Batch: 1, Views: 2})
	var said []string
	var views [2]int
	for step := range 300 {
		b, err := l.Batch(context.Background(), step)
		if err != nil || b.Pixels != nil {
			t.Fatalf("%d pixels, %v: want none, as nothing decodes", len(b.Pixels), err)
		}
		if said = append(said, b.Captions[0]); b.Captions[0] != string("abc"[b.Texts[0]]) {
			t.Fatalf("caption %d is said to be %q", b.Texts[0], b.Captions[0])
		}
		views[b.Views[0]]++
	}
	orders := map[string]int{}
	for turn := range slices.Chunk(said, 3) {
		orders[strings.Join(turn, "")]++
	}
	if views != [2]int{150, 150} {
		t.Errorf("the two views came %v times, want each as often", views)
	}
	if len(orders) != 6 {
		t.Errorf("turns of the three captions: %v, want all six orders", orders)
	}
}

func TestDamaged(t *testing.T) {
	s := generated(t, 10, 1, 5, 6)
	var lines []string
	l := loader(t, s, LoaderOptions{Batch: 4, Decode: decodeStd, Preprocess: small(), Report: func(line string) { lines = append(lines, line) }})
	for b, err := range l.Batches(context.Background(), 0, 10) {
		if err != nil {
			t.Fatal(err)
		}
		seen := slices.Sorted(slices.Values(b.Items))
		if len(slices.Compact(seen)) != 4 || slices.ContainsFunc(seen, func(i int) bool { return i == 1 || i == 5 || i == 6 }) {
			t.Errorf("step %d has %v, want four different ones of those not damaged", b.Step, b.Items)
		}
		for row, item := range b.Items {
			if !strings.HasSuffix(b.Captions[row], fmt.Sprintf(" of %d", item)) {
				t.Errorf("step %d: picture %d with %q", b.Step, item, b.Captions[row])
			}
		}
	}
	if len(lines) != 3 || l.Damaged() != 3 || !strings.Contains(lines[0], "is left out (1 so far): ") {
		t.Errorf("%d damaged, told as %q: want three lines", l.Damaged(), lines)
	}
	// A batch that needs all of the set: those that can be read come twice.
	b, err := loader(t, s, LoaderOptions{Batch: 20, Decode: decodeStd, Preprocess: small()}).Batch(context.Background(), 1)
	if err != nil || len(b.Items) != 10 {
		t.Errorf("%v, %v: want ten rows", b.Items, err)
	}
	for _, seen := range []int{1, 3} {
		l := loader(t, generated(t, seen, 0, 1, 2), LoaderOptions{Batch: 2, Decode: decodeStd, Preprocess: small()})
		for _, err := range l.Batches(context.Background(), 0, 3) {
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "not one of the") {
				t.Errorf("all of %d damaged: %v", seen, err)
			}
		}
	}
}

func TestKeepSides(t *testing.T) {
	s := generated(t, 6)
	s.Items[2].Captions = append(s.Items[2].Captions, "The left one")
	plain := loader(t, s, LoaderOptions{Batch: 6, Decode: decodeStd, Preprocess: small()})
	flipped := loader(t, s, LoaderOptions{Batch: 6, Decode: decodeStd, Preprocess: small(), Augment: Augment{Flip: 1, KeepSides: true}})
	a, err1 := plain.Batch(context.Background(), 0)
	b, err2 := flipped.Batch(context.Background(), 0)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for row, item := range a.Items {
		same := slices.Equal(a.Pixels[row*192:][:192], b.Pixels[row*192:][:192])
		if same != (item == 2) {
			t.Errorf("picture %d: flipped %v", item, !same)
		}
	}
}

func TestViews(t *testing.T) {
	s := generated(t, 10, 3)
	l := loader(t, s, LoaderOptions{Batch: 4, Seed: 1, Decode: decodeStd, Preprocess: small(), Augment: everything()})
	seen := map[int][][]float32{}
	for view := range 3 {
		var items []int
		for b, err := range l.Views(context.Background(), view) {
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, b.Items...)
			for row, item := range b.Items {
				seen[item] = append(seen[item], slices.Clone(b.Pixels[row*192:][:192]))
			}
		}
		if !slices.Equal(items, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("view %d has %v, want all but 3 in order", view, items)
		}
	}
	file, err := s.Items[7].Read()
	if err != nil {
		t.Fatal(err)
	}
	img, err := decodeStd(file)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 192)
	small().Normalize(want, small().Fit(img))
	if v := seen[7]; !slices.Equal(v[0], want) || slices.Equal(v[1], v[2]) || slices.Equal(v[0], v[1]) {
		t.Error("view 0 is not what a model in use sees, or others are equal")
	}
}

func TestCancel(t *testing.T) {
	var decoded atomic.Int64
	l := loader(t, generated(t, 12), LoaderOptions{Batch: 4, Preprocess: small(), Decode: func(file []byte) (*image.RGBA, error) {
		decoded.Add(1)
		return decodeStd(file)
	}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	n := 0
	for _, err := range l.Batches(ctx, 0, 1000) {
		if n++; n == 2 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last error is %v, want that it was cancelled", last)
	}
	for range l.Batches(context.Background(), 0, 1000) {
		break // and nothing is left running
	}
	if n := decoded.Load(); n > 80 {
		t.Errorf("%d pictures were decoded for three batches", n)
	}
}

func TestLoaderErrors(t *testing.T) {
	one := &Set{Items: []Item{{Name: "a", Captions: []string{"b"}}}}
	for name, tt := range map[string]struct {
		set *Set
		o   LoaderOptions
	}{
		"empty": {&Set{}, LoaderOptions{Batch: 1}}, "no batch": {one, LoaderOptions{}}, "threads": {one, LoaderOptions{Batch: 1, Threads: -1}},
		"no size": {one, LoaderOptions{Batch: 1, Decode: decodeStd}}, "augmentation": {one, LoaderOptions{Batch: 1, Augment: Augment{Flip: 3}}},
		"other cache": {one, LoaderOptions{Batch: 1, Cache: &Cache{}}},
	} {
		if _, err := NewLoader(tt.set, tt.o); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	l := loader(t, one, LoaderOptions{Batch: 9})
	for _, err := range l.Views(context.Background(), 0) {
		if !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("views without a decoder: %v, want ErrInvalid", err)
		}
	}
	if _, err := l.Batch(context.Background(), -1); !errors.Is(err, clipsearch.ErrInvalid) || l.BatchSize() != 1 || l.StepsPerEpoch() != 1 {
		t.Errorf("step -1: %v; batch %d, %d steps", err, l.BatchSize(), l.StepsPerEpoch())
	}
}

// From tars to batches, all the way.
func TestEndToEnd(t *testing.T) {
	var members []string
	for i := range 9 {
		members = append(members, fmt.Sprintf("%d.png", i), pngFile(t, 30+i, 24), fmt.Sprintf("%d.txt", i), fmt.Sprintf("number %d", i))
	}
	dir := folder(t, map[string]string{"x-0.tar": tarOf(t, members[:20]...), "x-1.tar": tarOf(t, members[20:]...)})
	s, err := Read(Options{Data: filepath.Join(dir, "x-{0..1}.tar")})
	if err != nil {
		t.Fatal(err)
	}
	l := loader(t, Join(s, generated(t, 3)), LoaderOptions{Batch: 6, Decode: decodeStd, Preprocess: small(), Augment: everything()})
	said := map[string]bool{}
	for b, err := range l.Batches(context.Background(), 0, l.StepsPerEpoch()) {
		if err != nil || len(b.Pixels) != 6*192 {
			t.Fatal(len(b.Pixels), err)
		}
		for _, c := range b.Captions {
			said[c] = true
		}
	}
	if len(said) != 12 || !said["number 8"] {
		t.Errorf("an epoch says %v, want a caption of each of twelve", said)
	}
}
