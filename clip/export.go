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
	out := m
	out.Build, out.Weights, out.Layout, out.Files = "", "", exportedLayout, nil
	for _, t := range []struct {
		side Side
		name string
		file *string
	}{{ImageSide, "visual.onnx", &out.Image}, {TextSide, "textual.onnx", &out.Text}} {
		if *t.file == "" {
			continue
		}
		graph, err := m.BuildGraph(t.side)
		if err != nil {
			return m, err
		}
		if err := graph.Save(dir, t.name, m.fsys); err != nil {
			return m, fmt.Errorf("write %s of model %s: %w", t.name, m.Name, err)
		}
		*t.file = t.name
		if m.Precision == "int8" && !slices.Contains(out.ExactInt8, t.name) {
			out.ExactInt8 = append(out.ExactInt8, t.name)
		}
	}
	for _, f := range m.Files {
		if !m.isWeights(f.Name) {
			if err := m.copyFile(dir, f); err != nil {
				return m, fmt.Errorf("copy %s of model %s: %w", f.Name, m.Name, err)
			}
		}
	}
	return out, out.seal(dir)
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

// isWeights reports whether a file of a built model holds its weights, or says
// which of its files do.
func (m Model) isWeights(name string) bool {
	return name == m.Weights || m.Built() && path.Ext(name) == ".safetensors"
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
