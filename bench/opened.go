package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
)

// opening is what a process says that has opened an index and asked it one question.
type opening struct {
	Seconds float64 // until the answer was there
	Said    int64   // memory by Stats
	Taken   int64   // memory by the system, above what the process had before
	Mapped  int64   // of it, pages of files
}

// opened opens the index in dir in a process of its own, as a search from the shell
// does: with none of its files in the system's memory, and with all.
func opened(ctx context.Context, dir string, n int) error {
	limit := .3
	if n > 200_000 {
		limit = 2
	}
	for _, cold := range []bool{true, false} {
		if cold {
			if err := forget(dir); err != nil {
				return fmt.Errorf("have the system forget %s: %w", dir, err)
			}
		}
		cmd := exec.CommandContext(ctx, os.Args[0], "opened", "-dir", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		var o opening
		if err := json.Unmarshal(out, &o); err != nil {
			return err
		}
		if cold {
			bar("opened cold and first answer, s", o.Seconds, "≤", limit)
			continue
		}
		note("opened warm and first answer, s", o.Seconds)
		note("bytes of memory a picture, as stats says", float64(o.Said)/float64(n))
		note("as the system says, mapped files apart", float64(o.Taken)/float64(n))
		note("of mapped files", float64(o.Mapped)/float64(n))
		bar("what stats says to what the system does, off by, %", 100*abs(float64(o.Said)/float64(o.Taken)-1), "≤", 10)
	}
	return nil
}

func abs(x float64) float64 { return max(x, -x) }

// rest is how long it takes until what lies in memory does, and Badger has given back
// what it opened with.
const rest = 10 * time.Second

// runOpened is the process that opens.
func runOpened(ctx context.Context, args []string) error {
	f, _, _ := flags("opened", 0)
	dir := f.String("dir", "", "the index")
	if err := f.Parse(args); err != nil {
		return err
	}
	before, _, err := resident()
	if err != nil {
		return err
	}
	start := time.Now()
	x, err := index.Open(*dir, options(false))
	if err != nil {
		return err
	}
	defer x.Close()
	q := make(clipsearch.Vector, 512)
	q[0] = 1
	if _, err := x.Nearest(ctx, q, 10, nil); err != nil {
		return err
	}
	o := opening{Seconds: time.Since(start).Seconds()}
	time.Sleep(rest)
	st, err := x.Stats(ctx)
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	after, mapped, err := resident()
	if err != nil {
		return err
	}
	o.Said, o.Taken, o.Mapped = st.MemoryBytes, after-before, mapped
	return json.NewEncoder(os.Stdout).Encode(o)
}

// resident returns this process's memory of its own, and that of files.
func resident() (anonymous, mapped int64, err error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "RssAnon":
			anonymous = kb << 10
		case "RssFile":
			mapped = kb << 10
		}
	}
	return anonymous, mapped, nil
}

// forget writes the files below dir out and has the system drop them from memory.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			return err
		}
		return dropCache(f)
	})
}
