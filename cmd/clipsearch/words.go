package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/npy"
)

func newTokenizeCommand(a *app) *cobra.Command {
	var dir, clean string
	cmd := &cobra.Command{
		Use:   "tokenize TEXT...",
		Short: "Print the token ids of texts, one JSON object a line",
		Long:  "tokenize prints what the text tower is given, begin and end tokens included and not padded. With - it reads JSONL of {\"text\"}.",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := a.tokenizer(dir, clean)
			if err != nil {
				return err
			}
			return a.runTokenize(t, args)
		},
	}
	cmd.Flags().StringVar(&dir, "tokenizer", "", "`DIR` with tokenizer.json, or vocab.json and merges.txt, in place of --model")
	cmd.Flags().StringVar(&clean, "clean", "", "`none|open_clip|canonicalize` before cutting (default: the model's)")
	return cmd
}

func (a *app) tokenizer(dir, clean string) (*clip.Tokenizer, error) {
	if dir != "" {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, mistake("tokenizer %s: no such directory", dir)
		}
		return clip.OpenTokenizer(os.DirFS(dir), clip.TokenizerOptions{Clean: clean})
	}
	m, err := a.readModel(a.options.model)
	if err != nil {
		return nil, err
	}
	if clean != "" {
		m.Tokenizer.Clean = clean
	}
	return m.OpenTokenizer()
}

func (a *app) runTokenize(t *clip.Tokenizer, args []string) error {
	if len(args) == 0 {
		return mistake("no TEXT is given")
	}
	var out bytes.Buffer // all or nothing: on an error stdout stays empty
	say := func(text string) error {
		return writeJSON(&out, struct {
			Text string  `json:"text"`
			IDs  []int64 `json:"ids"`
		}{text, t.Encode(text)})
	}
	for _, arg := range args {
		if arg != "-" {
			if err := say(arg); err != nil {
				return err
			}
			continue
		}
		if err := eachText(a.stdin, say); err != nil {
			return err
		}
	}
	_, err := out.WriteTo(a.stdout)
	return err
}

// eachText calls f for the text of each line of a JSONL of {"text"}.
func eachText(r io.Reader, f func(string) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var line struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil || line.Text == nil {
			return mistake("stdin, line %d is no JSON object with a text", n)
		}
		if err := f(*line.Text); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return mistake("read stdin: %v", err)
	}
	return nil
}

// recipes are preprocessings that need no model: CLIP's and SigLIP's at 224.
var recipes = map[string]clip.Preprocess{
	"clip224": {
		Size: 224, Resize: "shortest", Interpolation: "bicubic", CropRounding: "round",
		Mean: [3]float64{0.48145466, 0.4578275, 0.40821073}, Std: [3]float64{0.26862954, 0.26130258, 0.27577711},
	},
	"squash224": {
		Size: 224, Resize: "squash", Interpolation: "bicubic", CropRounding: "round",
		Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5},
	},
}

func newPreprocessCommand(a *app) *cobra.Command {
	var out, pngOut, recipe string
	cmd := &cobra.Command{
		Use:   "preprocess IMAGE",
		Short: "Show what the image tower is given of a picture",
		Args:  exactArgs(1, "one IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.preprocessing(recipe)
			if err != nil {
				return err
			}
			img, err := decodeFile(args[0], true)
			if err != nil {
				return err
			}
			return a.runPreprocess(p, p.Fit(img), out, pngOut)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the normalized tensor to `F.npy`: float32 [3,H,W]")
	cmd.Flags().StringVar(&pngOut, "png", "", "the pixels before normalization to `F.png`")
	cmd.Flags().StringVar(&recipe, "recipe", "", "`clip224|squash224` instead of the model's own")
	return cmd
}

func (a *app) preprocessing(recipe string) (clip.Preprocess, error) {
	if recipe == "" {
		m, err := a.readModel(a.options.model)
		if err == nil && m.Image == "" {
			err = mistake("model %s has no image tower, and prepares no pictures: name a model that sees pictures, or take --recipe", m.Name)
		}
		return m.Preprocess, err
	}
	p, ok := recipes[recipe]
	if !ok {
		return p, mistake("--recipe %q is neither clip224 nor squash224", recipe)
	}
	return p, nil
}

func (a *app) runPreprocess(p clip.Preprocess, img *image.RGBA, out, pngOut string) error {
	if pngOut != "" {
		if err := a.writeOut(pngOut, func(w io.Writer) error { return png.Encode(w, img) }); err != nil {
			return err
		}
	}
	if out != "" {
		x := npy.Array[float32]{Shape: []int{3, p.Size, p.Size}, Data: make([]float32, 3*p.Size*p.Size)}
		p.Normalize(x.Data, img)
		if err := a.writeOut(out, func(w io.Writer) error { return npy.Write(w, x) }); err != nil {
			return err
		}
	}
	if a.options.json {
		return a.printJSON(map[string]any{"shape": []int{3, p.Size, p.Size}, "mean": p.Mean, "std": p.Std})
	}
	_, err := fmt.Fprintf(a.stdout, "shape [3 %d %d]  mean %v  std %v\n", p.Size, p.Size, p.Mean, p.Std)
	return err
}
