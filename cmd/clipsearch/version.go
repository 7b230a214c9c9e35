package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/embed/builtin"
)

// version is that of the program; a release build sets it.
var version = "0.1.0-dev"

// commitID is set by the Makefile: a build without VCS stamping does not know it.
var commitID string

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, and the licences of program and model", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version      string `json:"version"`
				Go           string `json:"go"`
				Commit       string `json:"commit"`
				Licence      string `json:"licence"`
				Model        string `json:"model"`
				ModelLicence string `json:"model_licence"`
			}{Version: version, Go: runtime.Version(), Commit: commit(), Licence: "Apache-2.0"}
			if m, err := builtin.Model(); err == nil {
				v.Model, v.ModelLicence = m.Name, m.Licence
			}
			if a.options.json {
				return a.printJSON(v)
			}
			fmt.Fprintf(a.stdout, "clipsearch %s (%s, commit %s), %s\n", v.Version, v.Go, v.Commit, v.Licence)
			if v.Model == "" {
				_, err := fmt.Fprintln(a.stdout, "no model embedded: name one with --model DIR, or make one with `clipsearch model import`")
				return err
			}
			_, err := fmt.Fprintf(a.stdout, "embedded model %s: %s; for any other use take another: --model DIR, `clipsearch model import`\n", v.Model, v.ModelLicence)
			return err
		},
	}
}

func commit() string {
	if commitID != "" {
		return commitID
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
