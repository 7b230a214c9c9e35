package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// hundred writes 100 pictures into three folders, and a broken one among them.
func hundred(t *testing.T) string {
	dir := t.TempDir()
	for i := range 100 {
		write(t, dir, fmt.Sprintf("%c/%03d.png", 'a'+i%3, i), paint(i, 4))
	}
	write(t, dir, "b/broken.jpg", []byte("this is no picture\n"))
	return dir
}

func TestRun(t *testing.T) {
	noLeaks(t)
	dir, st, enc := hundred(t), newStore(), &encoder{}
	var failed []string
	var last ingest.Progress
	p := &ingest.Pipeline{
		Encoder: enc, Store: st, Jobs: 4, Batch: 7,
		Failed: func(path string, err error) { failed = append(failed, filepath.Base(path)+": "+err.Error()) },
		Report: func(p ingest.Progress) {
			if p.Done < last.Done {
				t.Errorf("progress went from %d back to %d", last.Done, p.Done)
			}
			last = p
		},
	}
	sum := ingested(t, p, dir)
	if got, want := countsOf(sum), (counts{Stored: 100, Failed: 1}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
	if len(failed) != 1 || !strings.HasPrefix(failed[0], "broken.jpg: ") || strings.Contains(failed[0], "\n") {
		t.Errorf("Failed was told %q, want broken.jpg and one line", failed)
	}
	if last.Done != 101 || last.Total != 101 || last.Stored != 100 || last.ETA != 0 {
		t.Errorf("the last Progress is %+v", last)
	}
	for i := range 100 {
		e := st.at(t, filepath.Join(dir, string('a'+rune(i%3)), fmt.Sprintf("%03d.png", i)))
		if want := float32(i); e.Vectors[0][0] != want {
			t.Errorf("picture %d has vector %v, another's", i, e.Vectors[0])
		}
	}
}

func TestSecondRunReadsNothing(t *testing.T) {
	dir, st, enc := t.TempDir(), newStore(), &encoder{}
	for i := range 20 {
		write(t, dir, fmt.Sprintf("%d.png", i), paint(i, 4))
	}
	p := &ingest.Pipeline{Encoder: enc, Store: st}
	ingested(t, p, dir)
	decoded, puts := enc.fits.Load(), st.puts
	for i := range 20 { // other bytes of the same size and age: whoever reads them knows
		path := filepath.Join(dir, fmt.Sprintf("%d.png", i))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, fmt.Sprintf("%d.png", i), make([]byte, info.Size()))
		if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	sum := ingested(t, p, dir)
	if got, want := countsOf(sum), (counts{Known: 20}); got != want {
		t.Errorf("second Run = %+v, want %+v", got, want)
	}
	if enc.fits.Load() != decoded || st.puts != puts {
		t.Errorf("the second run decoded %d pictures and put %d batches", enc.fits.Load()-decoded, st.puts-puts)
	}
}

func TestDuplicates(t *testing.T) {
	for _, batch := range []int{1, 3, 64} { // twins in one batch, and in different ones
		t.Run(fmt.Sprintf("put=%d", batch), func(t *testing.T) {
			dir, st, enc := t.TempDir(), newStore(), &encoder{}
			var want []string
			for i := range 40 {
				name := fmt.Sprintf("%02d.png", i)
				write(t, dir, name, paint(i%8, 4))
				want = append(want, name)
			}
			p := &ingest.Pipeline{Encoder: enc, Store: st, Jobs: 4, Batch: 4, PutBatch: batch}
			sum := ingested(t, p, dir)
			if got, want := countsOf(sum), (counts{Stored: 8, Known: 32}); got != want {
				t.Errorf("Run = %+v, want %+v", got, want)
			}
			if diff := cmp.Diff(want, st.paths(t, dir)); diff != "" {
				t.Errorf("paths stored (-want +got):\n%s", diff)
			}
			if n := enc.fits.Load(); n != 8 {
				t.Errorf("%d pictures were decoded, want 8", n)
			}
		})
	}
}

func TestTwinsOfABrokenPicture(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("%d.jpg", i), []byte("nothing"))
	}
	sum := ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st, Jobs: 4}, dir)
	if got, want := countsOf(sum), (counts{Failed: 10}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
}

