package compose

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// Pseudo makes features of classes that no picture of the set shows: a picture's
// features, moved along what the classifier's weights and the features' covariance say
// until they are those of another class. With them, names of classes become pairs like
// those of pictures and captions.
type Pseudo struct {
	Width        int
	Weight, Bias []float32 // of the classifier, [C,Width] and [C]
	Covariance   []float32 // of features, [Width,Width]
	Low, High    float32   // what features may be
}

// The ports of its graph.
const (
	PseudoIn       = "features" // float32 [batch,Width], of pictures
	PseudoClass    = "class"    // int64 [batch]
	PseudoDistance = "distance" // float32 [batch,1], how far they are moved
	PseudoOut      = "moved"    // float32 [batch,Width]
)

// Graph writes clip(x + a·S·(w_c − Σ_j p_j(x) w_j)), p being the classifier's shares.
func (p Pseudo) Graph() (*onnx.Model, error) {
	c := len(p.Bias)
	if p.Width < 1 || c < 1 || len(p.Weight) != c*p.Width || len(p.Covariance) != p.Width*p.Width {
		return nil, fmt.Errorf("a classifier of %d weights and %d classes, and a covariance of %d numbers, for %d features", len(p.Weight), c, len(p.Covariance), p.Width)
	}
	return onnx.Build("pseudo-features", func(g *onnx.Graph) {
		n, width := onnx.Sym("batch"), int64(p.Width)
		x := g.Input(PseudoIn, onnx.Float, n, onnx.N(width))
		class := g.Input(PseudoClass, onnx.Int64, n)
		by := g.Input(PseudoDistance, onnx.Float, n, onnx.N(1))
		w := g.Const(onnx.Floats("classifier", p.Weight, int64(c), width))
		shares := g.Softmax(g.Gemm(x, w, g.Const(onnx.Floats("bias", p.Bias, int64(c))), true), 1)
		way := g.Gemm(g.Sub(g.Rows(w, class), g.Gemm(shares, w, nil, false)), g.Const(onnx.Floats("covariance", p.Covariance, width, width)), nil, false)
		moved := g.Add(x, g.Mul(by, way))
		g.Output(PseudoOut, g.Min(g.Max(moved, g.Scalar(p.Low)), g.Scalar(p.High)))
	})
}

// Covariance writes the graph that adds up what covariances are made of: of features
// [batch,width] less a mean, the sum of their outer products, [width,width].
func Covariance(width int) (*onnx.Model, error) {
	return onnx.Build("covariance", func(g *onnx.Graph) {
		x := g.Input(PseudoIn, onnx.Float, onnx.Sym("batch"), onnx.N(width))
		mean := g.Input("mean", onnx.Float, onnx.N(width))
		x = g.Sub(x, mean)
		g.Output("sum", g.MatMul(g.Transpose(x, 1, 0), x))
	})
}
