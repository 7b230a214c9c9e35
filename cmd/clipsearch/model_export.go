package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

func newModelExportCommand(a *app) *cobra.Command {
	var to, out string
	cmd := &cobra.Command{
		Use:   "export NAME|DIR --to onnx|safetensors --out DIR",
		Short: "Write a model as ONNX graphs, or as the checkpoint it was read from",
		Long: `export writes a model for other programs. --to onnx gives visual.onnx and textual.onnx, which any
ONNX Runtime loads; --to safetensors gives the checkpoint in the layout of transformers or
open_clip, which Python loads.`,
		Args: exactArgs(1, "one NAME or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runModelExport(cmd.Context(), a, args[0], to, out)
		},
	}
	cmd.Flags().StringVar(&to, "to", "onnx", "`onnx|safetensors`")
	cmd.Flags().StringVar(&out, "out", "", "write to `DIR`, which must be empty or absent")
	return cmd
}

func runModelExport(ctx context.Context, a *app, from, to, out string) error {
	if to != "onnx" && to != "safetensors" {
		return mistake("--to %q is neither onnx nor safetensors", to)
	}
	if out == "" {
		return mistake("where to? Name a directory with --out")
	}
	m, err := a.readModel(from)
	if err != nil {
		return err
	}
	err = writeDir(ctx, out, func(dir string) error {
		if to == "safetensors" {
			return m.WriteWeights(dir)
		}
		_, err := m.WriteONNX(dir)
		return err
	})
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"name": m.Name, "to": to, "out": out})
	}
	_, err = fmt.Fprintf(a.stdout, "%s is in %s\n", m.Name, out)
	return err
}

// writeDir has f fill a directory and gives it the name out when that is done.
// Nothing is left of one that is not, or that was interrupted meanwhile.
func writeDir(ctx context.Context, out string, f func(dir string) error) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return mistake("%s is not empty: name another --out", out)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mistake("%v: name another --out", err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return mistake("%v: name another --out", err)
	}
	dropParts(out)
	part, err := os.MkdirTemp(filepath.Dir(out), partOf(out))
	if err != nil {
		return mistake("%v: name another --out", err)
	}
	defer os.RemoveAll(part)
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	if err := f(part); disk.IsFull(err) {
		return fmt.Errorf("write %s: the disk is full, and nothing was left on it: free some or name a folder elsewhere with --out: %w", out, clipsearch.ErrNoSpace)
	} else if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one would be in the way
		return err
	}
	return os.Rename(part, out)
}

// partOf begins the names of directories that are to become out.
func partOf(out string) string { return "." + filepath.Base(out) + ".part" }

// oldPart is when nobody is still filling a directory that is to become another.
const oldPart = 24 * time.Hour

// dropParts removes what processes that were killed have left of out. What cannot be
// removed is in nobody's way.
func dropParts(out string) {
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), partOf(out)) && time.Since(info.ModTime()) > oldPart {
			os.RemoveAll(filepath.Join(filepath.Dir(out), e.Name()))
		}
	}
}
