package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/internal/npy"
	"github.com/clipsearch/clipsearch/runtime"
)

type embedOptions struct {
	format, out       string
	raw               bool
	pixels, ids, mask string
}

func newEmbedCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "embed", Short: "Print the vectors of pictures or texts", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newEmbedImageCommand(a), newEmbedTextCommand(a))
	return cmd
}

func newEmbedImageCommand(a *app) *cobra.Command {
	o := embedOptions{}
	cmd := &cobra.Command{
		Use:   "image PATH...",
		Short: "Print the vectors of pictures (- reads paths, one a line)",
		RunE:  func(cmd *cobra.Command, args []string) error { return runEmbedImage(cmd.Context(), a, o, args) },
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.pixels, "pixels", "", "preprocessed pictures from `F.npy`: float32 [N,3,H,W]")
	return cmd
}

func newEmbedTextCommand(a *app) *cobra.Command {
	o := embedOptions{}
	cmd := &cobra.Command{
		Use:   "text TEXT...",
		Short: "Print the vectors of texts (- reads them, one a line)",
		RunE:  func(cmd *cobra.Command, args []string) error { return runEmbedText(cmd.Context(), a, o, args) },
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.ids, "ids", "", "token ids from `F.npy`: int64 [N,L]")
	cmd.Flags().StringVar(&o.mask, "mask", "", "their attention mask from `F.npy`: int64 [N,L]")
	return cmd
}

func (o *embedOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.format, "format", "json", "`json|npy`")
	cmd.Flags().StringVar(&o.out, "out", "", "write to `FILE` instead of stdout")
	cmd.Flags().BoolVar(&o.raw, "raw", false, "the graph's own output, before normalization")
}

func runEmbedImage(ctx context.Context, a *app, o embedOptions, args []string) error {
	if o.pixels != "" {
		return runEmbedPixels(ctx, a, o, args)
	}
	paths, err := a.argsOrLines(args, "PATH")
	if err != nil {
		return err
	}
	enc, err := a.encoder()
	if err != nil {
		return err
	}
	rows, err := embedPaths(ctx, enc, paths)
	return o.finish(a, enc, rows, err)
}

func runEmbedPixels(ctx context.Context, a *app, o embedOptions, args []string) error {
	if len(args) > 0 {
		return mistake("give either pictures or --pixels, not both")
	}
	x, err := readNPY(o.pixels, npy.ReadFloat32)
	if err != nil {
		return err
	}
	if len(x.Shape) != 4 {
		return mistake("%s has the shape %v, not [N,3,H,W]", o.pixels, x.Shape)
	}
	if slices.ContainsFunc(x.Data, func(v float32) bool { return v != v }) {
		return mistake("%s holds NaN", o.pixels)
	}
	enc, err := a.encoder()
	if err != nil {
		return err
	}
	if s := enc.Model().Preprocess.Size; s > 0 && !slices.Equal(x.Shape[1:], []int{3, s, s}) {
		return mistake("%s has the shape %v, not [N,3,%d,%d]", o.pixels, x.Shape, s, s)
	}
	rows, err := enc.RawPixels(ctx, x.Data, x.Shape[0])
	return o.finish(a, enc, rows, err)
}

// embedPaths encodes some pictures at a time, so that memory is bounded.
func embedPaths(ctx context.Context, enc *embed.Encoder, paths []string) ([][]float32, error) {
	const at = 32
	var rows [][]float32
	for len(paths) > 0 {
		n := min(at, len(paths))
		imgs := make([]image.Image, n)
		for i, p := range paths[:n] {
			img, err := decodeFile(p, true)
			if err != nil {
				return nil, err
			}
			imgs[i] = enc.Fit(img)
		}
		some, err := enc.RawImages(ctx, imgs)
		if err != nil {
			return nil, err
		}
		rows, paths = append(rows, some...), paths[n:]
	}
	return rows, nil
}

func runEmbedText(ctx context.Context, a *app, o embedOptions, args []string) error {
	if o.ids != "" || o.mask != "" {
		return runEmbedIDs(ctx, a, o, args)
	}
	texts, err := a.argsOrLines(args, "TEXT")
	if err != nil {
		return err
	}
	enc, err := a.encoder()
	if err != nil {
		return err
	}
	rows, err := enc.RawTexts(ctx, texts)
	return o.finish(a, enc, rows, err)
}

