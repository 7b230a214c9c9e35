package clip_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

const checkpoints = "../embed/testdata/models/"

func readCheckpoint(t *testing.T, name string) clip.Model {
	t.Helper()
	m, err := clip.ReadModel(checkpoints+name, "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func multilingual(t *testing.T) clip.Model {
	t.Helper()
	m, err := clip.Pair(readCheckpoint(t, "transformers-clip"), readCheckpoint(t, "multilingual-clip"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPairSpaces holds digests that indexes are kept under.
func TestPairSpaces(t *testing.T) {
	for _, tt := range []struct {
		m    clip.Model
		want string
	}{
		{readCheckpoint(t, "transformers-clip"), "619c611788a07257eb79d2a36b6be63083666c2bd87f079396598e2b12225048"},
		{readCheckpoint(t, "multilingual-clip"), "084314dead2a3ee636da7db0106cb5cb11a608ce6c8606e6b0c1e609f9376500"},
		{multilingual(t), "e9705a17db1a6562b5ef448cb4a034b5eaa16fd8a9f736fe83fd721923f661c3"},
	} {
		if got := tt.m.Space().String(); got != tt.want {
			t.Errorf("the space of %s is %s, was %s", tt.m.Name, got, tt.want)
		}
	}
}

// TestPairSpace: the other tower of either model, and words for people, make no other
// space; what a side's vectors depend on does.
func TestPairSpace(t *testing.T) {
	text, err := clip.ReadModelFS(wild(), "")
	if err != nil {
		t.Fatal(err)
	}
	space := func(change func(fstest.MapFS)) clipsearch.Space {
		fsys := wild()
		change(fsys)
		image, err := clip.ReadModelFS(fsys, "")
		if err != nil {
			t.Fatal(err)
		}
		m, err := clip.Pair(image, text)
		if err != nil {
			t.Fatal(err)
		}
		return m.Space()
	}
	want := space(func(fstest.MapFS) {})
	if space(func(f fstest.MapFS) { delete(f, "onnx/text_model.onnx") }) != want {
		t.Error("it depends on the text tower that is not used")
	}
	if space(func(f fstest.MapFS) { f["LICENSE"] = words("free") }) != want {
		t.Error("it depends on the licence")
	}
	if space(func(f fstest.MapFS) { f["onnx/vision_model.onnx"] = file(visionGraph(1)) }) == want {
		t.Error("another image tower has the same")
	}
	m, err := clip.Pair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	if was := m.Space(); was != want {
		t.Errorf("%s, not %s", was, want)
	}
	m.Preprocess.Mean[0] += .01
	if m.Space() == want {
		t.Error("another preparation of pictures has the same")
	}
}

// TestPairCopy writes a pair and reads it back: nothing of it has changed.
func TestPairCopy(t *testing.T) {
	m := multilingual(t)
	m.Name = "both"
	dir := filepath.Join(t.TempDir(), "copy")
	if err := m.WriteModel(dir); err != nil {
		t.Fatal(err)
	}
	again, err := clip.ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if again.Name != "both" || again.Space() != m.Space() || again.Dim != 12 || again.LogitScale != m.LogitScale || len(again.Files) != len(m.Files) {
		t.Errorf("%+v was %+v", again, m)
	}
	for _, f := range again.Files {
		if st, err := os.Stat(again.Path(f.Name)); err != nil || st.Size() != f.Bytes {
			t.Errorf("%s lies at %s: %v", f.Name, again.Path(f.Name), err)
		}
		if st, err := os.Stat(m.Path(f.Name)); err != nil || st.Size() != f.Bytes {
			t.Errorf("%s lay at %s: %v", f.Name, m.Path(f.Name), err)
		}
	}
	of, err := clip.Pair(again, again) // neither side is the pair
	if err != nil || of.Space() != m.Space() {
		t.Errorf("a pair of a pair's towers: %.12s, %v, want %.12s", of.Space(), err, m.Space())
	}
	name := filepath.Join(dir, "text", "model.safetensors")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong := again.Verify(); len(wrong) != 1 || !strings.HasPrefix(wrong[0], "text/model.safetensors") {
		t.Errorf("Verify() = %q", wrong)
	}
}

// TestPairWeights writes the two checkpoints again, and refuses where one is graphs.
func TestPairWeights(t *testing.T) {
	dir := t.TempDir()
	if err := multilingual(t).WriteWeights(dir); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"image": "transformers-clip", "text": "multilingual-clip"} {
		got, err := clip.ReadModel(filepath.Join(dir, name), "")
		if err != nil || got.Files[0] != readCheckpoint(t, from).Files[0] {
			t.Errorf("%s: %+v, %v", name, got.Files, err)
		}
	}
	graphs, err := clip.ReadModelFS(wild(), "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := clip.Pair(graphs, readCheckpoint(t, "multilingual-clip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteWeights(t.TempDir()); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "--to onnx") {
		t.Errorf("WriteWeights of graphs: %v", err)
	}
}

func TestPairLicences(t *testing.T) {
	for _, tt := range []struct{ image, text, want string }{
		{"mit", "mit", "mit"}, {"", "", ""},
		{"mit", "apache-2.0", "mit (image tower), apache-2.0 (text tower)"},
		{"", "cc-by-nc-4.0", "not told (image tower), cc-by-nc-4.0 (text tower)"},
	} {
		image, text := readCheckpoint(t, "transformers-clip"), readCheckpoint(t, "multilingual-clip")
		image.Licence, text.Licence = tt.image, tt.text
		if m, err := clip.Pair(image, text); err != nil || m.Licence != tt.want {
			t.Errorf("of %q and %q: %q, %v, want %q", tt.image, tt.text, m.Licence, err, tt.want)
		}
	}
}

// TestNoPair names what cannot be paired.
func TestNoPair(t *testing.T) {
	clip12, texts := readCheckpoint(t, "transformers-clip"), readCheckpoint(t, "multilingual-clip")
	other := texts
	other.Dim = 13
	for _, tt := range []struct {
		image, text clip.Model
		want        string
	}{
		{texts, texts, "has no image tower"},
		{clip12, other, "vectors of 12 numbers and the text tower of multilingual-clip of 13"},
		{clip12, clip.Named("elsewhere", 12), "has no text tower"},
	} {
		if _, err := clip.Pair(tt.image, tt.text); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Pair(%s, %s): %v, want %q", tt.image.Name, tt.text.Name, err, tt.want)
		}
	}
}

// The manifests of a pair, and of either of its sides.
const (
	pairTop  = `{"version":2,"name":"p","layout":"pair","image":"image","text":"text"}`
	pairSide = `{"version":1,"name":"m","dim":8,"context_length":8,"precision":"fp32","preprocess":{"size":8,"resize":"shortest","interpolation":"bicubic","crop_rounding":"floor","mean":[0.1,0.2,0.3],"std":[0.4,0.5,0.6]},"image":"a.onnx","text":"b.onnx","files":[]}`
)

// TestHostilePairs reads manifests that no pair of ours has.
func TestHostilePairs(t *testing.T) {
	const top, side = pairTop, pairSide
	for name, tt := range map[string]struct{ top, image, text, want string }{
		"whole":          {top, side, side, ""},
		"no folder":      {top, side, "", "the folder text"},
		"neither":        {top, "", "", "the folder image"},
		"nested":         {top, top, side, "it is a pair again"},
		"outside":        {`{"version":2,"layout":"pair","image":"../image","text":"text"}`, side, side, "not of a model in"},
		"rooted":         {`{"version":2,"layout":"pair","image":"image","text":"/etc"}`, side, side, "not of a model in"},
		"another layout": {`{"version":2,"layout":"triple","image":"image","text":"text"}`, side, side, "not of a model in"},
		"newer":          {`{"version":3,"layout":"pair","image":"image","text":"text"}`, side, side, "a newer program"},
		"newer side":     {top, `{"version":3}`, side, "a newer program"},
		"escaping side":  {top, strings.Replace(side, "a.onnx", "../../x.onnx", 1), side, "no file below"},
		"escaping file":  {top, strings.Replace(side, "[]", `[{"name":"../x"}]`, 1), side, "no file below"},
		"escaping words": {top, side, strings.Replace(side, `"files"`, `"tokenizer":{"dir":"../image"},"files"`, 1), "no folder below"},
		"other numbers":  {top, side, strings.Replace(side, `"dim":8`, `"dim":9`, 1), "made for another model"},
		"no towers":      {top, side, `{"version":1,"name":"m"}`, "no tower is named"},
	} {
		fsys := fstest.MapFS{}
		for file, data := range map[string]string{"": tt.top, "image/": tt.image, "text/": tt.text} {
			if data != "" {
				fsys[file+clip.ManifestName] = words(data)
			}
		}
		m, err := clip.ReadModelFS(fsys, "")
		if (tt.want == "") != (err == nil) || err != nil && (!errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err == nil && (!m.Paired() || m.Name != "p" || m.Image != "image/a.onnx" || m.Text != "text/b.onnx") {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// FuzzPair reads manifests of any kind: an error is one line of ErrInvalid, and no file
// of what is read lies elsewhere than below its folder.
func FuzzPair(f *testing.F) {
	f.Add(pairTop, pairSide, pairSide)
	f.Add(pairTop, pairTop, pairSide)
	f.Add(strings.Replace(pairTop, "text", "../text", 2), pairSide, pairSide)
	f.Add(pairTop, strings.Replace(pairSide, "[]", `[{"name":"a.onnx","bytes":1,"sha256":"00"},{"name":"b/c"}]`, 1), pairSide)
	f.Fuzz(func(t *testing.T, top, image, text string) {
		m, err := clip.ReadModelFS(fstest.MapFS{
			clip.ManifestName: words(top), "image/" + clip.ManifestName: words(image), "text/" + clip.ManifestName: words(text),
		}, "")
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 {
				t.Errorf("error %.2000v is not one line of ErrInvalid", err)
			}
			return
		}
		m.Space()
		m.Verify()
		for _, f := range m.Files {
			if !fs.ValidPath(f.Name) || m.Paired() && !strings.HasPrefix(f.Name, "image/") && !strings.HasPrefix(f.Name, "text/") {
				t.Errorf("it has the file %q", f.Name)
			}
		}
	})
}
