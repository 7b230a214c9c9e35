package stream

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFormat holds docs/export.md: names, order, and how a picture is written.
func TestFormat(t *testing.T) {
	b, _, _ := testStream(t, 3)
	list := untar(t, b)
	a, other := spaceA.String(), spaceB.String()
	want := []string{
		"manifest.json", "models/" + a + "/tokenizer/words.json", "sums/head.sha256",
		"pictures/000000.ndjson", "vectors/" + a + "/000000.npy", "captions/" + a + "/000000.npy", "vectors/" + other + "/000000.npy",
	}
	for n := range 3 {
		want = append(want, "thumbs/000000/"+testRecord(n).ID.String()+".jpg")
	}
	want = append(want, "sums/000000.sha256", "end.json")
	var names []string
	content := map[string]string{}
	for _, e := range list {
		names, content[e.name] = append(names, e.name), string(e.content)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	lines := strings.Split(strings.ReplaceAll(content["pictures/000000.ndjson"], a, "A"), "\n")
	wantLines := []string{
		`{"id":"5feceb66ffc86f38d952786c6d696c79","files":[{"path":"/a <&> 0.jpg","size":0,"mtime":"2001-09-09T01:46:40Z"}],` +
			`"format":"jpeg","width":0,"height":2,"bytes":3,"vectors":{"A":{"row":0,"rows":1},"` + other + `":{"row":0,"rows":1}}}`,
		`{"id":"6b86b273ff34fce19d6b804eff5a3f57","files":[{"path":"/a <&> 1.jpg","size":1,"mtime":"2001-09-09T01:46:40.000000001Z"},` +
			`{"path":{"base64":"L/8ACuKAqC5qcGc="},"size":0,"mtime":{"seconds":910670612645,"nanoseconds":6,"offset":0}}],` +
			`"format":"jpeg","width":1,"height":2,"bytes":3,"taken_at":"1999-12-31T23:59:59.000000999+01:00","vectors":{"A":{"row":1,"rows":2}}}`,
		`{"id":"d4735e3a265e16eee03f59718b9b5d03","files":[{"path":"/a <&> 2.jpg","size":2,"mtime":"2001-09-09T01:46:40.000000002Z"}],` +
			`"format":"jpeg","width":2,"height":2,"bytes":3,"taken_at":{"seconds":-3786828817,"nanoseconds":0,"offset":3217},` +
			`"camera":{"base64":"TWFrZXKA"},"captions":["a \"dog\"","",{"base64":"wyg="}],"tags":[{"base64":"/w=="}],` +
			`"vectors":{"A":{"row":3,"rows":3,"caption_rows":3},"` + other + `":{"row":1,"rows":1}}}`,
		"",
	}
	if diff := cmp.Diff(wantLines, lines); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
	var end End
	if err := json.Unmarshal([]byte(content["end.json"]), &end); err != nil || end.Shards != 1 || end.Images != 3 || end.Files != 4 || end.Captions != 3 || end.Vectors != 1+2+3+3+2 {
		t.Errorf("end = %+v, %v", end, err)
	}
}

// testdata/1.tar.gz is a stream as version 1 of the format was first written. It is
// never written again: every later program must read it.
var keepStream = flag.Bool("keep-stream", false, "write testdata/1.tar.gz, if there is none")

const keptStream, keptPictures = "testdata/1.tar.gz", 12

func TestKeptStream(t *testing.T) {
	if *keepStream {
		keep(t)
	}
	f, err := os.Open(keptStream)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := testStream(t, keptPictures)
	got, models, end, err := readAll(z)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || models != "0a tokenizer/words.json 5 words\n" || end.Images != keptPictures {
		t.Errorf("%s: %v, %q (-want +got):\n%s", keptStream, err, models, diff)
	}
}

func keep(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(keptStream, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, _, _ := testStream(t, keptPictures)
	z := gzip.NewWriter(f)
	if _, err := io.Copy(z, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}
