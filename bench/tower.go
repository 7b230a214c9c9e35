package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/runtime"
)

// order is a line of encoders.py: run one side of the model on so many rows.
type order struct {
	Side    string `json:"side"` // "image" or "text"
	Rows    int    `json:"rows"`
	Tokens  int    `json:"tokens"`  // of each text, end included
	Pad     int    `json:"pad"`     // to how many ids a text is filled up
	Repeat  int    `json:"repeat"`  // runs; the quickest counts
	Vectors string `json:"vectors"` // where the last answer goes, as JSON; "" if nowhere
}

// runTower runs a model as encoders.py asks for it, line by line, and answers each
// with the seconds of the quickest run.
func runTower(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("tower", flag.ExitOnError)
	model := f.String("model", "", "directory of the model")
	precision := f.String("precision", "", "fp32 or int8")
	threads := f.Int("threads", 2, "of a run")
	f.Parse(args) //nolint:errcheck // ExitOnError
	m, err := clip.ReadModel(*model, *precision)
	if err != nil {
		return err
	}
	e := embed.Open(m, embed.Options{Library: findLibrary, Threads: *threads, Batch: 64})
	defer e.Close()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		best, err := o.run(ctx, e)
		if err != nil {
			return err
		}
		fmt.Println(best.Seconds())
	}
	return lines.Err()
}

func findLibrary() (string, error) {
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	return lib.Path, err
}

func (o order) run(ctx context.Context, e *embed.Encoder) (best time.Duration, err error) {
	rng := rand.New(rand.NewPCG(1, 2))
	var answer [][]float32
	encode := func() (err error) { return }
	if o.Side == "image" {
		s := e.Model().Preprocess.Size
		pixels := make([]float32, o.Rows*3*s*s)
		for i := range pixels {
			pixels[i] = float32(rng.NormFloat64())
		}
		encode = func() (err error) { answer, err = e.RawPixels(ctx, pixels, o.Rows); return }
	} else {
		ids := o.texts(rng)
		encode = func() (err error) { answer, err = e.RawIDs(ctx, ids, nil); return }
	}
	for i := range max(1, o.Repeat) {
		began := time.Now()
		if err := encode(); err != nil {
			return 0, err
		}
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	if o.Vectors == "" {
		return best, nil
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return 0, err
	}
	return best, os.WriteFile(o.Vectors, data, 0o644)
}

// texts makes rows of CLIP's ids: a begin, words, an end, and zeros up to Pad.
func (o order) texts(rng *rand.Rand) [][]int64 {
	rows := make([][]int64, o.Rows)
	for i := range rows {
		row := make([]int64, max(o.Tokens, o.Pad))
		row[0], row[o.Tokens-1] = 49406, 49407
		for j := 1; j < o.Tokens-1; j++ {
			row[j] = 1 + rng.Int64N(49000)
		}
		rows[i] = row
	}
	return rows
}
