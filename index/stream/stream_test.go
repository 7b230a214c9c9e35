package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

var spaceA, spaceB = clipsearch.Space{0xa}, clipsearch.Space{0xb}

func testManifest() Manifest {
	return Manifest{
		Program: "test", Created: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), Space: spaceA, Model: "one", Dim: 4,
		Spaces: []Space{
			{SpaceModel: clipsearch.SpaceModel{Space: spaceA, Model: "one", Dim: 4}, Files: true},
			{SpaceModel: clipsearch.SpaceModel{Space: spaceB, Model: "two", Dim: 2}},
		},
	}
}

func vectorsOf(r *rand.Rand, n, dim int) (list []clipsearch.Vector) {
	for range n {
		v := make(clipsearch.Vector, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		list = append(list, v)
	}
	return list
}

// testRecord is one of every sort.
func testRecord(n int) clipsearch.Record {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	m := clipsearch.Image{
		ID: clipsearch.NewID(fmt.Append(nil, n)), Format: "jpeg", Width: n, Height: 2, Bytes: 3,
		Files: []clipsearch.File{{Path: fmt.Sprintf("/a <&> %d.jpg", n), Size: int64(n), ModTime: time.Unix(1e9, int64(n)).UTC()}},
	}
	switch n % 5 {
	case 1:
		m.Files = append(m.Files, clipsearch.File{Path: "/\xff\x00\n\u2028.jpg", ModTime: time.Date(30828, 1, 2, 3, 4, 5, 6, time.UTC)})
		m.TakenAt = time.Date(1999, 12, 31, 23, 59, 59, 999, time.FixedZone("", 3600))
	case 2:
		m.Captions, m.Tags, m.Camera = []string{"a \"dog\"", "", "\xc3("}, []string{"\xff"}, "Maker\x80"
		m.TakenAt = time.Date(1850, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3217))
	case 3:
		m.Files = nil
	}
	rec := clipsearch.Record{Image: m, Thumb: bytes.Repeat([]byte{byte(n)}, 1+n%700)}
	rec.Vectors = []clipsearch.SpaceVectors{{Space: spaceA, Vectors: vectorsOf(r, 1+n%3, 4), Captions: vectorsOf(r, len(m.Captions), 4)}}
	if n%2 == 0 {
		thumb := n%4 == 0 && n >= keptPictures // the kept stream has none
		rec.Vectors = append(rec.Vectors, clipsearch.SpaceVectors{Space: spaceB, Vectors: vectorsOf(r, 1, 2), Thumb: thumb})
	}
	if n%7 == 0 && n >= keptPictures { // its space was dropped
		rec.Vectors = nil
	}
	return rec
}

// testStream is a stream of n pictures, and what should come out of it.
func testStream(t testing.TB, n int) ([]byte, []clipsearch.Record, End) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, testManifest())
	if err == nil {
		err = w.AddModelFile(spaceA, "tokenizer/words.json", 5, strings.NewReader("words"))
	}
	var want []clipsearch.Record
	for i := range n {
		want = append(want, testRecord(i))
		if err == nil {
			err = w.Add(want[i])
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	end, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), want, end
}

// readAll reads a stream, its models as one text.
func readAll(in io.Reader) (records []clipsearch.Record, models string, end End, err error) {
	x, err := NewReader(in, func(s clipsearch.Space, name string, size int64, r io.Reader) error {
		b, err := io.ReadAll(r)
		models += fmt.Sprintf("%.2s %s %d %s\n", s, name, size, b)
		return err
	})
	for err == nil {
		var some []clipsearch.Record
		some, err = x.Next()
		records = append(records, some...)
	}
	if err == io.EOF {
		return records, models, x.End(), nil
	}
	return records, models, end, err
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 5, shardPictures, 2*shardPictures + 1} {
		b, want, end := testStream(t, n)
		got, models, gotEnd, err := readAll(bytes.NewReader(b))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%d pictures: %v (-want +got):\n%s", n, err, diff)
		}
		if models != "0a tokenizer/words.json 5 words\n" || gotEnd != end {
			t.Errorf("%d pictures: models %q, end %+v, want %+v", n, models, gotEnd, end)
		}
		if _, offset := zone(got); offset != zoneWant(n) {
			t.Errorf("%d pictures: zone %d", n, offset)
		}
		if end, err := Verify(bytes.NewReader(b)); err != nil || end.Images != n {
			t.Errorf("Verify = %+v, %v", end, err)
		}
	}
}