func runEmbedIDs(ctx context.Context, a *app, o embedOptions, args []string) error {
	if len(args) > 0 || o.ids == "" {
		return mistake("give either texts, or --ids and if need be --mask")
	}
	ids, err := readRows(o.ids)
	if err != nil {
		return err
	}
	var mask [][]int64
	if o.mask != "" {
		if mask, err = readRows(o.mask); err != nil {
			return err
		}
		if len(mask) != len(ids) || len(mask[0]) != len(ids[0]) {
			return mistake("%s and %s differ in shape", o.ids, o.mask)
		}
	}
	enc, err := a.encoder()
	if err != nil {
		return err
	}
	for i, row := range ids {
		if id := slices.Min(row); id < 0 {
			return mistake("%s, row %d: %d is no token id", o.ids, i, id)
		}
	}
	rows, err := enc.RawIDs(ctx, ids, mask)
	if err != nil && ctx.Err() == nil && !errors.Is(err, runtime.ErrMissing) {
		return mistake("%s: %v", o.ids, err) // an id beyond the vocabulary, which only the graph knows
	}
	return o.finish(a, enc, rows, err)
}

// argsOrLines returns the arguments, - standing for the lines of stdin.
func (a *app) argsOrLines(args []string, what string) ([]string, error) {
	var list []string
	for _, arg := range args {
		if arg != "-" {
			list = append(list, arg)
			continue
		}
		sc := bufio.NewScanner(a.stdin)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			list = append(list, strings.TrimSuffix(sc.Text(), "\r"))
		}
		if err := sc.Err(); err != nil {
			return nil, mistake("read stdin: %v", err)
		}
	}
	if len(list) == 0 {
		return nil, mistake("no %s is given", what)
	}
	return list, nil
}

func readNPY[T any](name string, read func(io.Reader) (npy.Array[T], error)) (npy.Array[T], error) {
	f, err := os.Open(name)
	if err != nil {
		return npy.Array[T]{}, mistake("%v", err)
	}
	defer f.Close()
	x, err := read(f)
	if err != nil {
		return x, mistake("read %s: %v", name, err)
	}
	return x, nil
}

func readRows(name string) ([][]int64, error) {
	x, err := readNPY(name, npy.ReadInt64)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 2 {
		return nil, mistake("%s has the shape %v, not [N,L]", name, x.Shape)
	}
	if x.Shape[0] == 0 || x.Shape[1] == 0 {
		return nil, mistake("%s holds no rows", name)
	}
	rows := make([][]int64, x.Shape[0])
	for i := range rows {
		rows[i] = x.Data[i*x.Shape[1] : (i+1)*x.Shape[1]]
	}
	return rows, nil
}

// embeddings is what `embed --json` prints.
type embeddings struct {
	Model      string      `json:"model"`
	Dim        int         `json:"dim"`
	Embeddings [][]float32 `json:"embeddings"`
}

// finish normalizes rows unless --raw, and writes them.
func (o embedOptions) finish(a *app, enc *embed.Encoder, rows [][]float32, err error) error {
	if err != nil {
		return err
	}
	if !o.raw {
		if rows, err = unitRows(rows); err != nil {
			return err
		}
	}
	return a.writeOut(o.out, func(w io.Writer) error {
		switch o.format {
		case "npy":
			return npy.Write(w, flatten(rows))
		case "json":
			return writeJSON(w, embeddings{enc.Model().Name, len(rows[0]), rows})
		}
		return mistake("--format %q is neither json nor npy", o.format)
	})
}

func flatten(rows [][]float32) npy.Array[float32] {
	x := npy.Array[float32]{Shape: []int{len(rows), len(rows[0])}}
	for _, r := range rows {
		x.Data = append(x.Data, r...)
	}
	return x
}

func unitRows(rows [][]float32) ([][]float32, error) {
	unit := make([][]float32, len(rows))
	for i, r := range rows {
		u, err := clipsearch.Unit(r)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		unit[i] = u
	}
	return unit, nil
}
