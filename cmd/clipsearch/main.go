// Command clipsearch finds pictures by meaning: ingest a folder, then search it
// from the shell, the page or the API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch"
)

// Exit codes of the contract.
const (
	exitDone      = 0
	exitFailed    = 1
	exitMistake   = 2 // the caller's
	exitSomeFiles = 3 // done, but some inputs failed
	exitNoMatch   = 4
)

// exitError ends the program with a code and without a word: all has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w := world{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(run(ctx, os.Args[1:], w))
}

// world is what the program is given from outside.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// run is main with its world passed in. It is the only place that prints an
// error and chooses the exit code.
func run(ctx context.Context, args []string, w world) int {
	app := &app{world: w}
	root := newRootCommand(app)
	root.SetArgs(args)
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if cerr := app.close(); err == nil {
		err = cerr
	}
	if err == nil {
		return exitDone
	}
	var code exitError
	if errors.As(err, &code) {
		return int(code)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted: run it again")
	}
	fmt.Fprintf(w.stderr, "%s: %s\n", cmd.CommandPath(), oneLine(err))
	if errors.Is(err, clipsearch.ErrInvalid) {
		return exitMistake
	}
	return exitFailed
}

// oneLine keeps a message on one line, whatever a library put into it.
func oneLine(err error) string { return withoutKind(strings.Join(strings.Fields(err.Error()), " ")) }

// withoutKind leaves out the kind at a message's end: the words before it say more.
func withoutKind(s string) string {
	for _, kind := range []error{clipsearch.ErrInvalid, clipsearch.ErrNotFound, clipsearch.ErrNoSpace, clipsearch.ErrReadOnly} {
		s = strings.TrimSuffix(s, ": "+kind.Error())
	}
	return s
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "clipsearch",
		Short: "Find pictures by meaning",
		Long: `clipsearch finds pictures by what they show: it embeds them with a CLIP model,
keeps the vectors in an index on disk, and answers words and pictures.`,
		Example: `  clipsearch ingest ~/Pictures
  clipsearch search a dog on the beach
  clipsearch serve`,
		SilenceUsage: true, SilenceErrors: true,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.options.valid()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return mistake("%s", flagText(err)) })
	a.options.register(root.PersistentFlags(), a.world)
	root.AddCommand(
		newIngestCommand(a), newSearchCommand(a), newSimilarCommand(a), newDescribeCommand(a), newServeCommand(a),
		newEmbedCommand(a), newTokenizeCommand(a), newPreprocessCommand(a), newModelCommand(a), newEvalCommand(a), newTrainCommand(a),
		newCheckCommand(a), newCompactCommand(a), newStatsCommand(a), newPruneCommand(a), newLanguageCommand(a),
		newExportCommand(a), newImportCommand(a),
		newRuntimeCommand(a), newDemoCommand(a), newVersionCommand(a),
	)
	return root
}

// flagText is what is wrong with a flag, in words that a user knows.
func flagText(err error) string {
	text, detail, found := strings.Cut(err.Error(), ": strconv.")
	switch {
	case !found:
		return text
	case strings.HasPrefix(detail, "ParseBool"):
		return text + ": it is neither true nor false"
	case strings.HasSuffix(detail, "value out of range"):
		return text + ": it is too large"
	}
	return text + ": it is no number"
}

// mistake is an error of the caller.
func mistake(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), clipsearch.ErrInvalid)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return mistake("unknown command or argument %q: see `%s --help`", args[0], cmd.CommandPath())
	}
	return nil
}

func minArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return mistake("%s is missing: see `%s --help`", what, cmd.CommandPath())
		}
		return nil
	}
}

func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return mistake("%d arguments, not %s: see `%s --help`", len(args), what, cmd.CommandPath())
		}
		return nil
	}
}
