package doctor

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/clipsearch/clipsearch/onnx"
)

// graph is what the doctor reads of an ONNX file: its weights, and which of them are
// the scales of quantized numbers. Weights of graphs within nodes are not among them.
type graph struct {
	tensors []tensor
	scales  map[string]bool
}

// scaleInputs tells which inputs of an operator are scales.
var scaleInputs = map[string][]int{
	"QuantizeLinear": {1}, "DequantizeLinear": {1}, "QLinearConv": {1, 4, 6}, "QLinearMatMul": {1, 4, 6},
	"QLinearAdd": {1, 4, 6}, "QLinearMul": {1, 4, 6}, "QLinearGlobalAveragePool": {1, 3}, "QGemm": {1, 4, 7},
	"DynamicQuantizeMatMul": {2}, "MatMulIntegerToFloat": {2, 3}, "QAttention": {3, 4},
}

// onnxKinds are the types that matter here; the rest are integers.
var onnxKinds = map[onnx.Type]kind{
	onnx.Float: float32s, onnx.Float16: float16s, onnx.BFloat16: bfloat16s, onnx.Double: float64s, onnx.Int8: int8s, onnx.Uint8: uint8s,
}

// readONNX lists the weights of an ONNX model. beside holds the files that lie beside it.
func readONNX(data []byte, beside *besides) (graph, error) {
	m, err := onnx.Read(data)
	if err != nil {
		return graph{}, err
	}
	g := graph{scales: map[string]bool{}}
	add := func(t *onnx.Tensor, name string) error {
		w := tensor{name: name, kind: onnxKinds[t.Type], shape: t.Dims, at: bytes.NewReader(t.Raw), bytes: int64(len(t.Raw))}
		if t.External != nil {
			if err := beside.place(&w, t.External); err != nil {
				return err
			}
		}
		g.tensors = append(g.tensors, w)
		return nil
	}
	for _, t := range m.Initializers {
		if err := add(t, t.Name); err != nil {
			return graph{}, err
		}
	}
	for _, n := range m.Nodes {
		for _, i := range scaleInputs[n.Op] {
			if i < len(n.Inputs) {
				g.scales[n.Inputs[i]] = true
			}
		}
		for _, a := range n.Attrs {
			if t, ok := a.Value.(*onnx.Tensor); ok && len(n.Outputs) > 0 {
				if err := add(t, n.Outputs[0]); err != nil { // a constant is called as what it gives
					return graph{}, err
				}
			}
		}
	}
	return g, nil
}

// besides opens the files that lie beside a graph, each once.
type besides struct {
	fsys   fs.FS
	dir    string
	opened map[string]besideFile
}

type besideFile struct {
	io.ReaderAt
	size  int64
	close func() error
}

// place finds a weight that lies in a file beside the model.
func (b *besides) place(t *tensor, e *onnx.External) error {
	if !fs.ValidPath(e.Location) {
		return fmt.Errorf("the weight %s lies at %q, which is outside the model", t.name, e.Location)
	}
	f, ok := b.opened[e.Location]
	if !ok {
		at, size, closeFile, err := openAt(b.fsys, path.Join(b.dir, e.Location))
		if err != nil {
			return fmt.Errorf("the weight %s lies in %s: %w", t.name, e.Location, err)
		}
		f = besideFile{at, size, closeFile}
		if b.opened == nil {
			b.opened = map[string]besideFile{}
		}
		b.opened[e.Location] = f
	}
	length := e.Length
	if length == 0 { // left out: up to the end
		length = f.size - e.Offset
	}
	if e.Offset > f.size || length > f.size-e.Offset {
		return fmt.Errorf("the weight %s lies at %d to %d of %s, which ends at %d: it is cut off", t.name, e.Offset, e.Offset+length, e.Location, f.size)
	}
	t.at, t.from, t.bytes = f, e.Offset, length
	return nil
}

func (b *besides) close() {
	for _, f := range b.opened {
		f.close()
	}
}
