package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

func TestFailuresAreBounded(t *testing.T) {
	tally := newTally(time.Now())
	for range maxFailures + 50 {
		tally.count(item{err: errors.New("broken")})
	}
	if tally.sum.Failed != maxFailures+50 || len(tally.sum.Failures) != maxFailures {
		t.Errorf("%d failed, %d listed, want %d and %d", tally.sum.Failed, len(tally.sum.Failures), maxFailures+50, maxFailures)
	}
}

// TestPace resumes a run: 5,000 files that are known fly by, then ten a second are
// stored. The rate must come down to those ten.
func TestPace(t *testing.T) {
	now := time.Unix(0, 0)
	tally := newTally(now)
	tally.sum.Found = 5000
	now = now.Add(100 * time.Millisecond)
	first := tally.progress(6000, now)
	var last Progress
	for range 400 {
		now = now.Add(100 * time.Millisecond)
		tally.sum.Found++
		last = tally.progress(6000, now)
	}
	if first.Rate < 10_000 || last.Rate < 9 || last.Rate > 30 {
		t.Errorf("rates %.0f, then %.1f; want over 10000, then about 10", first.Rate, last.Rate)
	}
	if last.ETA < 20*time.Second || last.ETA > 70*time.Second {
		t.Errorf("ETA of 600 files is %v, want about a minute", last.ETA)
	}
	if p := tally.progress(-1, now.Add(time.Second)); p.ETA != 0 || p.Total != -1 {
		t.Errorf("while the walk goes on: ETA %v of %d", p.ETA, p.Total)
	}
}

func TestPlain(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{errors.New("a"), "a"},
		{fmt.Errorf("a\n b: %w", fs.ErrExist), "a b: file already exists"},
		{fmt.Errorf("no picture: %w", clipsearch.ErrInvalid), "no picture"},
		{&fs.PathError{Op: "open", Path: "/x\ny", Err: fs.ErrPermission}, "open: permission denied"},
	}
	for _, tt := range tests {
		got := plain(tt.err)
		if got.Error() != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.err, got, tt.want)
		}
		for _, kind := range []error{fs.ErrExist, fs.ErrPermission, clipsearch.ErrInvalid} {
			if errors.Is(tt.err, kind) != errors.Is(got, kind) {
				t.Errorf("plain(%q) is another kind of error", tt.err)
			}
		}
	}
}
