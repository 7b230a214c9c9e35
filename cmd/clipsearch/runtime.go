package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/internal/ort"
	onnx "github.com/clipsearch/clipsearch/runtime"
)

func newRuntimeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "runtime", Short: "Install or find ONNX Runtime's shared library", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		&cobra.Command{
			Use: "install", Short: "Put the pinned version of ONNX Runtime into the user's cache",
			Long: `install takes the official release archive, or else the library out of the PyPI package
onnxruntime or the npm package onnxruntime-node, fetched by the user's own pip or npm. Whatever
the source, the library's SHA-256 must be the one that this program knows.`,
			Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return runRuntimeInstall(cmd.Context(), a) },
		},
		&cobra.Command{
			Use: "info", Short: "Say which library is used", Args: noArgs,
			RunE: func(*cobra.Command, []string) error {
				lib, err := onnx.Find(a.runtimeOptions())
				if err != nil {
					return err
				}
				return a.printLibrary(lib)
			},
		})
	return cmd
}

func runRuntimeInstall(ctx context.Context, a *app) error {
	lib, err := onnx.Install(ctx, a.runtimeOptions())
	if err != nil {
		return err
	}
	return a.printLibrary(lib)
}

// printLibrary loads the library before it says anything: a path alone proves
// nothing.
func (a *app) printLibrary(lib onnx.Library) error {
	if err := ort.Init(lib.Path); err != nil {
		return err
	}
	_, providers, err := ort.Providers()
	if err != nil {
		return err
	}
	info := struct {
		Path      string   `json:"path"`
		Version   string   `json:"version"`
		Source    string   `json:"source"`
		Providers []string `json:"providers"`
	}{lib.Path, ort.Version(), lib.Source, providers}
	if a.options.json {
		return a.printJSON(info)
	}
	_, err = fmt.Fprintf(a.stdout, "ONNX Runtime %s (%s)\n%s\n%s\n", info.Version, info.Source, info.Path, strings.Join(info.Providers, ", "))
	return err
}
