package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/clip"
)

func newModelCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "List, get, describe and import models, and have the index answer with another one", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newModelListCommand(a), newModelPullCommand(a), newModelInfoCommand(a), newModelImportCommand(a), newModelExportCommand(a), newModelDoctorCommand(a), newModelSwitchCommand(a))
	return cmd
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
	pictures := fmt.Sprintf("pictures of %d pixels", i.ImageSize)
	if i.ImageSize == 0 {
		pictures = "no pictures"
	}
	texts := fmt.Sprintf("texts of %d tokens", i.ContextLength)
	if i.ContextLength == 0 {
		texts = "no texts"
	}
	fmt.Fprintf(a.stdout, "%s (%s, %s, %s)\nlicence: %s\n%d numbers a vector, %s, %s, logit_scale %g, logit_bias %g\nspace %s\n",
		i.Name, i.Architecture, i.Layout, i.Precision, cmp.Or(i.Licence, "not stated"), i.Dim, pictures, texts, i.LogitScale, i.LogitBias, i.Digest)
	for _, f := range i.Files {
		if _, err := fmt.Fprintf(a.stdout, "%12d  %s  %s\n", f.Bytes, f.SHA256, f.Name); err != nil {
			return err
		}
	}
	return nil
}

func newModelImportCommand(a *app) *cobra.Command {
	var out, text string
	cmd := &cobra.Command{
		Use:   "import DIR|REPO",
		Short: "Copy a model and write its manifest",
		Long: `import reads a directory in one of the layouts of the wild (ONNX graphs: onnx/vision_model.onnx
and text_model.onnx, visual/model.onnx and textual/model.onnx, NAME/visual.onnx and textual.onnx,
or one model.onnx with either tower or both; or the safetensors of transformers or open_clip),
loads its towers, and copies what it needs with a manifest of its sizes, preprocessing, tokenizer
and SHA-256. A REPO of the hub has been pulled before.

--text takes the text tower and the tokenizer of another model, which was made for the image
tower of this one: Multilingual-CLIP's for OpenAI's models, or the other half of a model that
lies in two repositories.

With --precision int8 it makes the weights of linear layers, large tables and convolutions int8,
compares the vectors of photographs and captions with those of fp32, and keeps fp32 where they
are too far from them. It exits with 0 then too: "precision" of --json says what was kept.`,
		Example: `  clipsearch model import clip-vit-b-32 --text ./XLM-Roberta-Large-Vit-B-32 --out multilingual`,
		Args:    exactArgs(1, "one DIR or REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runModelImport(cmd.Context(), a, args[0], text, out)
		},
	}
	cmd.Flags().StringVar(&text, "text", "", "pair it with the text tower of this other `DIR|REPO`")
	cmd.Flags().StringVar(&out, "out", "", "write to `DIR` (default: the user's models, under the directory's name)")
	return cmd
}

func runModelImport(ctx context.Context, a *app, from, text, out string) error {
	read := func() (clip.Model, error) { return a.readModel(from) }
	if text != "" {
		read = func() (clip.Model, error) { return a.readPair(from, text) }
	}
	var m clip.Model
	var err error
	quantized := false // here
	if a.options.precision == "int8" {
		m, quantized, err = a.float32Model(read)
	} else {
		m, err = read()
	}
	if err != nil {
		return err
	}
	if name, _, _ := strings.Cut(m.Name, "@"); strings.Contains(name, "/") {
		m.Name = path.Base(name)
	}
	if out == "" {
		out = filepath.Join(modelsDir(), m.Name)
	}
	enc := a.open(m)
	if m.Dim, err = enc.Dim(); err != nil {
		return err
	}
	if m.Text != "" {
		if m.CutTexts, err = enc.CutsTexts(); err != nil {
			return err
		}
	}
	g := gate{model: m}
	err = writeDir(ctx, out, func(dir string) (err error) {
		if !quantized {
			return m.WriteModel(dir)
		}
		g, err = a.writeInt8(ctx, m, dir)
		return err
	})
	if err != nil {
		return err
	}
	return a.printImported(g, out)
}

func (a *app) printImported(g gate, out string) error {
	m := g.model
	if a.options.json {
		says := map[string]any{"name": m.Name, "digest": m.Space().String(), "out": out, "precision": m.Precision}
		if g.tried {
			says["drift"] = g.String()
		}
		return a.printJSON(says)
	}
	if g.tried {
		fmt.Fprintln(a.stdout, g)
	}
	_, err := fmt.Fprintf(a.stdout, "%s is in %s: use it with --model %s\n", m.Name, out, out)
	return err
}
