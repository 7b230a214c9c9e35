package clip

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// Values are the numbers that training ended with: those of an initializer of a
// side's [Model.TrainingGraph], or nil where they are what they were. They are asked
// for [LogitScale] and [LogitBias] too, one number each, as the image side's.
type Values func(side Side, name string) []float32

// What the temperature and the bias are called in checkpoints, and by Values.
const (
	LogitScale = "logit_scale" // its logarithm
	LogitBias  = "logit_bias"
)

// WriteCheckpoint writes the checkpoint that m is built from, with new values, into
// dir, which must be there and empty: as [Model.WriteWeights] does, in the layout in
// which it was read. Where a file of weights has anything new, all its numbers of
// fewer bits become float32, and where it was cut into several they become one.
func (m Model) WriteCheckpoint(dir string, values Values) error {
	if m.halves != nil {
		for _, s := range bothSides {
			to := filepath.Join(dir, string(s))
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			if err := m.own(s).WriteCheckpoint(to, values); err != nil {
				return err
			}
		}
		return nil
	}
	if !m.Built() {
		return fmt.Errorf("model %s consists of ONNX graphs, not of a checkpoint of a known architecture: write it as ONNX graphs: %w", m.Name, clipsearch.ErrInvalid)
	}
	b, w, err := m.openTrained(values)
	if err != nil {
		return err
	}
	defer w.Close()
	for _, f := range m.Files {
		if strings.EqualFold(f.Name, ManifestName) || slices.Contains(w.Files(), f.Name) {
			continue
		}
		if err := m.copyConfig(dir, f, len(w.changed) > 0); err != nil {
			return fmt.Errorf("copy %s of model %s: %w", f.Name, m.Name, err)
		}
	}
	for _, name := range append([]string{m.Weights}, b.beside...) {
		if err := m.writeTrainedFile(dir, name, w); err != nil {
			return err
		}
	}
	return nil
}

// writeTrainedFile writes the tensors of a file of weights, or of those that an index
// names, into one.
func (m Model) writeTrainedFile(dir, name string, w *Weights) error {
	old, err := OpenWeights(m.fsys, name)
	if err != nil {
		return err
	}
	defer old.Close()
	var list []NewTensor
	names := old.Names()
	widen := slices.ContainsFunc(names, func(name string) bool { return w.changed[name] != nil })
	for _, name := range names {
		list = append(list, w.rewritten(name, widen))
	}
	to := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(name, ".index.json")))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return WriteTensors(to, list, map[string]string{"format": "pt"})
}

// rewritten is a tensor as it is written again.
func (w *Weights) rewritten(name string, widen bool) NewTensor {
	t := w.tensors[name]
	n := NewTensor{Name: name, Type: t.Type, Shape: t.Shape}
	if w.changed[name] != nil || widen && (t.Type == "F16" || t.Type == "BF16") {
		n.Type = "F32"
		n.Write = func(to io.Writer) error {
			x, err := w.Float32s(t)
			if err != nil {
				return err
			}
			return writeFloats(to, x)
		}
		return n
	}
	n.Write = func(to io.Writer) error {
		raw, err := w.Raw(t)
		if err == nil {
			_, err = io.Copy(to, raw)
		}
		return err
	}
	return n
}

