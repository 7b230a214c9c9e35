package clip

import (
	"bytes"
	"encoding/json"
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
// and the manifest last. The new model has vectors of its own space.
func (m Model) WriteONNX(dir string) (Model, error) {
	if !m.Built() {
		return m, m.WriteModel(dir)
	}
	b, w, err := m.openBuild()
	if err != nil {
		return m, err
	}
	defer w.Close()
	return m.WriteGraphs(dir, func(side Side) (*onnx.Model, fs.FS, error) {
		graph, err := m.buildSide(b, w, side, m.Precision != "int8") // tables become int8 too
		return graph, m.fsys, err
	})
}

// WriteGraphs writes a model with other graphs into dir, as WriteONNX does: graph
// returns that of a tower, and the files that its tensors lie in. A graph of both
// towers is asked for once, as the image side's. Where the model is int8, so are
// they, and no product of theirs saturates.
func (m Model) WriteGraphs(dir string, graph func(Side) (*onnx.Model, fs.FS, error)) (Model, error) {
	out := m
	out.Build, out.Weights, out.Layout, out.Files, out.ExactInt8 = "", "", exportedLayout, nil, nil
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
		if m.Precision == "int8" {
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

// WriteWeights writes the checkpoint that a model is built from into dir, which
// must be there and empty, as it was read: in the layout of transformers or
// open_clip, without a manifest of ours.
func (m Model) WriteWeights(dir string) error {
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
