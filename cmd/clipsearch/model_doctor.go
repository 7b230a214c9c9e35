package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/doctor"
)

func newModelDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "doctor NAME|DIR", Short: "Find out whether a model computes what it should",
		Long: `doctor reads every weight of a model, runs its towers on photographs and captions that
come with the program, and says of each thing that it looked at whether that is right.

ok: captions find their photographs, and nothing is wrong. unproven: nothing was found that
is wrong, but the weights look random, or there is no tokenizer, so that it cannot be shown
to be right. broken (exit 1): a check failed; its line says what, and ingest refuses it.

The model runs on the processor, whatever --provider says. The photographs are in the public
domain, but for two by danielbuechele and vultilion (Flickr, CC BY 2.0, made smaller).`,
		Args: exactArgs(1, "one NAME or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runModelDoctor(cmd.Context(), a, args[0]) },
	}
}

func runModelDoctor(ctx context.Context, a *app, name string) error {
	if err := a.loadRuntime(); err != nil { // not the model's fault
		return err
	}
	report, err := a.doctor(ctx, name)
	if err != nil {
		return err
	}
	if a.options.json {
		err = a.printJSON(report)
	} else {
		err = a.printReport(report)
	}
	if err == nil && !report.OK {
		err = exitError(exitFailed)
	}
	return err
}

// doctor examines the model of a name or a directory. What is there and cannot be
// read has a report too.
func (a *app) doctor(ctx context.Context, name string) (doctor.Report, error) {
	m, there, err := a.modelToExamine(name)
	if err != nil && there {
		return doctor.Unreadable(fmt.Errorf("%s", oneLine(err))), nil
	}
	if err != nil {
		return doctor.Report{}, err
	}
	report, err := doctor.Examine(ctx, m, doctor.Options{Embed: embed.Options{Library: a.library, Threads: a.options.threads}})
	if err == nil {
		a.keepVerdict(m, report)
	}
	return report, err
}

// modelToExamine is readModel without a look at the files' bytes, which is the doctor's,
// and reports whether there is a model of that name at all.
func (a *app) modelToExamine(name string) (m clip.Model, there bool, err error) {
	for _, dir := range []string{name, filepath.Join(modelsDir(), name)} {
		if name == "" || name == "builtin" || dir != name && !filepath.IsLocal(name) {
			continue
		}
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			m, err := clip.ReadCopy(dir, a.options.precision)
			return m, true, err
		}
	}
	m, err = a.readModel(name)
	return m, false, err
}

func (a *app) printReport(r doctor.Report) error {
	marks := map[string]string{doctor.OK: "ok", doctor.Unproven: "unproven", doctor.Broken: "failed"}
	for _, c := range r.Checks {
		if _, err := fmt.Fprintf(a.stdout, "%-9s %-14s %s\n", marks[c.Verdict], c.Name, withoutKind(c.Detail)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.stdout, "verdict: %s\n", r.Verdict)
	return err
}
