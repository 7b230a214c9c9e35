package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed/builtin"
)

func newModelCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "List, describe and import models, and have the index answer with another one", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newModelListCommand(a), newModelInfoCommand(a), newModelImportCommand(a), newModelDoctorCommand(a), newModelSwitchCommand(a))
	return cmd
}

func newModelListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the models that --model knows by name", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			type row struct {
				Name string `json:"name"`
				Path string `json:"path"`
			}
			rows := []row{}
			if m, err := builtin.Model(); err == nil {
				rows = append(rows, row{m.Name, "builtin"})
			}
			entries, err := os.ReadDir(modelsDir())
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			for _, e := range entries {
				if e.IsDir() {
					rows = append(rows, row{e.Name(), filepath.Join(modelsDir(), e.Name())})
				}
			}
			for _, m := range a.keptModels() {
				if !slices.ContainsFunc(rows, func(r row) bool { return r.Name == m.Name }) {
					rows = append(rows, row{m.Name, m.Path("")})
				}
			}
			if a.options.json {
				return a.printJSON(map[string]any{"models": rows})
			}
			for _, r := range rows {
				fmt.Fprintf(a.stdout, "%s\t%s\n", r.Name, r.Path)
			}
			return nil
		},
	}
}

// modelInfo is what `model info --json` prints.
type modelInfo struct {
	Name          string      `json:"name"`
	Digest        string      `json:"digest"`
	Layout        string      `json:"layout"`
	Architecture  string      `json:"architecture"`
	Dim           int         `json:"dim"`
	ImageSize     int         `json:"image_size"`
	ContextLength int         `json:"context_length"`
	LogitScale    float64     `json:"logit_scale"`
	LogitBias     float64     `json:"logit_bias"`
	Licence       string      `json:"licence"`
	Precision     string      `json:"precision"`
	Files         []clip.File `json:"files"`
}

func newModelInfoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "info NAME|DIR", Short: "Say what a model is, its licence and its files", Args: exactArgs(1, "one NAME or DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := a.readModel(args[0])
			if err != nil {
				return err
			}
			dim, err := a.open(m).Dim()
			if err != nil {
				return err
			}
			info := modelInfo{
				m.Name, m.Space().String(), m.Layout, m.Architecture, dim, m.Preprocess.Size, m.ContextLength,
				m.LogitScale, m.LogitBias, m.Licence, m.Precision, m.Files,
			}
			if a.options.json {
				return a.printJSON(info)
			}
			return a.printModel(info)
		},
	}
}

func (a *app) printModel(i modelInfo) error {
	fmt.Fprintf(a.stdout, "%s (%s, %s, %s)\nlicence: %s\n%d numbers a vector, pictures of %d pixels, texts of %d tokens, logit_scale %g, logit_bias %g\nspace %s\n",
		i.Name, i.Architecture, i.Layout, i.Precision, i.Licence, i.Dim, i.ImageSize, i.ContextLength, i.LogitScale, i.LogitBias, i.Digest)
	for _, f := range i.Files {
		if _, err := fmt.Fprintf(a.stdout, "%12d  %s  %s\n", f.Bytes, f.SHA256, f.Name); err != nil {
			return err
		}
	}
	return nil
}

func newModelImportCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Copy a two-tower ONNX model and write its manifest",
		Long: `import reads a directory in one of the layouts of the wild (onnx/vision_model.onnx and
text_model.onnx, or visual/model.onnx and textual/model.onnx), loads both towers, and copies
what it needs with a manifest of its sizes, preprocessing, tokenizer and SHA-256.`,
		Args: exactArgs(1, "one DIR"),
		RunE: func(_ *cobra.Command, args []string) error { return runModelImport(a, args[0], out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "write to `DIR` (default: the user's models, under the directory's name)")
	return cmd
}

func runModelImport(a *app, from, out string) error {
	m, err := clip.ReadModel(from, a.options.precision)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(modelsDir(), m.Name)
	}
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return mistake("%s is not empty: name another --out", out)
	}
	enc := a.open(m)
	if m.Dim, err = enc.Dim(); err != nil {
		return err
	}
	towers := []string{"image"}
	if m.Text != "" {
		towers = append(towers, "text")
	}
	if err := enc.Warm(towers...); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return mistake("%v", err)
	}
	part := out + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := os.MkdirAll(part, 0o755); err != nil {
		return err
	}
	if err := m.WriteModel(part); err != nil {
		return err
	}
	os.Remove(out) // an empty directory would be in the way of the rename
	if err := os.Rename(part, out); err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"name": m.Name, "digest": m.Space().String(), "out": out})
	}
	_, err = fmt.Fprintf(a.stdout, "%s is in %s: use it with --model %s\n", m.Name, out, out)
	return err
}
