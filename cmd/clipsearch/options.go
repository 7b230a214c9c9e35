package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/adrg/xdg"
	"github.com/spf13/pflag"
)

// options are the flags that every command has.
type options struct {
	index     string
	model     string
	precision string
	provider  string
	decode    string
	store     string
	threads   int
	json      bool
	quiet     bool
	logFormat string
}

func (o *options) register(f *pflag.FlagSet, w world) {
	or := func(env, value string) string {
		if v := w.getenv(env); v != "" {
			return v
		}
		return value
	}
	f.StringVar(&o.index, "index", or("CLIPSEARCH_INDEX", filepath.Join(xdg.DataHome, "clipsearch", "index")), "the index's `DIR` (CLIPSEARCH_INDEX)")
	f.StringVar(&o.model, "model", or("CLIPSEARCH_MODEL", ""), "model `NAME|DIR` (CLIPSEARCH_MODEL; default: the index's own, builtin for a new one)")
	f.StringVar(&o.precision, "precision", "", "`fp32|int8`, where the model has both (default: fp32 if there is one)")
	f.StringVar(&o.provider, "provider", or("CLIPSEARCH_PROVIDER", "auto"), "run models on `auto|cpu|cuda|coreml|directml|openvino` (CLIPSEARCH_PROVIDER; auto: CUDA where ONNX Runtime has it, else the processor)")
	f.StringVar(&o.decode, "decode", "exact", "`exact|fast`: fast may decode large pictures at reduced size (today both are exact)")
	f.StringVar(&o.store, "store", or("CLIPSEARCH_STORE", ""), "`URL` of a store other than the embedded one (CLIPSEARCH_STORE)")
	f.IntVar(&o.threads, "threads", 0, "use `N` threads (default: as many as there are cores)")
	f.BoolVar(&o.json, "json", false, "print JSON on stdout")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	f.StringVar(&o.logFormat, "log-format", "text", "logs on stderr as `text|json`")
}

func (o *options) valid() error {
	if o.threads < 0 || o.threads > 1024 {
		return mistake("--threads %d is not between 1 and 1024", o.threads)
	}
	if o.index == "" {
		return mistake("--index is empty: name a folder")
	}
	abs, err := filepath.Abs(o.index)
	if err != nil {
		return mistake("--index %s: %v", o.index, err)
	}
	o.index = abs
	if o.threads == 0 {
		o.threads = runtime.GOMAXPROCS(0)
	}
	for _, f := range []struct{ name, value, allowed string }{
		{"precision", o.precision, "|fp32|int8"},
		{"provider", o.provider, "auto|cpu|cuda|coreml|directml|openvino"},
		{"decode", o.decode, "exact|fast"},
		{"log-format", o.logFormat, "text|json"},
	} {
		if !slices.Contains(strings.Split(f.allowed, "|"), f.value) {
			return mistake("--%s %q is none of %s", f.name, f.value, strings.TrimPrefix(f.allowed, "|"))
		}
	}
	if o.store != "" {
		return mistake("--store %s: this version keeps indexes in a directory only; leave --store out and name it with --index", o.store)
	}
	return nil
}

// printJSON prints v as one line of JSON on stdout.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