func zone(records []clipsearch.Record) (string, int) {
	if len(records) < 3 {
		return "", 0
	}
	return records[2].TakenAt.Zone()
}

func zoneWant(n int) int {
	if n < 3 {
		return 0
	}
	return 3217
}

// A large picture begins a shard of its own.
func TestShardBytes(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		r := testRecord(i)
		r.Thumb = make([]byte, shardBytes/2)
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	end, err := w.Close()
	if err != nil || end.Shards != 5 {
		t.Errorf("%d shards, %v, want 5", end.Shards, err)
	}
	if got, _, _, err := readAll(&b); err != nil || len(got) != 5 {
		t.Errorf("%d pictures, %v", len(got), err)
	}
}

// A stream that is cut anywhere is refused, and gives no shard that is not whole.
func TestCut(t *testing.T) {
	b, want, _ := testStream(t, shardPictures+9)
	cuts := []int{1, 511, 512, 513, len(b) - 1, len(b) - 512, len(b) - 513, len(b) - 1023, len(b) - 1024, len(b) - 1025}
	for at := 0; at < len(b); at += 1000 {
		cuts = append(cuts, at)
	}
	for _, at := range cuts {
		got, _, _, err := readAll(bytes.NewReader(b[:at]))
		if err == nil || len(got)%shardPictures != 0 && len(got) != len(want) {
			t.Fatalf("cut at %d of %d: %d pictures, %v", at, len(b), len(got), err)
		}
		if at > 2000 && !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v, want ErrDamaged", at, err)
		}
	}
}

