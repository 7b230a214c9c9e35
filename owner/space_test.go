package owner_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

// The space that a call must meet goes with it, and the refusal comes back.
func TestSpaceOfACall(t *testing.T) {
	answers := clipsearch.Space{1, 2}
	_, own, client := pair(t, func(ctx context.Context, _ string) error {
		if s := clipsearch.SpaceOf(ctx); s != (clipsearch.Space{}) && s != answers {
			return fmt.Errorf("not in space %.4s: %w", s, clipsearch.ErrSpace)
		}
		return nil
	})
	for name, h := range map[string]*owner.Handle{"owner": own, "client": client} {
		for _, tt := range []struct {
			space clipsearch.Space
			want  error
		}{{clipsearch.Space{}, nil}, {answers, nil}, {clipsearch.Space{3}, clipsearch.ErrSpace}} {
			ctx := t.Context()
			if tt.space != (clipsearch.Space{}) {
				ctx = clipsearch.InSpace(ctx, tt.space)
			}
			if _, err := h.Nearest(ctx, clipsearch.Vector{1, 0}, 1, nil); !errors.Is(err, tt.want) {
				t.Errorf("%s: Nearest in space %.4s = %v, want %v", name, tt.space, err, tt.want)
			}
		}
		if space, err := h.Answering(t.Context()); err != nil || space != answers {
			t.Errorf("%s: Answering = %v, %v", name, space, err)
		}
	}
}

// inTwo encodes in two spaces.
type inTwo struct{}

func (inTwo) EncodeTexts(ctx context.Context, list []string) ([]clipsearch.Vector, error) {
	s := clipsearch.SpaceOf(ctx)
	if s[0] < 1 || s[0] > 2 {
		return nil, fmt.Errorf("no encoder of %.4s: %w", s, clipsearch.ErrSpace)
	}
	return []clipsearch.Vector{{float32(s[0])}}, nil
}

// An owner whose encoders are of several spaces lends the one that is asked for.
func TestTextsOfSeveralSpaces(t *testing.T) {
	dir := t.TempDir()
	o := quick(dir)
	o.Texts = inTwo{}
	acquire(t, dir, o)
	client := acquire(t, dir, quick(dir))
	for n := range byte(4) {
		v, ok, err := client.EncodeTexts(clipsearch.InSpace(t.Context(), clipsearch.Space{n, 9}), []string{"dog"})
		if want := n == 1 || n == 2; err != nil || ok != want || ok && v[0][0] != float32(n) {
			t.Errorf("EncodeTexts in space %d = %v, %v, %v, want ok %v", n, v, ok, err, want)
		}
	}
}

// The owner's work begins when the index is open, its clients know of it, and Close
// waits for its end.
func TestWork(t *testing.T) {
	dir := t.TempDir()
	began, ended := make(chan struct{}), make(chan struct{})
	o := quick(dir)
	o.Work = func(ctx context.Context) {
		close(began)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		close(ended)
	}
	own := acquire(t, dir, o)
	client := acquire(t, dir, quick(dir))
	<-began
	if s, err := client.Spaces(t.Context()); err != nil || !s.Carried {
		t.Errorf("Spaces = %+v, %v, want that the owner works", s, err)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close has not waited for the work")
	}
	if s, err := client.Spaces(t.Context()); err != nil || s.Carried {
		t.Errorf("Spaces of an owner without work = %+v, %v", s, err)
	}
}
