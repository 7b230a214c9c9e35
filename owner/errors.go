package owner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/clipsearch/clipsearch"
)

var (
	// errNotReady: the holder of the lock cannot be worked with yet.
	errNotReady = errors.New("it does not answer")
	// errLeft: the owner has left in good order, and has not done this call.
	errLeft = errors.New("the owner of the index is leaving")
	// errDied: the owner has gone without a word, and may have done this call.
	errDied = errors.New("the owner of the index has died")
	// errNoTexts: the owner has no encoder to lend.
	errNoTexts = errors.New("the owner of the index lends no encoder")
)

// kinds are the errors that a caller decides on, by their names on the wire.
var kinds = []struct {
	name string
	err  error
}{
	{"invalid", clipsearch.ErrInvalid},
	{"not-found", clipsearch.ErrNotFound},
	{"no-space", clipsearch.ErrNoSpace},
	{"read-only", clipsearch.ErrReadOnly},
	{"canceled", context.Canceled},
	{"deadline", context.DeadlineExceeded},
	{"space", clipsearch.ErrSpace},
	{"left", errLeft},
	{"no-texts", errNoTexts},
}

// kindsOf names the kinds of err, separated by commas.
func kindsOf(err error) string {
	var names []string
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ",")
}

// remoteError is an error of the owner as its client returns it: the same
// message, the same kinds.
type remoteError struct {
	message string
	kinds   []error
}

func newRemoteError(names, message string) *remoteError {
	e := &remoteError{message: message}
	for name := range strings.SplitSeq(names, ",") {
		for _, k := range kinds {
			if k.name == name {
				e.kinds = append(e.kinds, k.err)
			}
		}
	}
	return e
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return e.kinds }

// notWritable says why a process cannot become the owner of dir.
func notWritable(dir string, err error) error {
	if isNoSpace(err) {
		return fmt.Errorf("index %s cannot be written (%w): free some space and run again, nothing is lost: %w", dir, err, clipsearch.ErrNoSpace)
	}
	return fmt.Errorf("index %s cannot be written (%w): make its folder writable, or name another with --index", dir, err)
}

// endedError is what a command is told whose owner died.
func endedError(dir string, h Holder) error {
	return fmt.Errorf("the process that held the index %s (pid %d, %s) ended in the middle of its work: run this again, nothing stored is lost", dir, h.PID, h.Command)
}
