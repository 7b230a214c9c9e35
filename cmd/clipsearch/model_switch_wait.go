package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// await returns when the space answers and no picture lacks its vectors. Where the
// owner of the index does the work it looks on; else it works itself.
func (s *switching) await(ctx context.Context, space clipsearch.Space) error {
	show := s.newProgress("encode", s.progress == "json")
	defer show.done()
	done := -1 // pictures that had vectors when this began
	for {
		now, err := s.lib.Spaces(ctx)
		if err != nil {
			return s.interrupted(err)
		}
		to := wanted(now)
		switch {
		case to == nil && now.Answering.Digest == space:
			show.report(ingest.Progress{Done: now.Images, Total: now.Images})
			show.done()
			settle(ctx, s.lib.Handle)
			return s.print(now, space, 0)
		case to == nil || to.Digest != space:
			return fmt.Errorf("somebody else has changed the index meanwhile: it answers with model %s", cmp.Or(to, &now.Answering).Model)
		case now.Trouble != "":
			return errors.New(now.Trouble)
		case !now.Carried:
			w := worker{encoders: s.lib.encoders, threads: s.options.threads}
			if err := w.complete(ctx, s.lib.Handle, show.report); err != nil {
				return s.interrupted(err)
			}
			continue
		}
		if done < 0 {
			done = to.Images
		}
		show.report(s.pace(now, *to, done))
		select {
		case <-ctx.Done():
			return s.interrupted(ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// pace is where the owner stands, which had done some pictures when this began.
func (s *switching) pace(now clipsearch.Spaces, to clipsearch.SpaceStats, done int) ingest.Progress {
	p := ingest.Progress{Done: to.Images, Total: now.Images, Elapsed: time.Since(s.start)}
	p.Rate = float64(to.Images-done) / p.Elapsed.Seconds()
	if left := p.Total - p.Done; left > 0 && p.Rate > 0 {
		p.ETA = time.Duration(float64(left) / p.Rate * float64(time.Second)).Round(time.Second)
	}
	return p
}

func (s *switching) interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: what is encoded stays, `clipsearch model switch --resume` goes on")
	}
	return err
}

// switchLog is where a process in the background says what went wrong.
const switchLog = "clipsearch.switch.log"

// forget takes away what an earlier process in the background has said: it is of a
// change that is over, or is tried again. One that is still at it and finds that
// another is wanted writes into a file that has no name any more.
func (s *switching) forget() {
	log := filepath.Join(s.options.index, switchLog)
	if os.Remove(log) != nil {
		_ = os.Truncate(log, 0) // in use, on Windows; there may be none
	}
}

// background starts a process that does the work and outlives this one.
func (s *switching) background() (pid int, err error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("go on in the background: %w: run this with --wait", err)
	}
	s.forget()
	log, err := os.Create(filepath.Join(s.options.index, switchLog))
	if err != nil {
		return 0, fmt.Errorf("go on in the background: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(exe, "model", "switch", "--resume", "--wait", "--quiet",
		"--index", s.options.index, "--threads", strconv.Itoa(s.options.threads))
	cmd.Stderr, cmd.SysProcAttr = log, detached()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("go on in the background: %w: run this with --wait", err)
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}