// A stream with a changed byte is refused, unless nothing is lost by it: what
// fills up a block means nothing.
func TestFlip(t *testing.T) {
	b, want, _ := testStream(t, 6)
	refused := 0
	for at := 0; at < len(b); at += 5 {
		c := bytes.Clone(b)
		c[at] ^= 1 << (at % 8)
		got, models, _, err := readAll(bytes.NewReader(c))
		if err != nil {
			refused++
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || models != "0a tokenizer/words.json 5 words\n" {
			t.Fatalf("byte %d changed and not noticed: %s (-want +got):\n%s", at, models, diff)
		}
	}
	if refused < len(b)/5/4 {
		t.Errorf("%d of %d refused", refused, len(b))
	}
}

// What comes between must not be lost, doubled or turned round.
func TestEntriesMoved(t *testing.T) {
	b, _, _ := testStream(t, shardPictures+3)
	whole := untar(t, b)
	for name, change := range map[string]func([]entry) []entry{
		"an entry is lost":            func(e []entry) []entry { return slices.Delete(e, 5, 6) },
		"an entry is there twice":     func(e []entry) []entry { return slices.Insert(e, 6, e[5]) },
		"entries are turned round":    func(e []entry) []entry { e[5], e[6] = e[6], e[5]; return e },
		"a shard is lost":             func(e []entry) []entry { i := shardEnd(e); return slices.Delete(e, 3, i) },
		"the last shard is lost":      func(e []entry) []entry { i := shardEnd(e); return slices.Delete(e, i, len(e)-1) },
		"something follows":           func(e []entry) []entry { return append(e, e[0]) },
		"the end is lost":             func(e []entry) []entry { return e[:len(e)-1] },
		"the manifest is lost":        func(e []entry) []entry { return e[1:] },
		"a stranger is in the models": func(e []entry) []entry { return slices.Insert(e, 1, entry{"../../etc/passwd", nil}) },
		"a model climbs": func(e []entry) []entry {
			return slices.Insert(e, 1, entry{modelPrefix(spaceA) + "../../x", nil})
		},
	} {
		if _, _, _, err := readAll(bytes.NewReader(entar(t, change(slices.Clone(whole))))); err == nil {
			t.Errorf("%s, and nobody notices", name)
		}
	}
	if _, _, _, err := readAll(bytes.NewReader(entar(t, whole))); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func TestNotAStream(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"nothing":    {"", "no export of clipsearch"},
		"text":       {strings.Repeat("hello ", 200), "no export of clipsearch"},
		"compressed": {"\x1f\x8b" + strings.Repeat("x", 600), "gunzip"},
		"json lines": {`{"clipsearch_export":1,"model":"x"}` + strings.Repeat(" ", 600), "earlier program"},
		"other tar":  {string(entar(t, []entry{{"cat.jpg", []byte("cat")}})), "no export of clipsearch"},
		"newer":      {string(entar(t, []entry{{manifestName, []byte(`{"format":"clipsearch-export","version":2}`)}})), "update clipsearch"},
		"no spaces":  {string(entar(t, []entry{{manifestName, []byte(`{"format":"clipsearch-export","version":1}`)}})), "space that answers"},
	} {
		_, err := NewReader(strings.NewReader(tt.in), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want an ErrInvalid that says %q", name, err, tt.want)
		}
	}
}

// An error of the reader below is told as it is, and not as damage.
func TestReadError(t *testing.T) {
	b, _, _ := testStream(t, 3)
	for _, at := range []int{0, 100, 3000, len(b) - 600} {
		in := io.MultiReader(bytes.NewReader(b[:at]), failing{})
		if _, _, _, err := readAll(in); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrDamaged) {
			t.Errorf("at %d: %v, want ErrPermission", at, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrPermission }

// sink keeps what it is given; its batches may not be too large.
type sink struct {
	records []clipsearch.Record
	most    int
	fail    error
}

func (s *sink) Import(_ context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error) {
	if len(spaces) != 2 {
		return clipsearch.Imported{}, fmt.Errorf("%d spaces", len(spaces))
	}
	if s.fail != nil && len(s.records) > 0 {
		return clipsearch.Imported{}, s.fail
	}
	s.records, s.most = append(s.records, batch...), max(s.most, len(batch))
	return clipsearch.Imported{Stored: len(batch)}, nil
}

func (s *sink) Export(_ context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error) {
	at := 1 + slices.IndexFunc(s.records, func(r clipsearch.Record) bool { return r.ID == after })
	return s.records[at:min(at+limit, len(s.records))], nil
}

func TestAddAllGiveAll(t *testing.T) {
	b, want, _ := testStream(t, shardPictures+9)
	ctx := context.Background()
	give := func(s *sink) (clipsearch.Imported, error) {
		x, err := NewReader(bytes.NewReader(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		return x.GiveAll(ctx, s, nil)
	}
	s := &sink{}
	sum, err := give(s)
	if diff := cmp.Diff(want, s.records); err != nil || sum.Stored != len(want) || diff != "" {
		t.Fatalf("GiveAll = %+v, %v (-want +got):\n%s", sum, err, diff)
	}
	var again bytes.Buffer
	w, err := NewWriter(&again, testManifest())
	if err == nil {
		err = w.AddModelFile(spaceA, "tokenizer/words.json", 5, strings.NewReader("words"))
	}
	told := 0
	if err == nil {
		err = w.AddAll(ctx, s, func(n int) { told = n })
	}
	if err == nil {
		_, err = w.Close()
	}
	if err != nil || told != len(want) || !bytes.Equal(again.Bytes(), b) {
		t.Errorf("the same pictures make another stream, or %v", err)
	}
	if sum, err := give(&sink{fail: os.ErrPermission}); !errors.Is(err, os.ErrPermission) || sum.Stored != shardPictures {
		t.Errorf("GiveAll to one who fails = %+v, %v", sum, err)
	}
}

func TestPortion(t *testing.T) {
	large := clipsearch.Record{Thumb: make([]byte, shardBytes*2/3)}
	small := clipsearch.Record{}
	for _, tt := range []struct {
		records []clipsearch.Record
		want    int
	}{
		{[]clipsearch.Record{small}, 1}, {[]clipsearch.Record{large, large}, 1}, {[]clipsearch.Record{small, large, large}, 2},
		{make([]clipsearch.Record, 1000), shardPictures}, {make([]clipsearch.Record, 3), 3},
	} {
		if got := portion(tt.records); got != tt.want {
			t.Errorf("portion of %d = %d, want %d", len(tt.records), got, tt.want)
		}
	}
}

// TestNoThumb writes a picture whose thumbnail was lost, and one that has all.
func TestNoThumb(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	want := []clipsearch.Record{testRecord(1), testRecord(2)}
	want[0].Thumb, want[0].Vectors = nil, nil
	for _, r := range want {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _, end, err := readAll(&b)
	if err != nil || end.Images != 2 || len(got) != 2 || len(got[0].Thumb) != 0 || !bytes.Equal(got[1].Thumb, want[1].Thumb) {
		t.Errorf("read %d records, %+v, %v", len(got), end, err)
	}
}
