package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// exportAll asks for page after page.
func exportAll(x *Index) (n int, err error) {
	var last clipsearch.ID
	for {
		page, err := x.Export(context.Background(), last, 16)
		if err != nil || len(page) == 0 {
			return n, err
		}
		last, n = page[len(page)-1].ID, n+len(page)
	}
}

// salvageAll asks for page after page, and imports what it gets into another index.
func salvageAll(t *testing.T, x, to *Index) (read []clipsearch.Record, lost map[clipsearch.ID]clipsearch.Loss) {
	t.Helper()
	lost = map[clipsearch.ID]clipsearch.Loss{}
	var page clipsearch.Salvaged
	for !page.Done {
		var err error
		if page, err = x.Salvage(context.Background(), page.After, 16); err != nil {
			t.Fatal(err)
		}
		read = append(read, page.Records...)
		for _, l := range page.Lost {
			lost[l.ID] = l
		}
		if _, err := to.Import(context.Background(), []clipsearch.SpaceModel{{Space: testSpace, Model: "test-model", Dim: testDim}}, page.Records); err != nil {
			t.Fatal(err)
		}
	}
	return read, lost
}

// TestDamagedTable flips a bit in one of two tables, in many places: an export fails,
// searches and counts tell of it, a check names what is lost, and all else is saved.
func TestDamagedTable(t *testing.T) {
	ctx := context.Background()
	const each = 60
	dir := twoTables(t, each, testOptions())
	tables := storeFiles(t, dir, "*.sst")
	for _, table := range tables[:2] {
		for share := 0.02; share < 0.9; share += 0.11 {
			t.Run(fmt.Sprintf("%s %.2f", table[len(table)-6:], share), func(t *testing.T) {
				flipAt(t, table, share)
				defer flipAt(t, table, share)
				x, err := Open(dir, testOptions())
				if err != nil {
					if !strings.Contains(err.Error(), "is damaged") || strings.Contains(err.Error(), "\n") {
						t.Errorf("Open = %v", err)
					}
					return
				}
				defer x.Close()
				if n, err := exportAll(x); err == nil || !strings.Contains(err.Error(), "--allow-damage") {
					t.Errorf("Export = %d pictures, %v, want an error", n, err)
				}
				if _, err := x.Nearest(ctx, unit(testDim, 5), 20, nil); err != nil {
					t.Errorf("Nearest: %v", err)
				}
				if what, err := x.Damage(ctx); err != nil || !strings.Contains(what, "clipsearch check") {
					t.Errorf("Damage = %q, %v", what, err)
				}
				if st, err := x.Stats(ctx); err == nil && (st.Damage == "" || st.Images == 0) {
					t.Errorf("Stats = %+v, want the damage told", st)
				}
				problems, err := x.Check(ctx, true)
				if err != nil || len(problems) == 0 || !strings.Contains(problems[0].What, "clipsearch import FILE --index ELSEWHERE") {
					t.Fatalf("Check = %+v, %v", problems, err)
				}
				to := newIndex(t)
				read, lost := salvageAll(t, x, to)
				mustBeSaved(t, read, lost, each)
				if len(lost) > len(problems) {
					t.Errorf("%d pictures have lost something, and %d problems are named", len(lost), len(problems))
				}
				if st, err := to.Stats(ctx); err != nil || st.Images != len(read) {
					t.Errorf("Stats of what was saved = %+v, %v, want %d pictures", st, err, len(read))
				}
			})
		}
	}
	x := open(t, dir)
	mustBeClean(t, x)
}

// mustBeSaved compares what was read with what was put: one block has 4 kB, so few
// pictures may be lost or lose something, and whatever is not told to be lost is whole.
func mustBeSaved(t *testing.T, read []clipsearch.Record, lost map[clipsearch.ID]clipsearch.Loss, each int) {
	t.Helper()
	t.Logf("%d saved, %d have lost something", len(read), len(lost))
	const few = 2 * 40 // of a block with keys alone
	if len(read) < 2*each-25 || len(lost) > few {
		t.Errorf("%d of %d pictures were saved, %d have lost something", len(read), 2*each, len(lost))
	}
	want := map[clipsearch.ID]clipsearch.Entry{}
	for i := range each {
		for _, e := range []clipsearch.Entry{testEntry(i), testEntry(1000 + i)} {
			want[e.ID] = e
		}
	}
	for _, r := range read {
		e, l := want[r.ID], lost[r.ID]
		delete(want, r.ID)
		if len(r.Captions) != 2 || len(r.Tags) != 2 {
			t.Errorf("picture %v has %d captions and %d tags", r.ID, len(r.Captions), len(r.Tags))
		}
		if !l.Thumb && !bytes.Equal(r.Thumb, e.Thumb) {
			t.Errorf("picture %v has another thumbnail, of %d bytes", r.ID, len(r.Thumb))
		}
		if l.Vectors == 0 && (len(r.Vectors) != 1 || len(r.Vectors[0].Vectors) != 1 || len(r.Vectors[0].Captions) != 2) {
			t.Errorf("picture %v has the vectors %v, and nothing is told", r.ID, r.Vectors)
		}
	}
	silent := 0
	for id := range want {
		if !lost[id].Picture {
			silent++
		}
	}
	if silent > 0 {
		t.Errorf("%d pictures are lost in silence", silent)
	}
}

// TestPutOnDamage puts a picture where the counts cannot be read: what is there is not
// to be counted as nothing.
func TestPutOnDamage(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	for i := range 30 {
		put(t, x, testEntry(i))
	}
	dir := x.dir
	closeIndex(t, x)
	hit := false
	for _, table := range storeFiles(t, dir, "*.sst") {
		for share := 0.0; share < 0.95; share += 0.03 {
			flipAt(t, table, share)
			x, err := Open(dir, testOptions())
			if err != nil {
				flipAt(t, table, share)
				continue
			}
			st, err := x.Stats(ctx)
			if err == nil && st.Images == 0 {
				t.Errorf("Stats = %+v, %v, want no false zero", st, err)
			}
			if err != nil {
				hit = true
				if err := x.Put(ctx, []clipsearch.Entry{testEntry(5000)}); err == nil || errors.Is(err, clipsearch.ErrInvalid) {
					t.Errorf("Put = %v, want an error", err)
				}
			}
			closeIndex(t, x)
			flipAt(t, table, share)
		}
	}
	if !hit {
		t.Error("no damage has met the counts")
	}
}
