package eval

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Classification is what an evaluation of classification by names says. Figures
// are fractions of one.
type Classification struct {
	Top1            float64 `json:"top1"`                  // share of pictures whose class has the highest score
	Top5            float64 `json:"top5"`                  // or is among the five highest
	MeanClassRecall float64 `json:"mean_per_class_recall"` // over the classes that have pictures
	MacroF1         float64 `json:"macro_f1"`              // over the classes that have pictures, or were named for one
	Images          int     `json:"images"`
	Classes         int     `json:"classes"`
	*Generalization
	Templates int     `json:"templates,omitempty"`
	Dataset   string  `json:"dataset"`
	Split     string  `json:"split"`
	Model     string  `json:"model"`
	Complete  bool    `json:"complete"` // nothing of the split was left out
	Missing   int     `json:"missing"`  // pictures that were
	Seconds   float64 `json:"seconds"`

	PerClass []ClassFigures `json:"-"` // in the order of the classes
}

// Generalization compares the first classes, which a model was adapted to, with
// the others. Pictures of either side are judged among the classes of that side,
// as the works on prompt learning do (Zhou et al. 2022, CoCoOp).
type Generalization struct {
	BaseClasses  int     `json:"base_classes"`
	BaseAccuracy float64 `json:"base_accuracy"`
	NewAccuracy  float64 `json:"new_accuracy"`
	HarmonicMean float64 `json:"harmonic_mean"`
}

// ClassFigures say how one class fared.
type ClassFigures struct {
	Name   string // empty if it is not known
	Images int    // that belong to it
	Hits   int    // of these, for which it has the highest score
	Named  int    // pictures of any class for which it has
}

// Classify judges logits, a row a picture and a column a class: labels say which
// class each picture belongs to. Of equal scores that of the earlier class stands
// first. With base above zero the first classes are compared with the others. It
// is an error wrapping [clipsearch.ErrInvalid] if shapes do not fit, a label is out
// of range, a score is NaN, or there is no picture on one side of base. Threads is
// how many goroutines work; as many as there are cores if zero.
func Classify(ctx context.Context, logits Matrix, labels []int64, base, threads int) (Classification, error) {
	start := time.Now()
	classes := logits.Dim
	if logits.Rows() == 0 {
		return Classification{}, invalid("logits of %d pictures and %d classes: nothing to judge", logits.Rows(), classes)
	}
	if len(labels) != logits.Rows() {
		return Classification{}, invalid("%d labels for %d rows of logits: give the class of each", len(labels), logits.Rows())
	}
	own := make([]int, len(labels))
	for i, l := range labels {
		if l < 0 || l >= int64(classes) {
			return Classification{}, invalid("the label of row %d is %d, but classes go from 0 to %d", i, l, classes-1)
		}
		own[i] = int(l)
	}
	if err := checkBase(own, classes, base); err != nil {
		return Classification{}, err
	}
	scores := func(i int, into []float64) {
		for c, x := range logits.Row(i) {
			into[c] = float64(x)
		}
	}
	verdicts, err := decide(ctx, own, classes, base, threads, scores)
	if err != nil {
		return Classification{}, err
	}
	r := count(verdicts, own, classes, base)
	r.Complete, r.Seconds = true, time.Since(start).Seconds()
	return r, nil
}

// checkBase tells whether there is something to compare on both sides of base.
func checkBase(labels []int, classes, base int) error {
	if base == 0 {
		return nil
	}
	if base < 0 || base >= classes {
		return invalid("%d base classes of %d: at least one must be base, and one new", base, classes)
	}
	var sides [2]int
	for _, l := range labels {
		sides[side(l, base)]++
	}
	if sides[0] == 0 || sides[1] == 0 {
		return invalid("%d base classes of %d: %d pictures belong to base classes and %d to new ones, and either needs some", base, classes, sides[0], sides[1])
	}
	return nil
}

func side(class, base int) int {
	if class < base {
		return 0
	}
	return 1
}

// verdict is how one picture fared.
type verdict struct {
	rank   int  // of its class among all, from 1
	best   int  // the class with the highest score
	within bool // its class is the best on its side of base
}

// decide judges every picture; scores puts those of one into a slice, and is called
// by several goroutines.
func decide(ctx context.Context, labels []int, classes, base, threads int, scores func(i int, into []float64)) ([]verdict, error) {
	verdicts := make([]verdict, len(labels))
	var next atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	for range cmp.Or(max(threads, 0), runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			row := make([]float64, classes)
			for gctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(labels) {
					return nil
				}
				scores(i, row)
				for c, x := range row {
					if math.IsNaN(x) {
						return invalid("picture %d has no score for class %d: it is NaN", i, c)
					}
				}
				verdicts[i] = decideOne(row, labels[i], base)
			}
			return gctx.Err()
		})
	}
	return verdicts, g.Wait()
}

func decideOne(scores []float64, label, base int) verdict {
	v := verdict{rank: 1, within: true}
	own := scores[label]
	for c, x := range scores {
		if x > scores[v.best] {
			v.best = c
		}
		if x > own || x == own && c < label {
			v.rank++
			v.within = v.within && side(c, base) != side(label, base)
		}
	}
	return v
}

// count adds verdicts up to figures.
func count(verdicts []verdict, labels []int, classes, base int) Classification {
	r := Classification{Images: len(verdicts), Classes: classes, PerClass: make([]ClassFigures, classes)}
	var all, hits [2]int // by side of base
	for i, v := range verdicts {
		own, s := &r.PerClass[labels[i]], side(labels[i], base)
		own.Images++
		r.PerClass[v.best].Named++
		all[s]++
		if v.rank == 1 {
			own.Hits++
			r.Top1++
		}
		if v.rank <= 5 {
			r.Top5++
		}
		if v.within {
			hits[s]++
		}
	}
	r.Top1 /= float64(r.Images)
	r.Top5 /= float64(r.Images)
	r.MeanClassRecall, r.MacroF1 = classMeans(r.PerClass)
	if base > 0 {
		r.Generalization = generalization(base, float64(hits[0])/float64(all[0]), float64(hits[1])/float64(all[1]))
	}
	return r
}

// classMeans are scikit-learn's balanced accuracy and macro F1.
func classMeans(classes []ClassFigures) (recall, f1 float64) {
	var present, seen int
	for _, c := range classes {
		if c.Images > 0 {
			present++
			recall += float64(c.Hits) / float64(c.Images)
		}
		if n := c.Images + c.Named; n > 0 {
			seen++
			f1 += 2 * float64(c.Hits) / float64(n)
		}
	}
	return recall / float64(present), f1 / float64(seen)
}

func generalization(base int, b, n float64) *Generalization {
	g := &Generalization{BaseClasses: base, BaseAccuracy: b, NewAccuracy: n}
	if b+n > 0 {
		g.HarmonicMean = 2 * b * n / (b + n)
	}
	return g
}
