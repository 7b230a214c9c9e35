package quantize

import (
	"errors"
	"fmt"
	"image"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// ErrNothing says that a model has nothing that int8 would gain anything for.
var ErrNothing = errors.New("no operator of it can be made int8")

// Write writes m, whose towers are ONNX files of float32, in int8 into dir, which
// must be there and empty. pictures show which ranges convolutions meet. ONNX
// Runtime must have been started.
func Write(m clip.Model, dir string, pictures []image.Image) (clip.Model, error) {
	if m.Built() || m.Precision != "fp32" {
		return m, fmt.Errorf("model %s is %s: int8 is made of float32 ONNX files: %w", m.Name, m.Precision, clipsearch.ErrInvalid)
	}
	changed := 0
	int8 := m
	int8.Precision = "int8"
	out, err := int8.WriteGraphs(dir, func(side clip.Side) (*onnx.Model, fs.FS, error) {
		s, err := open(m, side)
		if err != nil {
			return nil, nil, err
		}
		var shown []ort.Tensor
		if side == clip.ImageSide && s.Input != "" && len(s.Graph.Observed()) > 0 {
			shown = s.tensors(m.Preprocess, pictures)
		}
		g, n, err := s.Quantize(shown)
		changed += n
		return g, s.FS, err
	})
	if err == nil && changed == 0 {
		err = fmt.Errorf("model %s: %w", m.Name, ErrNothing)
	}
	return out, err
}

// open reads a tower's graph.
func open(m clip.Model, side clip.Side) (Source, error) {
	g, err := m.ReadGraph(side)
	if err != nil {
		return Source{}, err
	}
	s := Source{Graph: g, FS: m.FS(), Folder: m.Path(".")}
	if side == clip.ImageSide {
		s.Input, s.bytes = pictureInput(g)
		s.Size = m.Preprocess.Size
	}
	return s, nil
}

// pictureInput names the only input of a graph, if it takes pictures, and says
// whether it takes them as bytes.
func pictureInput(g *onnx.Model) (name string, bytes bool) {
	constant := map[string]bool{}
	for _, t := range g.Initializers {
		constant[t.Name] = true
	}
	n := 0
	for _, p := range g.Inputs {
		if constant[p.Name] {
			continue // old files list them as inputs
		}
		n++
		if len(p.Shape) == 4 && (p.Type == onnx.Float || p.Type == onnx.Uint8) {
			name, bytes = p.Name, p.Type == onnx.Uint8
		}
	}
	if n != 1 {
		return "", false
	}
	return name, bytes
}

// tensors are pictures as the graph takes them, one by one.
func (s Source) tensors(prep clip.Preprocess, pictures []image.Image) []ort.Tensor {
	var list []ort.Tensor
	side := int64(prep.Size)
	for _, p := range pictures {
		fitted := prep.Fit(p)
		if !s.bytes {
			x := make([]float32, 3*prep.Size*prep.Size)
			prep.Normalize(x, fitted)
			list = append(list, ort.Tensor{Shape: []int64{1, 3, side, side}, F32: x})
			continue
		}
		x := make([]uint8, 0, 3*prep.Size*prep.Size)
		for y := range prep.Size {
			for row := fitted.Pix[y*fitted.Stride:][:4*prep.Size]; len(row) > 0; row = row[4:] {
				x = append(x, row[0], row[1], row[2])
			}
		}
		list = append(list, ort.Tensor{Shape: []int64{1, side, side, 3}, U8: x})
	}
	return list
}
