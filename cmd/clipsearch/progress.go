package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/clipsearch/clipsearch/ingest"
)

// progress tells on stderr how an ingest goes: a bar with rate and ETA on a
// terminal, or one JSON event a second; and one line for each file that failed.
type progress struct {
	w      io.Writer
	quiet  bool
	events *json.Encoder
	bar    *progressbar.ProgressBar
	last   time.Time
	ended  bool // the last event has been written
}

// newProgress shows how what goes: "ingest", for one.
func (a *app) newProgress(what string, events bool) *progress {
	p := &progress{w: a.stderr, quiet: a.options.quiet}
	switch {
	case events:
		p.events = json.NewEncoder(a.stderr)
	case !p.quiet && isTerminal(a.stderr):
		p.bar = a.newBar(what)
	}
	return p
}

func (a *app) newBar(what string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("files"), progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type progressEvent struct {
	Event           string   `json:"event"`
	Done            int      `json:"done"`
	Total           int      `json:"total"`
	ETASeconds      *float64 `json:"eta_seconds"`
	ImagesPerSecond float64  `json:"images_per_second"`
}

func (p *progress) report(s ingest.Progress) {
	if p.bar != nil {
		if s.Total >= 0 {
			p.bar.ChangeMax(s.Total)
		}
		p.bar.Set(s.Done) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
	}
	ended := s.Done == s.Total
	if p.events == nil || p.ended || time.Since(p.last) < time.Second && !ended {
		return
	}
	p.last, p.ended = time.Now(), ended
	e := progressEvent{Event: "progress", Done: s.Done, Total: s.Total, ImagesPerSecond: s.Rate}
	if s.ETA > 0 || ended {
		eta := s.ETA.Seconds()
		e.ETASeconds = &eta
	}
	p.events.Encode(e) //nolint:errcheck // as above
}

func (p *progress) failed(path string, err error) {
	if p.quiet {
		return
	}
	if p.bar != nil {
		p.bar.Clear() //nolint:errcheck // as above
	}
	fmt.Fprintf(p.w, "%q: %s\n", path, oneLine(err))
}

func (p *progress) done() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // as above
	}
}

// count shows how many pictures are done, on a terminal.
type count struct{ bar *progressbar.ProgressBar }

func (a *app) newCount(what string, total int) count {
	if a.options.quiet || !isTerminal(a.stderr) {
		return count{}
	}
	bar := a.newBar(what)
	bar.ChangeMax(total)
	return count{bar}
}

func (c count) set(n int) {
	if c.bar != nil {
		c.bar.Set(n) //nolint:errcheck // a bar that cannot be drawn is no reason to stop
	}
}

func (c count) done() {
	if c.bar != nil {
		c.bar.Finish() //nolint:errcheck // as above
	}
}
