package compose

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/clipsearch/clipsearch/onnx"
)

// Head makes an embedding of a backbone's features: a linear layer and, beside it, a
// layer of Hidden numbers with a GELU and another linear layer; their sum, and what
// Classes adds. Dropout is part of the graph; it does nothing where the graph is not
// trained.
type Head struct {
	Name          string // before the names of its weights, so that patterns find them: "head.image"
	Width, Dim    int    // numbers of a feature, and of an embedding
	Hidden        int    // 0: the linear layer alone
	Dropout       float64
	HiddenDropout float64

	Unit  bool      // features are brought to length one first
	Scale float32   // and multiplied by this; 1 if zero
	Mean  []float32 // of features: they are centred on it ...
	Std   []float32 // ... and divided by this and a thousandth, number by number; nil: they are not

	Classes *Classes // nil: none
	Seed    uint64
}

// Classes are what a classifier of a backbone knows: the embedding gets, for each
// class, its own embedding times the share that the classifier gives it.
type Classes struct {
	Weight, Bias []float32 // [C,Width] and [C], of the classifier of features as they come
	Embeddings   []float32 // [C,Dim], to begin with
	Factor       float32   // on what is added; 1 if zero
}

// Graph writes the head, of features [batch,Width], as a graph with the output of the
// given name, [batch,Dim].
func (h Head) Graph(out string) (*onnx.Model, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("head %s: %w", h.Name, err)
	}
	return onnx.Build(h.Name, func(g *onnx.Graph) {
		w := &writer{g: g, h: h, draw: rand.New(rand.NewPCG(h.Seed, 0x68656164))}
		x := g.Input(h.Name+".in", onnx.Float, onnx.Sym("batch"), onnx.N(h.Width))
		g.In(h.Name, func() {
			z := w.prepared(x)
			y := w.linear("skip", g.Dropout(z, h.Dropout), h.Dim)
			if h.Hidden > 0 {
				a := g.Gelu(w.linear("fc1", g.Dropout(z, h.Dropout), h.Hidden))
				y = g.Add(y, w.linear("fc2", g.Dropout(a, h.HiddenDropout), h.Dim))
			}
			if h.Classes != nil {
				y = g.Add(y, w.classes(x))
			}
			g.Output(out, y)
		})
	})
}

func (h Head) check() error {
	c := h.Classes
	switch {
	case h.Width < 1 || h.Dim < 1 || h.Hidden < 0:
		return fmt.Errorf("%d features, %d hidden numbers and embeddings of %d", h.Width, h.Hidden, h.Dim)
	case h.Mean != nil && (len(h.Mean) != h.Width || len(h.Std) != h.Width):
		return fmt.Errorf("%d means and %d deviations of %d features", len(h.Mean), len(h.Std), h.Width)
	case c != nil && (len(c.Bias) == 0 || len(c.Weight) != len(c.Bias)*h.Width || len(c.Embeddings) != len(c.Bias)*h.Dim):
		return errors.New("the classifier has another shape than the head")
	}
	return nil
}

// writer writes a head's layers.
type writer struct {
	g    *onnx.Graph
	h    Head
	draw *rand.Rand
}

// prepared are the features as the layers take them.
func (w *writer) prepared(x *onnx.Value) *onnx.Value {
	g, h := w.g, w.h
	if h.Unit {
		length := g.Sqrt(g.ReduceSum(g.Mul(x, x), true, 1))
		x = g.Div(x, g.Max(length, g.Scalar(1e-12)))
	}
	if h.Scale != 0 && h.Scale != 1 {
		x = g.Mul(x, g.Scalar(h.Scale))
	}
	if h.Mean == nil {
		return x
	}
	by := make([]float32, h.Width)
	for i, s := range h.Std {
		by[i] = 1 / (s + 1e-3)
	}
	x = g.Sub(x, w.constant("mean", h.Mean, h.Width))
	return g.Mul(x, w.constant("by", by, h.Width))
}

// classes is what the classifier adds.
func (w *writer) classes(x *onnx.Value) *onnx.Value {
	g, c := w.g, w.h.Classes
	n := len(c.Bias)
	logits := g.Gemm(g.Dropout(x, w.h.Dropout), w.constant("classifier.weight", c.Weight, n, w.h.Width), w.constant("classifier.bias", c.Bias, n), true)
	sharp := g.Exp(w.constant("classifier.log_scale", []float32{0}, 1))
	y := g.Gemm(g.Softmax(g.Mul(logits, sharp), 1), w.constant("classifier.embeddings", c.Embeddings, n, w.h.Dim), nil, false)
	if c.Factor != 0 && c.Factor != 1 {
		y = g.Mul(y, g.Scalar(c.Factor))
	}
	return y
}

// linear is a layer whose weights are drawn as PyTorch's Linear draws them: evenly
// between ± 1/√in.
func (w *writer) linear(name string, x *onnx.Value, out int) *onnx.Value {
	n, _ := x.Shape()[1].Known()
	in := int(n)
	return w.g.Gemm(x, w.constant(name+".weight", w.even(out*in, in), out, in), w.constant(name+".bias", w.even(out, in), out), true)
}

func (w *writer) even(n, in int) []float32 {
	x, most := make([]float32, n), 1/math.Sqrt(float64(in))
	for i := range x {
		x[i] = float32((2*w.draw.Float64() - 1) * most)
	}
	return x
}

func (w *writer) constant(name string, x []float32, dims ...int) *onnx.Value {
	shape := make([]int64, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	return w.g.Const(onnx.Floats(w.h.Name+"."+name, x, shape...))
}