func TestMovedAndChanged(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	p := &ingest.Pipeline{Encoder: &encoder{}, Store: st}
	old := write(t, dir, "old/a.png", paint(1, 4))
	write(t, dir, "b.png", paint(2, 4))
	write(t, dir, "c.png", paint(3, 4))
	ingested(t, p, dir)

	steps := []struct {
		name  string
		do    func() error
		want  counts
		paths []string
	}{
		{"moved", func() error { return os.Rename(old, filepath.Join(dir, "a.png")) },
			counts{Known: 2, Moved: 1}, []string{"a.png", "b.png", "c.png"}},
		{"copied", func() error { write(t, dir, "copy.png", paint(1, 4)); return nil },
			counts{Known: 4}, []string{"a.png", "b.png", "c.png", "copy.png"}},
		{"changed", func() error { write(t, dir, "b.png", paint(9, 5)); return nil },
			counts{Stored: 1, Known: 3}, []string{"a.png", "b.png", "c.png", "copy.png"}},
		{"touched", func() error { return os.Chtimes(filepath.Join(dir, "c.png"), time.Time{}, time.Now().Add(time.Hour)) },
			counts{Known: 4}, []string{"a.png", "b.png", "c.png", "copy.png"}},
		{"again", func() error { return nil },
			counts{Known: 4}, []string{"a.png", "b.png", "c.png", "copy.png"}},
		{"one of two copies moved", func() error { return os.Rename(filepath.Join(dir, "copy.png"), filepath.Join(dir, "copy2.png")) },
			counts{Known: 4}, []string{"a.png", "b.png", "c.png", "copy.png", "copy2.png"}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		puts := st.puts
		if got := countsOf(ingested(t, p, dir)); got != step.want {
			t.Errorf("%s: Run = %+v, want %+v", step.name, got, step.want)
		}
		if diff := cmp.Diff(step.paths, st.paths(t, dir)); diff != "" {
			t.Errorf("%s: paths stored (-want +got):\n%s", step.name, diff)
		}
		if step.name == "again" && st.puts != puts {
			t.Errorf("again: %d batches were put, so the touched file is still not seen", st.puts-puts)
		}
	}
}

// TestSwapped has files trade their contents: each picture loses its only path
// while it is known, which is more than a look at the store beforehand can tell.
func TestSwapped(t *testing.T) {
	for _, batch := range []int{1, 2, 64} {
		dir, st := t.TempDir(), newStore()
		p := &ingest.Pipeline{Encoder: &encoder{}, Store: st, PutBatch: batch, Jobs: 3, Batch: 2}
		for i := range 12 {
			write(t, dir, fmt.Sprintf("%02d.png", i), paint(i, 4))
		}
		ingested(t, p, dir)
		for i := range 12 {
			path := write(t, dir, fmt.Sprintf("%02d.png", i), paint((i+1)%12, 4))
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if sum := ingested(t, p, dir); sum.Failed != 0 {
			t.Errorf("put=%d: %+v", batch, sum)
		}
		for i := range 12 {
			e := st.at(t, filepath.Join(dir, fmt.Sprintf("%02d.png", i)))
			if want := float32((i + 1) % 12); e.Vectors[0][0] != want || len(e.Files) != 1 {
				t.Errorf("put=%d: file %d is the picture with vector %v of %q, want %v", batch, i, e.Vectors[0], e.Paths(), want)
			}
		}
	}
}

func TestThumbnails(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	small := write(t, dir, "small.jpg", jpegOf(200, 100))
	large := write(t, dir, "large.jpg", jpegOf(900, 600))
	ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: st}, dir)
	if got := st.at(t, small).Thumb; !bytes.Equal(got, jpegOf(200, 100)) {
		t.Errorf("a small clean JPEG has a thumbnail of its own, of %d bytes", len(got))
	}
	thumb, err := jpeg.DecodeConfig(bytes.NewReader(st.at(t, large).Thumb))
	if err != nil || thumb.Width != 384 || thumb.Height != 256 {
		t.Errorf("the thumbnail of 900 x 600 is %d x %d, %v, want 384 x 256", thumb.Width, thumb.Height, err)
	}
}

