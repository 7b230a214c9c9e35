package engine

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// The losses that an engine knows.
const (
	InfoNCE  = "infonce"  // symmetric cross entropy (Radford et al. 2021, figure 3)
	SigLIP   = "siglip"   // each pair for itself, with a bias (Zhai et al. 2023)
	InfoLOOB = "infoloob" // the denominator leaves the pair out (Fürst et al. 2022), symmetric as above, without their retrieval
)

// losses are functions of the logits and of which of them are pairs; they give the
// loss as [1,1] and its derivative by the logits.
var losses = map[string]func(g *onnx.Graph, logits, pairs *onnx.Value) (loss, slope *onnx.Value){
	InfoNCE: infoNCE, SigLIP: sigLIP, InfoLOOB: infoLOOB,
}

func lossNamed(name string) (string, error) {
	if name == "" {
		name = InfoNCE
	}
	if losses[name] == nil {
		return "", fmt.Errorf("loss %q is not known: it is %s, %s or %s: %w", name, InfoNCE, SigLIP, InfoLOOB, clipsearch.ErrInvalid)
	}
	return name, nil
}

// start returns the logarithm of the logits' scale and the bias that a run begins
// with, as the papers have them.
func start(loss string) (scale, bias float32) {
	switch loss {
	case SigLIP:
		return float32(math.Log(10)), -10
	case InfoLOOB:
		return float32(math.Log(30)), 0
	}
	return float32(math.Log(1 / 0.07)), 0
}

// contrast is the loss of a batch, from features to their gradients. Features are
// [B,D], image and text; pairs [B,B] tells by numbers above zero which text belongs
// to which image; scale (its logarithm) and bias are [1].
type contrast struct {
	features           [2]*onnx.Value
	scale, bias, pairs *onnx.Value
	weight             float64 // of the gradients
}

// gradients of a contrast. That of the bias is nil where the loss has none.
type gradients struct {
	loss, scale, bias *onnx.Value
	features          [2]*onnx.Value
}

// compute writes the backward pass by hand, since it is shorter than that of the
// operators one by one: the slope by the logits gives all others.
func (c contrast) compute(g *onnx.Graph, kind string) (d gradients) {
	image, back := unit(g, c.features[Image])
	text, back2 := unit(g, c.features[Text])
	scaled := g.Mul(image, g.Exp(c.scale))
	logits := g.MatMul(scaled, g.Transpose(text, 1, 0))
	biased := logits
	if kind == SigLIP {
		biased = g.Add(logits, c.bias)
	}
	loss, slope := losses[kind](g, biased, c.pairs)
	if c.weight != 1 {
		slope = g.Mul(slope, g.Scalar(float32(c.weight)))
	}
	d.loss = g.Reshape(loss, onnx.N(1))
	d.scale = sum(g, g.Mul(slope, logits))
	if kind == SigLIP {
		d.bias = sum(g, slope)
	}
	d.features[Image] = back(g.Mul(g.MatMul(slope, text), g.Exp(c.scale)))
	d.features[Text] = back2(g.MatMul(g.Transpose(slope, 1, 0), scaled))
	return d
}

func sum(g *onnx.Graph, x *onnx.Value) *onnx.Value {
	return g.Reshape(g.ReduceSum(x, true, 0, 1), onnx.N(1))
}

// unit brings rows to length one. back takes a gradient by the result to one by x.
func unit(g *onnx.Graph, x *onnx.Value) (u *onnx.Value, back func(*onnx.Value) *onnx.Value) {
	length := g.Max(g.Sqrt(g.ReduceSum(g.Mul(x, x), true, 1)), g.Scalar(1e-12))
	u = g.Div(x, length)
	return u, func(d *onnx.Value) *onnx.Value {
		return g.Div(g.Sub(d, g.Mul(u, g.ReduceSum(g.Mul(u, d), true, 1))), length)
	}
}

// infoNCE is the mean of the cross entropies by rows and by columns.
func infoNCE(g *onnx.Graph, logits, pairs *onnx.Value) (loss, slope *onnx.Value) {
	return bothWays(g, logits, pairs, logits)
}

// infoLOOB is infoNCE with a denominator of what are no pairs.
func infoLOOB(g *onnx.Graph, logits, pairs *onnx.Value) (loss, slope *onnx.Value) {
	others := g.Where(g.LessOrEqual(pairs, g.Scalar(0)), logits, g.Scalar(-1e9))
	return bothWays(g, logits, pairs, others)
}

// bothWays is the mean, over rows and columns, of the difference between the
// log-sum-exp of others and the mean of the pairs' logits.
func bothWays(g *onnx.Graph, logits, pairs, others *onnx.Value) (loss, slope *onnx.Value) {
	for axis := range 2 {
		target := g.Div(pairs, g.ReduceSum(pairs, true, axis))
		top := g.ReduceMax(others, true, axis)
		e := g.Exp(g.Sub(others, top))
		total := g.ReduceSum(e, true, axis)
		// The difference first: both terms may be near 100, their difference near 0.
		l := g.ReduceSum(g.Mul(target, g.Sub(g.Add(g.Log(total), top), logits)), true, 0, 1)
		d := g.Sub(g.Div(e, total), target)
		if axis > 0 {
			loss, slope = g.Add(loss, l), g.Add(slope, d)
		} else {
			loss, slope = l, d
		}
	}
	rows, _ := logits.Shape()[0].Known()
	share := g.Scalar(1 / float32(2*rows))
	return g.Mul(loss, share), g.Mul(slope, share)
}

// sigLIP is the mean over the rows of the sums of -log(sigmoid(z·logit)), z being 1
// for pairs and -1 for others.
func sigLIP(g *onnx.Graph, logits, pairs *onnx.Value) (loss, slope *onnx.Value) {
	minus := g.Where(g.LessOrEqual(pairs, g.Scalar(0)), g.Scalar(1), g.Scalar(-1))
	x := g.Mul(logits, minus)
	tail := log1p(g, g.Exp(g.Sub(g.Scalar(0), g.Abs(x))))
	rows, _ := logits.Shape()[0].Known()
	share := g.Scalar(1 / float32(rows))
	loss = g.Mul(g.ReduceSum(g.Add(g.Relu(x), tail), true, 0, 1), share)
	return loss, g.Mul(g.Mul(g.Sigmoid(x), minus), share)
}

// log1p is log(1+x) for x from 0 to 1, with the rounding of 1+x made good (Kahan's
// way): nearly all losses of a batch are that small.
func log1p(g *onnx.Graph, x *onnx.Value) *onnx.Value {
	u := g.Add(x, g.Scalar(1))
	rounded := g.Sub(u, g.Scalar(1))
	lost := g.LessOrEqual(rounded, g.Scalar(0))
	exact := g.Mul(g.Log(u), g.Div(x, g.Where(lost, g.Scalar(1), rounded)))
	return g.Where(lost, x, exact)
}
