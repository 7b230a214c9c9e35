package clip

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// exportedLayout is what manifests of models that were built and written as ONNX
// files say.
const exportedLayout = "clipsearch"

// WriteONNX writes a model whose graphs are built here as ONNX files into dir,
// which must be there and empty: visual.onnx, textual.onnx, the files beside them,
// and the manifest last. So it does with the towers of a pair, which become one
// model. The new model has vectors of its own space.
func (m Model) WriteONNX(dir string) (Model, error) {
	if !m.Built() && m.halves == nil {
		return m, m.WriteModel(dir)
	}
	var open []*Weights // until the graphs are written
	defer func() {
		for _, w := range open {
			w.Close()
		}
	}()
	return m.WriteGraphs(dir, func(side Side) (*onnx.Model, fs.FS, error) {
		of := m.Side(side)
		if !of.Built() {
			graph, err := of.ReadGraph(side)
			return graph, of.fsys, err
		}
		b, w, err := of.openBuild()
		if err != nil {
			return nil, nil, err
		}
		open = append(open, w)
		graph, err := of.buildSide(b, w, side, of.Precision != "int8") // tables become int8 too
		return graph, of.fsys, err
	})
}

// ReadGraph reads the graph of a tower that is an ONNX file. It says of weights in
// other files where they lie in the model's directory.
func (m Model) ReadGraph(side Side) (*onnx.Model, error) {
	m = m.Side(side)
	name := m.Image
	if side == TextSide {
		name = m.Text
	}
	data, err := fs.ReadFile(m.fsys, name)
	if err != nil {
		return nil, err
	}
	g, err := onnx.Read(data)
	if err != nil {
		return nil, fmt.Errorf("read %s of model %s: %w: %w", name, m.Name, err, clipsearch.ErrInvalid)
	}
	for _, t := range g.Initializers {
		if t.External != nil {
			t.External.Location = path.Join(path.Dir(name), t.External.Location)
		}
	}
	return g, nil
}

// WriteGraphs writes a model with other graphs into dir, as WriteONNX does: graph
// returns that of a tower, and the files that its tensors lie in. A graph of both
// towers is asked for once, as the image side's. Where the model is int8, so are
// they, and no product of theirs saturates.
func (m Model) WriteGraphs(dir string, graph func(Side) (*onnx.Model, fs.FS, error)) (Model, error) {
	out := m
	out.Build, out.Weights, out.Layout, out.Files, out.ExactInt8 = "", "", exportedLayout, nil, nil
	out.Version, out.halves = manifestVersion, nil
	towers := []tower{{ImageSide, "visual.onnx", &out.Image}, {TextSide, "textual.onnx", &out.Text}}
	if !m.Built() && m.Image == m.Text {
		out.Image, out.Text = "model.onnx", "model.onnx"
		towers = []tower{{ImageSide, "model.onnx", &out.Image}}
	}
	for _, t := range towers {
		if *t.file == "" {
			continue
		}
		g, fsys, err := graph(t.side)
		if err != nil {
			return m, err
		}
		if err := g.Save(dir, t.name, fsys); err != nil {
			return m, fmt.Errorf("write %s of model %s: %w", t.name, m.Name, err)
		}
		*t.file = t.name
		if m.exactInt8(t.side) {
			out.ExactInt8 = append(out.ExactInt8, t.name)
		}
	}
	old, err := m.weightFiles()
	if err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if !slices.Contains(old, f.Name) {
			if err := m.copyFile(dir, f); err != nil {
				return m, fmt.Errorf("copy %s of model %s: %w", f.Name, m.Name, err)
			}
		}
	}
	return out, out.seal(dir)
}

// exactInt8 reports whether no product of the graph that is written for a side can
// saturate: one that is made here, in int8, or one that is passed on and is known so.
func (m Model) exactInt8(side Side) bool {
	of := m.Side(side)
	if m.halves == nil || of.Built() {
		return of.Precision == "int8"
	}
	return slices.Contains(of.ExactInt8, cmp.Or(of.Image, of.Text))
}

// tower is a graph that is written, and where the manifest names it.
type tower struct {
	side Side
	name string
	file *string
}

// seal lists the files that lie in dir and writes the manifest.
func (m *Model) seal(dir string) error {
	fsys := os.DirFS(dir)
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if m.Files, err = hashFiles(fsys, names); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, ManifestName), bytes.NewReader(append(data, '\n')))
}

// weightFiles lists the files of the model that hold its weights or graphs, or say
// which of its files do.
func (m Model) weightFiles() ([]string, error) {
	if m.halves != nil {
		return m.pairWeightFiles()
	}
	names := []string{ManifestName, m.Weights, m.Image, m.Text}
	if m.Built() {
		for _, f := range m.Files {
			if path.Ext(f.Name) == ".safetensors" {
				names = append(names, f.Name)
			}
		}
		return names, nil
	}
	pictures, texts, err := m.inspect()
	if err != nil {
		return nil, err
	}
	beside, err := weightsBeside(m.fsys, m, pictures, texts)
	return append(names, beside...), err
}

func (m Model) pairWeightFiles() (names []string, err error) {
	for _, s := range bothSides {
		list, err := m.own(s).weightFiles()
		if err != nil {
			return nil, err
		}
		for _, name := range list {
			names = append(names, path.Join(string(s), name))
		}
	}
	return names, nil
}

// WriteWeights writes the checkpoint that a model is built from into dir, which
// must be there and empty, as it was read: in the layout of transformers or
// open_clip, without a manifest of ours. A pair becomes two folders.
func (m Model) WriteWeights(dir string) error {
	if m.halves != nil {
		return errors.Join(m.halves.image.writeWeightsTo(dir, ImageSide), m.halves.text.writeWeightsTo(dir, TextSide))
	}
	if !m.Built() {
		return fmt.Errorf("model %s consists of ONNX graphs, not of a checkpoint of a known architecture: export it with --to onnx: %w", m.Name, clipsearch.ErrInvalid)
	}
	for _, f := range m.Files {
		if strings.EqualFold(f.Name, ManifestName) {
			continue
		}
		if err := m.copyFile(dir, f); err != nil {
			return fmt.Errorf("copy %s of model %s: %w", f.Name, m.Name, err)
		}
	}
	return nil
}

func (m Model) writeWeightsTo(dir string, side Side) error {
	dir = filepath.Join(dir, string(side))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return m.WriteWeights(dir)
}
