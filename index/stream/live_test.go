package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/indextest"
	"github.com/clipsearch/clipsearch/index/stream"
	"github.com/clipsearch/clipsearch/owner"
)

// open returns an index through its owner, and another way to it as a client has it.
func open(t *testing.T) (own, client *owner.Handle) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "index")
	o := owner.Options{Create: true, Open: func() (owner.Index, error) {
		return index.Open(dir, index.Options{Space: indextest.Space, Model: "test", Dim: indextest.Dim, Create: true})
	}}
	var handles [2]*owner.Handle
	for i := range handles {
		h, err := owner.Acquire(context.Background(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		handles[i] = h
	}
	if handles[1].Info().Owned {
		t.Fatal("not a client")
	}
	return handles[0], handles[1]
}

func clean(t *testing.T, h *owner.Handle) {
	t.Helper()
	if problems, err := h.Check(context.Background(), false); err != nil || len(problems) > 0 {
		t.Errorf("Check = %+v, %v, want nothing", problems, err)
	}
}

func put(t *testing.T, h *owner.Handle, from, to int) {
	t.Helper()
	for ; from < to; from += 50 {
		var batch []clipsearch.Entry
		for n := from; n < min(from+50, to); n++ {
			e := indextest.Picture(n)
			e.CaptionVectors = []clipsearch.Vector{indextest.Vector(n + 1e6)}
			if n%9 == 0 {
				e.Vectors = append(e.Vectors, indextest.Vector(n+2e6))
			}
			if n%11 == 0 {
				e.Files = append(e.Files, clipsearch.File{Path: fmt.Sprintf("/\xff\xfe%d", n), Size: 1, ModTime: time.Unix(int64(n), 7)})
			}
			batch = append(batch, e)
		}
		if err := h.Put(context.Background(), batch); err != nil {
			t.Error(err)
			return
		}
	}
}

func export(t *testing.T, h *owner.Handle) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	s := stream.Space{SpaceModel: clipsearch.SpaceModel{Space: indextest.Space, Model: "test", Dim: indextest.Dim}}
	w, err := stream.NewWriter(&b, stream.Manifest{Space: s.Space, Model: s.Model, Dim: s.Dim, Spaces: []stream.Space{s}})
	if err == nil {
		err = w.AddAll(context.Background(), h, nil)
	}
	if err == nil {
		_, err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

func imported(t *testing.T, h *owner.Handle, b *bytes.Buffer) clipsearch.Imported {
	t.Helper()
	x, err := stream.NewReader(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := x.GiveAll(context.Background(), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// An index that is imported answers as the one that was exported.
func TestAnswers(t *testing.T) {
	ctx := context.Background()
	from, _ := open(t)
	put(t, from, 0, 700)
	if err := from.Delete(ctx, []clipsearch.ID{indextest.ID(3), indextest.ID(300)}); err != nil {
		t.Fatal(err)
	}
	_, to := open(t)
	if sum := imported(t, to, export(t, from)); sum != (clipsearch.Imported{Stored: 698}) {
		t.Errorf("imported %+v, want 698 stored", sum)
	}
	late := clipsearch.Filter{{Field: "taken", Op: ">=", Time: time.Date(2020, 1, 9, 0, 0, 0, 0, time.UTC)}}
	for n := range 20 {
		v := indextest.Vector(10_000 + n)
		for _, f := range []clipsearch.Filter{nil, late} {
			a, err := from.Nearest(ctx, v, 30, f)
			b, err2 := to.Nearest(ctx, v, 30, f)
			if diff := cmp.Diff(a, b); err != nil || err2 != nil || diff != "" || len(a) != 30 {
				t.Errorf("Nearest of query %d: %v, %v, %d hits (-from +to):\n%s", n, err, err2, len(a), diff)
			}
		}
		a, err := from.NearestCaptions(ctx, v, 9)
		b, err2 := to.NearestCaptions(ctx, v, 9)
		if diff := cmp.Diff(a, b); err != nil || err2 != nil || diff != "" || len(a) != 9 {
			t.Errorf("NearestCaptions of query %d: %v, %v (-from +to):\n%s", n, err, err2, diff)
		}
	}
	for _, words := range []string{"dog", "uniquely44", "street beach03", "group1 IMG"} {
		a, err := from.Match(ctx, words, 50, nil)
		b, err2 := to.Match(ctx, words, 50, nil)
		if diff := cmp.Diff(a, b); err != nil || err2 != nil || diff != "" || len(a) == 0 {
			t.Errorf("Match(%q): %v, %v, %d hits (-from +to):\n%s", words, err, err2, len(a), diff)
		}
	}
	clean(t, from)
	clean(t, to)
}

// An index that others write to is exported through its owner: what was there before
// and stays is in it, and all that is in it is whole.
func TestLive(t *testing.T) {
	own, client := open(t)
	const before = 900
	put(t, own, 0, before)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		r := rand.New(rand.NewPCG(1, 2))
		for n := before; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			put(t, own, n, n+1)
			if err := own.Delete(context.Background(), []clipsearch.ID{indextest.ID(before + r.IntN(n-before+1))}); err != nil {
				t.Error(err)
			}
		}
	}()
	var streams []*bytes.Buffer
	for range 3 {
		streams = append(streams, export(t, client))
	}
	close(stop)
	<-done
	clean(t, client)
	for i, b := range streams {
		_, to := open(t)
		sum := imported(t, to, b)
		t.Logf("export %d: %+v", i, sum)
		var ids []clipsearch.ID
		for n := range before {
			ids = append(ids, indextest.ID(n))
		}
		has, err := to.Has(context.Background(), ids)
		for n, ok := range has {
			if !ok {
				t.Errorf("export %d: picture %d was there and is missing", i, n)
			}
		}
		if err != nil || sum.Skipped > 0 || sum.Known > 0 {
			t.Errorf("export %d: %+v, %v", i, sum, err)
		}
		clean(t, to)
	}
}
