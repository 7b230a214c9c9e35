package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/trainer"
)

// trainShow tells how a run goes: with --json a line a step on stdout, on a terminal a
// line that is written again and again, elsewhere a line now and then on stderr.
type trainShow struct {
	*app
	steps    int
	terminal bool

	mu    sync.Mutex // notes come from several goroutines
	drawn bool       // a line is there that may be written over
	last  time.Time  // when
	pace  float64    // seconds of a step, smoothed
	prev  time.Time  // when the last step ended
	bars  map[string]func(done, total int)
}

func (a *app) newTrainShow(c trainer.Config) *trainShow {
	return &trainShow{app: a, steps: c.Optim.Steps, terminal: isTerminal(a.stderr), prev: time.Now(), bars: map[string]func(int, int){}}
}

// every is how many steps a line stands for where there is no terminal.
const every = 10

func (s *trainShow) step(l trainer.StepLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.json {
		s.printJSON(l) //nolint:errcheck // who does not listen any more is no reason to stop
	}
	took := time.Since(s.prev).Seconds()
	s.prev = time.Now()
	if s.pace == 0 {
		s.pace = took
	}
	s.pace += (took - s.pace) / 10
	if s.options.quiet {
		return
	}
	left := time.Duration(s.pace * float64(s.steps-l.Step) * float64(time.Second)).Round(time.Second)
	line := fmt.Sprintf("step %d/%d  loss %.4f  lr %.3g  logit_scale %.2f  %.0f samples/s  %s left", l.Step, s.steps, l.Loss, l.Rate, l.LogitScale, l.SamplesPerSecond, left)
	switch {
	case s.terminal && time.Since(s.last) > 100*time.Millisecond:
		fmt.Fprintf(s.stderr, "\r\x1b[K%s", line)
		s.drawn, s.last = true, time.Now()
	case !s.terminal && !s.options.json && (l.Step%every == 0 || l.Step == 1 || l.Step == s.steps):
		fmt.Fprintln(s.stderr, line)
	}
}

func (s *trainShow) validation(f trainer.Figures) {
	s.say("step %d: validation: text→image R@1/5/10 %.1f/%.1f/%.1f, image→text %.1f/%.1f/%.1f %%", f.Step,
		100*f.TextToImage.R1, 100*f.TextToImage.R5, 100*f.TextToImage.R10, 100*f.ImageToText.R1, 100*f.ImageToText.R5, 100*f.ImageToText.R10)
}

// note says what a user should know, --quiet or not.
func (s *trainShow) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.stderr, "clipsearch train: %s\n", withoutKind(strings.Join(strings.Fields(text), " ")))
}

func (s *trainShow) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.quiet {
		return
	}
	s.clear()
	fmt.Fprintf(s.stderr, format+"\n", args...)
}

// clear takes away the line that is written again and again.
func (s *trainShow) clear() {
	if s.drawn {
		fmt.Fprint(s.stderr, "\r\x1b[K")
		s.drawn = false
	}
}

// progress shows a bar for what takes long before the first step.
func (s *trainShow) progress(what string, done, total int) {
	if s.bars[what] == nil {
		s.bars[what] = func(int, int) {}
		if draw := s.countTo(what); draw != nil {
			s.bars[what] = draw
		}
	}
	s.bars[what](done, total)
}

func (s *trainShow) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// environment is where the last digits of losses come from.
func (a *app) environment() trainer.Environment {
	return trainer.Environment{
		Program: version + " " + commit(), Runtime: ort.Version(), Threads: a.options.threads,
		System: strings.TrimSpace(runtime.GOOS + "/" + runtime.GOARCH + " " + processor()),
	}
}

// processor names the processor, where the system tells it in a file.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
