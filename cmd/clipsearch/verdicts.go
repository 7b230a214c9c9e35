package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/embed/doctor"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// verdictsVersion is a part of the names of kept verdicts: a doctor that looks closer
// looks again.
const verdictsVersion = 1

// verdictFile is where the doctor's report on a model is kept: under the digest of its
// space, which its files' bytes decide, and of what else its manifest says.
func verdictFile(m clip.Model) string {
	m.Name = ""
	rest, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("manifest of %s: %v", m.Name, err)) // numbers and strings only
	}
	return filepath.Join(xdg.CacheHome, "clipsearch", "doctor", fmt.Sprintf("%s-%x-%d.json", m.Space(), sha256.Sum256(rest), verdictsVersion))
}

// keepVerdict keeps a report for the next ingest. Where it cannot be kept, that looks again.
func (a *app) keepVerdict(m clip.Model, r doctor.Report) {
	name := verdictFile(m)
	data, err := json.Marshal(r)
	if err != nil || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
		return
	}
	part, err := os.CreateTemp(filepath.Dir(name), ".verdict-*")
	if err != nil {
		return
	}
	defer os.Remove(part.Name()) // gone by then, if all went well
	_, err = part.Write(data)
	if cerr := part.Close(); err == nil && cerr == nil {
		_ = os.Rename(part.Name(), name)
	}
}

// keptVerdict returns what the doctor found of m, if that is kept.
func keptVerdict(m clip.Model) (r doctor.Report, found bool) {
	data, err := os.ReadFile(verdictFile(m))
	return r, err == nil && json.Unmarshal(data, &r) == nil && r.Verdict != ""
}

// loadRuntime finds ONNX Runtime and loads it.
func (a *app) loadRuntime() error {
	path, err := a.library()
	if err != nil {
		return err
	}
	return ort.Init(path)
}

// refuseBroken returns an error if m is known to be broken, and looks at it where
// nobody has. The embedded model is looked at by the tests of the program.
func (a *app) refuseBroken(ctx context.Context, m clip.Model) error {
	if own, err := builtin.Model(); err == nil && own.Space() == m.Space() || !m.Runs() {
		return nil
	}
	r, found := keptVerdict(m)
	if !found {
		err := a.loadRuntime() // that it is missing says nothing of the model
		if err != nil {
			return err
		}
		if !a.options.quiet {
			fmt.Fprintf(a.stderr, "looking whether model %s is sound, once\n", m.Name)
		}
		if r, err = doctor.Quick(ctx, m, doctor.Options{Embed: embed.Options{Library: a.library, Threads: a.options.threads}, Hashed: true}); err != nil {
			return err
		}
		a.keepVerdict(m, r)
	}
	if c, broken := r.Failed(); broken {
		return fmt.Errorf("model %s is broken: %s: %s: see `clipsearch model doctor`, and get the model again", m.Name, c.Name, withoutKind(c.Detail))
	}
	return nil
}
