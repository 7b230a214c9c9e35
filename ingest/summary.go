package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Summary is what a run has done. Found = Stored + Known + Moved + Failed.
type Summary struct {
	Found    int   // files
	Stored   int   // pictures that are new
	Known    int   // files whose bytes the store had, or that came earlier in the run
	Moved    int   // known files all of whose earlier paths are gone
	Failed   int   // files that are no picture, or could not be read
	Skipped  int   // left out by name or by Exclude, and not among those found
	Pruned   int   // files forgotten because they are gone
	Bytes    int64 // of the files found
	Failures []Failure
	Elapsed  time.Duration
}

// maxFailures bounds Summary.Failures; Failed counts on.
const maxFailures = 10_000

// Failure is a file that was passed over, and why, in one line.
type Failure struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// Progress is where a run stands.
type Progress struct {
	Done, Total                  int // files; Total is -1 while the walk goes on
	Stored, Known, Moved, Failed int
	Bytes                        int64
	Path                         string // of the file stored last
	Elapsed                      time.Duration
	Rate                         float64       // files a second, over the last seconds
	ETA                          time.Duration // zero if it cannot be told
}

// tally counts; it belongs to the goroutine of settle.
type tally struct {
	sum   Summary
	start time.Time
	path  string
	pace  pace
}

func newTally(now time.Time) tally { return tally{start: now, pace: pace{at: now}} }

func (t *tally) count(it item) {
	t.sum.Found++
	t.sum.Bytes += it.file.Size
	switch {
	case it.err != nil:
		t.sum.Failed++
		if len(t.sum.Failures) < maxFailures {
			t.sum.Failures = append(t.sum.Failures, Failure{it.file.Path, it.err.Error()})
		}
	case it.outcome == outcomeStored:
		t.sum.Stored++
		t.path = it.file.Path
	case it.outcome == outcomeMoved:
		t.sum.Moved++
	default:
		t.sum.Known++
	}
}

func (t *tally) progress(total int, now time.Time) Progress {
	p := Progress{
		Done: t.sum.Found, Total: total,
		Stored: t.sum.Stored, Known: t.sum.Known, Moved: t.sum.Moved, Failed: t.sum.Failed,
		Bytes: t.sum.Bytes, Path: t.path, Elapsed: now.Sub(t.start),
	}
	p.Rate = t.pace.observe(p.Done, now)
	if left := total - p.Done; left > 0 && p.Rate > 0 {
		p.ETA = time.Duration(float64(left) / p.Rate * float64(time.Second)).Round(time.Second)
	}
	return p
}

func (r *run) summary() Summary {
	s := r.sum
	s.Skipped = r.skipped
	s.Failures = slices.Clip(s.Failures)
	s.Elapsed = time.Since(r.start)
	return s
}

// pace is a rate over the last seconds. A run that is resumed flies over what is
// known, and that must not promise the same for the rest.
type pace struct {
	at   time.Time
	done int
	rate float64
}

func (p *pace) observe(done int, now time.Time) float64 {
	const memory = 5 // seconds
	dt := now.Sub(p.at).Seconds()
	if dt <= 0 {
		return p.rate
	}
	recent := float64(done-p.done) / dt
	if p.done == 0 {
		p.rate = recent
	} else {
		p.rate += (recent - p.rate) * (1 - math.Exp(-dt/memory))
	}
	p.at, p.done = now, done
	return p.rate
}

// plain makes err one line about a file whose path is said beside it: the line
// neither repeats the path nor ends in the sentinel's own words.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	line := strings.TrimSuffix(err.Error(), ": "+clipsearch.ErrInvalid.Error())
	return &plainError{strings.Join(strings.Fields(line), " "), err}
}

type plainError struct {
	line string
	err  error
}

func (e *plainError) Error() string { return e.line }
func (e *plainError) Unwrap() error { return e.err }
