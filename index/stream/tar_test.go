package stream

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// entry is a file of a tar.
type entry struct {
	name    string
	content []byte
}

func untar(t testing.TB, b []byte) (list []entry) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry{h.Name, content})
	}
}

func entar(t testing.TB, list []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range list {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// shardEnd is where the second shard begins.
func shardEnd(list []entry) int {
	return 1 + slices.IndexFunc(list, func(e entry) bool { return e.name == "sums/000000.sha256" })
}

// FuzzReader feeds what no export has written: nothing may panic, and what is read
// without an error is whole.
func FuzzReader(f *testing.F) {
	b, _, _ := testStream(f, 1)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(strings.Repeat("x", 1024)))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, _, end, err := readAll(bytes.NewReader(b))
		if err == nil && (len(records) != end.Images || len(end.SHA256) != 64) {
			t.Errorf("%d records, end %+v", len(records), end)
		}
	})
}

// FuzzShard feeds a shard whose sums are right: by somebody who made them so. What
// is read can be written, and read again as the same.
func FuzzShard(f *testing.F) {
	b, _, _ := testStream(f, 3)
	parts := map[string][]byte{}
	for _, e := range untar(f, b) {
		parts[e.name] = e.content
	}
	const a = "/0a00000000000000000000000000000000000000000000000000000000000000/000000.npy"
	f.Add(parts["pictures/000000.ndjson"], parts["vectors"+a], parts["captions"+a])
	f.Add([]byte(`{"id":"","files":null,"vectors":{"":{"row":-1,"rows":1000000000000}}}`), []byte("\x93NUMPY"), []byte(nil))
	f.Fuzz(func(t *testing.T, lines, vectors, captions []byte) {
		in := map[string][]byte{"pictures/000000.ndjson": lines, "vectors" + a: vectors, "captions" + a: captions}
		for _, n := range []int{0, 1, 2} {
			id := testRecord(n).ID
			in["thumbs/000000/"+id.String()+".jpg"] = []byte{1}
		}
		s := shardReader{name: "000000", parts: in, spaces: testManifest().Spaces}
		records, err := s.read()
		if err != nil {
			return
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, testManifest())
		for _, r := range records {
			if err == nil {
				err = w.Add(r)
			}
		}
		if err == nil {
			_, err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		again, _, _, err := readAll(&out)
		if diff := cmp.Diff(records, again, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Errorf("written and read again: %v (-first +second):\n%s", err, diff)
		}
	})
}