// copyConfig copies a file that is no weights. A config.json whose weights are
// float32 now says so: Python would else round them as it loads them.
func (m Model) copyConfig(dir string, f File, changed bool) error {
	if !changed || path.Base(f.Name) != "config.json" {
		return m.copyFile(dir, f)
	}
	data, err := readFile(m.fsys, f.Name, maxConfigFile)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil || !saysFloat32(tree) {
		return m.copyFile(dir, f)
	}
	if data, err = json.MarshalIndent(tree, "", "  "); err != nil {
		return err
	}
	to := filepath.Join(dir, filepath.FromSlash(f.Name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return writeSynced(to, bytes.NewReader(append(data, '\n')))
}

// saysFloat32 makes a configuration say that the weights are float32, wherever it
// says that they are something else: then it is true.
func saysFloat32(tree any) (changed bool) {
	object, _ := tree.(map[string]any)
	for key, v := range object {
		if s, ok := v.(string); ok && (key == "torch_dtype" || key == "dtype") && s != "float32" {
			object[key], changed = "float32", true
		}
		changed = saysFloat32(v) || changed
	}
	return changed
}

// WriteTrained writes m with new values as ONNX files into dir, as [Model.WriteONNX]
// does. One that is built from a checkpoint is written in its precision; of one that
// is ONNX files they are float32.
func (m Model) WriteTrained(dir string, values Values) (Model, error) {
	var open []*Weights // until the graphs are written
	defer func() {
		for _, w := range open {
			w.Close()
		}
	}()
	for name, set := range map[string]func(float64){
		LogitScale: func(x float64) { m.LogitScale = math.Exp(x) },
		LogitBias:  func(x float64) { m.LogitBias = x },
	} {
		if x := values(ImageSide, name); len(x) == 1 {
			set(float64(x[0]))
		}
	}
	return m.WriteGraphs(dir, func(side Side) (*onnx.Model, fs.FS, error) {
		of := m.Side(side)
		if !of.Built() {
			return of.trainedGraph(side, values)
		}
		b, w, err := of.openTrained(values)
		if err != nil {
			return nil, nil, err
		}
		open = append(open, w)
		graph, err := of.buildSide(b, w, side, of.Precision != "int8")
		return graph, of.fsys, err
	})
}

// trainedGraph is the graph of a tower that is an ONNX file, with new values.
func (m Model) trainedGraph(side Side, values Values) (*onnx.Model, fs.FS, error) {
	graph, fsys, err := m.TrainingGraph(side)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range graph.Initializers {
		x := values(side, t.Name)
		if x == nil {
			continue
		}
		if n, err := t.Len(); err != nil || t.Type != onnx.Float || n != int64(len(x)) {
			return nil, nil, fmt.Errorf("model %s: %s is %v%v, not %d float32: %w", m.Name, t.Name, t.Type, t.Dims, len(x), clipsearch.ErrInvalid)
		}
		t.Raw, t.External = make([]byte, 0, 4*len(x)), nil
		for _, v := range x {
			t.Raw = binary.LittleEndian.AppendUint32(t.Raw, math.Float32bits(v))
		}
	}
	return graph, fsys, nil
}

// openTrained opens the model's weights with new values in place of what the files
// hold.
func (m Model) openTrained(values Values) (builder, *Weights, error) {
	b, w, err := m.openBuild()
	if err != nil {
		return b, nil, err
	}
	for _, side := range bothSides {
		if m.lacks(side) {
			continue
		}
		_, parts, err := m.apartSide(b, w, side, "shapes")
		if err == nil {
			err = w.change(parts, func(name string) []float32 { return values(side, name) })
		}
		if err != nil {
			w.Close()
			return b, nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	var scalars []Parameter
	for _, name := range []string{LogitScale, LogitBias} {
		if _, ok := w.tensors[name]; ok {
			scalars = append(scalars, Parameter{name, name, 0, 1})
		}
	}
	if err := w.change(scalars, func(name string) []float32 { return values(ImageSide, name) }); err != nil {
		w.Close()
		return b, nil, fmt.Errorf("model %s: %w", m.Name, err)
	}
	return b, w, nil
}

func (m Model) lacks(side Side) bool {
	return side == ImageSide && m.Image == "" || side == TextSide && m.Text == ""
}

// change puts new numbers in place of those in the files.
func (w *Weights) change(parts []Parameter, value func(name string) []float32) error {
	if w.changed == nil {
		w.changed = map[string][]float32{}
	}
	for _, p := range parts {
		x := value(p.Name)
		if x == nil {
			continue
		}
		if len(x) != p.To-p.From {
			return fmt.Errorf("%s has %d numbers, not %d: %w", p.Name, p.To-p.From, len(x), clipsearch.ErrInvalid)
		}
		if w.changed[p.Tensor] == nil {
			t := w.tensors[p.Tensor]
			old, err := w.Float32s(t)
			if err != nil {
				return err
			}
			t.Type, t.Bytes, t.of = "F32", 4*int64(len(old)), nil
			w.changed[p.Tensor], w.tensors[p.Tensor] = old, t
		}
		copy(w.changed[p.Tensor][p.From:], x)
	}
	return nil
}
