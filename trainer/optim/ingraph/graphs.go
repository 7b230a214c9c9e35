package ingraph

import (
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// least is the least float32 that has all its digits: a mean that is not beyond it is
// zero, as in package optim, since processors are slow with less.
const least = 0x1p-126

// graph is the length of a gradient that comes in lines.
func (l line) graph() (*onnx.Model, error) {
	return onnx.Build("length", func(g *onnx.Graph) {
		var sum *onnx.Value
		add := func(name string, rows, columns int) {
			if rows*columns == 0 {
				return
			}
			x := g.ReduceSumSquare(g.Input(name, onnx.Float, onnx.N(rows), onnx.N(columns)), false, 1)
			x = g.ReduceSum(g.Cast(x, onnx.Double), true, 0)
			if sum != nil {
				x = g.Add(sum, x)
			}
			sum = x
		}
		add("full", l.full, width)
		add("rest", 1, l.rest)
		g.Output("length", g.Cast(g.Sqrt(sum), onnx.Float))
	})
}

// updateGraph is the update of any number of parameters; share is what the mean of the
// weights keeps of itself, 0 if there is none. It multiplies and adds in package optim's
// order.
func updateGraph(share float64) (*onnx.Model, error) {
	return onnx.Build("adamw", func(g *onnx.Graph) {
		n := onnx.Sym("n")
		x, w, m, v := g.Input("g", onnx.Float, n), g.Input("w", onnx.Float, n), g.Input("m", onnx.Float, n), g.Input("v", onnx.Float, n)
		var mean *onnx.Value
		if share > 0 {
			mean = g.Input("mean", onnx.Float, n)
		}
		number := func(name string) *onnx.Value { return g.Input(name, onnx.Float, onnx.N(1)) }
		keep, rate, epsilon := number("keep"), number("rate"), number("epsilon")
		m0, m1, v0, v1 := number("m0"), number("m1"), number("v0"), number("v1")

		m = g.Shrink(g.Add(g.Mul(m, m0), g.Mul(x, m1)), least)
		v = g.Shrink(g.Add(g.Mul(v, v0), g.Mul(g.Mul(x, x), v1)), least)
		w = g.Sub(g.Mul(w, keep), g.Div(g.Mul(m, rate), g.Add(g.Sqrt(v), epsilon)))
		g.Output("new w", w)
		g.Output("new m", m)
		g.Output("new v", v)
		if mean != nil {
			g.Output("new mean", g.Add(mean, g.Mul(g.Sub(w, mean), g.Scalar(float32(1-share)))))
		}
	})
}

// open builds and loads a graph, with all its inputs and outputs in their order.
func open(build func() (*onnx.Model, error), o Options) (*ort.Session, error) {
	m, err := build()
	if err != nil {
		return nil, err
	}
	graph, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	return ort.Open(graph, names(m.Inputs), names(m.Outputs), ort.Options{Threads: o.Threads, Training: true, Provider: o.Provider})
}

func names(ports []onnx.Port) (list []string) {
	for _, p := range ports {
		list = append(list, p.Name)
	}
	return list
}