func jpegOf(w, h int) []byte {
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, image.NewRGBA(image.Rect(0, 0, w, h)), nil); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func TestEncoderFails(t *testing.T) {
	bad := errors.New("device lost")
	tests := []struct {
		name   string
		images func([]image.Image) error
		want   counts
		err    error
	}{
		{"for one picture", func(imgs []image.Image) error {
			for _, img := range imgs {
				if colorVector(img.At(0, 0))[0] == 42 {
					return bad
				}
			}
			return nil
		}, counts{Stored: 99, Failed: 2}, nil},
		{"for every picture", func([]image.Image) error { return bad }, counts{}, bad},
		{"and calls every picture invalid", func([]image.Image) error { return clipsearch.ErrInvalid }, counts{Failed: 101}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noLeaks(t)
			p := &ingest.Pipeline{Encoder: &encoder{images: tt.images}, Store: newStore(), Batch: 8}
			sum, err := p.Run(t.Context(), hundred(t))
			checkSum(t, sum)
			if !errors.Is(err, tt.err) {
				t.Errorf("Run: %v, want %v", err, tt.err)
			}
			if got := countsOf(sum); tt.err == nil && got != tt.want {
				t.Errorf("Run = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestStoreFails(t *testing.T) {
	noLeaks(t)
	st := newStore()
	st.fail = func(puts int) error {
		if puts > 3 {
			return fmt.Errorf("12 MB free: %w", clipsearch.ErrNoSpace)
		}
		return nil
	}
	p := &ingest.Pipeline{Encoder: &encoder{}, Store: st, PutBatch: 10}
	dir := hundred(t)
	sum, err := p.Run(t.Context(), dir)
	if !errors.Is(err, clipsearch.ErrNoSpace) {
		t.Fatalf("Run: %v, want ErrNoSpace", err)
	}
	checkSum(t, sum)
	if sum.Stored == 0 || sum.Stored != len(st.entries) {
		t.Errorf("Run says %d are stored, the store has %d", sum.Stored, len(st.entries))
	}
	st.fail = nil
	before := len(st.entries)
	if got, want := countsOf(ingested(t, p, dir)), (counts{Stored: 100 - before, Known: before, Failed: 1}); got != want {
		t.Errorf("the run after = %+v, want %+v", got, want)
	}
}

// TestStoreRefuses has a store that takes all pictures but one, or none.
func TestStoreRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse func(clipsearch.Entry) bool
		want   counts
		err    error
	}{
		{"one", func(e clipsearch.Entry) bool { return e.Vectors[0][0] == 42 }, counts{Stored: 99, Failed: 2}, nil},
		{"all", func(clipsearch.Entry) bool { return true }, counts{}, clipsearch.ErrInvalid},
	} {
		st := newStore()
		st.refuse = tt.refuse
		sum, err := (&ingest.Pipeline{Encoder: &encoder{}, Store: st}).Run(t.Context(), hundred(t))
		checkSum(t, sum)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: Run: %v, want %v", tt.name, err, tt.err)
		}
		if got := countsOf(sum); tt.err == nil && got != tt.want {
			t.Errorf("%s: Run = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestCancel(t *testing.T) {
	noLeaks(t)
	dir, st := hundred(t), newStore()
	ctx, cancel := context.WithCancel(t.Context())
	var encoded atomic.Int64
	enc := &encoder{images: func(imgs []image.Image) error {
		if encoded.Add(int64(len(imgs))) > 30 {
			cancel()
		}
		return nil
	}}
	p := &ingest.Pipeline{Encoder: enc, Store: st, Jobs: 2, Batch: 5, PutBatch: 1000}
	begin := time.Now()
	sum, err := p.Run(ctx, dir)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want context.Canceled", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("a run that was cut off took %v", took)
	}
	checkSum(t, sum)
	if sum.Stored == 0 || sum.Stored == 100 || sum.Stored != len(st.entries) {
		t.Errorf("Run says %d are stored, the store has %d; want what was encoded by then", sum.Stored, len(st.entries))
	}
	if got, want := countsOf(ingested(t, p, dir)), (counts{Stored: 100 - sum.Stored, Known: sum.Stored, Failed: 1}); got != want {
		t.Errorf("the run after = %+v, want %+v", got, want)
	}
}

func TestStoredIsReportedAfterPut(t *testing.T) {
	st := newStore()
	p := &ingest.Pipeline{Encoder: &encoder{}, Store: st, PutBatch: 5}
	p.Report = func(pr ingest.Progress) {
		files, err := st.Files(t.Context())
		if err != nil || pr.Stored > len(files) {
			t.Errorf("%d are reported stored, %d are", pr.Stored, len(files))
		}
		if pr.Path != "" && !slices.ContainsFunc(files, func(f clipsearch.File) bool { return f.Path == pr.Path }) {
			t.Errorf("%s is reported and not stored", pr.Path)
		}
	}
	ingested(t, p, hundred(t))
}

func TestDryRun(t *testing.T) {
	dir, st, enc := hundred(t), newStore(), &encoder{}
	write(t, dir, "c/copy1.png", paint(7, 4))
	write(t, dir, "c/copy2.png", paint(7, 4))
	sum := ingested(t, &ingest.Pipeline{Encoder: enc, Store: st, DryRun: true, PutBatch: 3}, dir)
	if got, want := countsOf(sum), (counts{Stored: 100, Known: 2, Failed: 1}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
	if st.puts != 0 || enc.fits.Load() != 0 {
		t.Errorf("a dry run put %d batches and shrank %d pictures", st.puts, enc.fits.Load())
	}
}

// TestMemory decodes pictures of 500 kB each within a budget for one, and within one
// for all.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		write(t, dir, fmt.Sprintf("%d.png", i), paint(i, 250))
	}
	for _, tt := range []struct{ budget, least, most int64 }{{600 << 10, 1, 1}, {1 << 10, 1, 1}, {1 << 30, 2, 6}} {
		var now, peak atomic.Int64
		enc := &encoder{fit: func() {
			n := now.Add(1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			time.Sleep(50 * time.Millisecond)
			now.Add(-1)
		}}
		sum := ingested(t, &ingest.Pipeline{Encoder: enc, Store: newStore(), Jobs: 6, Memory: tt.budget}, dir)
		if p := peak.Load(); p < tt.least || p > tt.most || sum.Stored != 6 {
			t.Errorf("a budget of %d bytes: %d stored, %d decoded at once, want %d to %d", tt.budget, sum.Stored, p, tt.least, tt.most)
		}
	}
}

func TestPrune(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "in-out") // one's name begins as the other's
	var inside []string
	for i := range 4 {
		inside = append(inside, write(t, in, fmt.Sprintf("%d.png", i), paint(i, 4)))
	}
	outside := write(t, out, "x.png", paint(9, 4))
	p := &ingest.Pipeline{Encoder: &encoder{}, Store: st}
	ingested(t, p, in, out)
	remove := func(paths ...string) {
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove(inside[0], outside)
	if sum := ingested(t, p, in); sum.Pruned != 0 || len(st.entries) != 5 {
		t.Errorf("without Prune %d files were pruned, %d pictures are left", sum.Pruned, len(st.entries))
	}
	p.Prune, p.DryRun = true, true
	if sum := ingested(t, p, in); sum.Pruned != 1 || len(st.entries) != 5 {
		t.Errorf("a dry run tells %d files, want 1; %d pictures are left, want 5", sum.Pruned, len(st.entries))
	}
	p.DryRun = false
	if sum := ingested(t, p, in); sum.Pruned != 1 || len(st.entries) != 4 {
		t.Errorf("%d files were pruned, want 1; %d pictures are left, want 4", sum.Pruned, len(st.entries))
	}
	remove(inside[1:]...)
	if _, err := p.Run(t.Context(), in); err == nil || len(st.entries) != 4 {
		t.Errorf("an empty root: %v, %d pictures are left, want an error and 4", err, len(st.entries))
	}
	remove(in)
	if _, err := p.Run(t.Context(), in); !errors.Is(err, clipsearch.ErrInvalid) || len(st.entries) != 4 {
		t.Errorf("a missing root: %v, %d pictures are left, want ErrInvalid and 4", err, len(st.entries))
	}
}

func TestMistakes(t *testing.T) {
	dir, enc := hundred(t), &encoder{}
	st := newStore()
	if _, err := (&ingest.Pipeline{Encoder: enc, Store: st}).Run(t.Context(), dir, filepath.Join(dir, "absent")); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("a missing root: %v, want ErrInvalid", err)
	}
	if _, err := (&ingest.Pipeline{Encoder: enc, Store: st, Exclude: []string{"[a"}}).Run(t.Context(), dir); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("a glob that cannot be read: %v, want ErrInvalid", err)
	}
	if st.asked != 0 {
		t.Errorf("the store was asked about %d files before the mistake was found", st.asked)
	}
}

func TestReadPaths(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a.jpg\nb c.jpg\n\n", []string{"a.jpg", "b c.jpg"}},
		{"a.jpg\r\nb.jpg", []string{"a.jpg", "b.jpg"}},
		{"a\nb.jpg\x00c\xff.jpg\x00", []string{"a\nb.jpg", "c\xff.jpg"}},
	}
	for _, tt := range tests {
		got, err := ingest.ReadPaths(strings.NewReader(tt.in))
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("ReadPaths(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
