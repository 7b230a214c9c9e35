package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
)

// unpack writes the files of a txtar into a new folder.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const karpathy = `
-- karpathy.json --
{"dataset": "x", "images": [
 {"filename": "a.jpg", "filepath": "val2014", "split": "test", "sentences": [{"raw": "one"}, {"raw": "two"}]},
 {"filename": "b.jpg", "split": "test", "sentences": [{"raw": "three"}]},
 {"filename": "c.jpg", "split": "train", "sentences": [{"raw": "four"}]}]}
-- val2014/a.jpg --
-- images/a.jpg --
-- images/b.jpg --
-- b.jpg --
-- other/b.jpg --
-- captions_x.json --
{"images": [], "annotations": []}
`

const coco = `
-- captions_val2014.json --
{"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
 "annotations": [{"image_id": 3, "id": 1, "caption": "b one"}, {"image_id": 7, "id": 2, "caption": "a one"}, {"image_id": 3, "id": 3, "caption": "b two"}]}
-- val2014/a.jpg --
-- val2014/b.jpg --
`

const benchmark = `
-- flickr30k_test_karpathy.txt --
image,caption
a.jpg,One, with a comma.
b.jpg,Three

a.jpg,Two
-- a.jpg --
-- b.jpg --
`

const tokens = "-- results_20130124.token --\n" +
	"a.jpg#0\tOne .\na.jpg#1\tTwo .\nb.jpg#0\tThree, a.jpg, too .\n" +
	"-- images/a.jpg --\n-- images/b.jpg --\n"

func TestReadDataset(t *testing.T) {
	type D = eval.Dataset
	item := func(path string, captions ...string) eval.Item { return eval.Item{Path: path, Captions: captions} }
	tests := []struct {
		what, files string
		o           eval.DatasetOptions
		want        D
	}{
		{"Karpathy's JSON", karpathy, eval.DatasetOptions{}, D{Split: "test", Items: []eval.Item{item("val2014/a.jpg", "one", "two"), item("images/b.jpg", "three")}}},
		{"one file of several", karpathy, eval.DatasetOptions{Data: "karpathy.json", Limit: 1}, D{Split: "test", Partial: true, Items: []eval.Item{item("val2014/a.jpg", "one", "two")}}},
		{"pictures elsewhere first", karpathy, eval.DatasetOptions{Images: "other"}, D{Split: "test", Items: []eval.Item{item("val2014/a.jpg", "one", "two"), item("other/b.jpg", "three")}}},
		{"COCO's JSON", coco, eval.DatasetOptions{}, D{Split: "all", Items: []eval.Item{item("val2014/a.jpg", "a one"), item("val2014/b.jpg", "b one", "b two")}}},
		{"CLIP_benchmark's text", benchmark, eval.DatasetOptions{}, D{Split: "test", Items: []eval.Item{item("a.jpg", "One, with a comma.", "Two"), item("b.jpg", "Three")}}},
		{"Flickr's tokens", tokens, eval.DatasetOptions{}, D{Split: "all", Items: []eval.Item{item("images/a.jpg", "One .", "Two ."), item("images/b.jpg", "Three, a.jpg, too .")}}},
		{"missing and allowed", strings.Replace(tokens, "-- images/a.jpg --\n", "", 1), eval.DatasetOptions{AllowMissing: true}, D{Split: "all", Missing: 1, Items: []eval.Item{item("images/b.jpg", "Three, a.jpg, too .")}}},
	}
	for _, tt := range tests {
		dir := unpack(t, tt.files)
		tt.o.Name, tt.o.Data, tt.want.Name = "karpathy", filepath.Join(dir, tt.o.Data), "karpathy"
		if tt.o.Images != "" {
			tt.o.Images = filepath.Join(dir, tt.o.Images)
		}
		for i := range tt.want.Items {
			tt.want.Items[i].Path = filepath.Join(dir, filepath.FromSlash(tt.want.Items[i].Path))
		}
		got, err := eval.ReadDataset(tt.o)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", tt.what, err, diff)
		}
	}
}

func TestReadDatasetRefuses(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(karpathy, old, new, 1) }
	tests := []struct {
		what, files string
		o           eval.DatasetOptions
		says        string
	}{
		{"an empty folder", "", eval.DatasetOptions{}, "none of karpathy.json"},
		{"no folder", "", eval.DatasetOptions{Data: "nowhere"}, "nowhere"},
		{"an unknown name", karpathy, eval.DatasetOptions{Name: "imagenet"}, "flickr8k"},
		{"a wrong split", karpathy, eval.DatasetOptions{Split: "tset"}, "test, train"},
		{"a split of what has none", coco, eval.DatasetOptions{Split: "val"}, "no splits"},
		{"missing pictures", tokens + "-- results_20130124.token --\nx.jpg#0\tx\n", eval.DatasetOptions{}, "1 of 1 pictures"},
		{"no captions", with(`[{"raw": "three"}]`, `[]`), eval.DatasetOptions{}, "b.jpg has no caption"},
		{"no name", with(`"b.jpg"`, `""`), eval.DatasetOptions{}, "no file name"},
		{"broken JSON", with(`]}]}`, `]`), eval.DatasetOptions{}, "not JSON"},
		{"JSON of something else", "-- karpathy.json --\n{\"a\": 1}\n", eval.DatasetOptions{}, "no images"},
		{"a stray caption", strings.Replace(coco, `"image_id": 7`, `"image_id": 8`, 1), eval.DatasetOptions{}, "image 8"},
		{"another text", "-- x_test_karpathy.txt --\na\nb\n", eval.DatasetOptions{}, "line 2"},
		{"two of a kind", "-- captions_a.json --\n-- captions_b.json --\n", eval.DatasetOptions{}, "name one"},
		{"a negative limit", karpathy, eval.DatasetOptions{Limit: -1}, "limit"},
	}
	for _, tt := range tests {
		if tt.o.Name == "" {
			tt.o.Name = "karpathy"
		}
		tt.o.Data = filepath.Join(unpack(t, tt.files), tt.o.Data)
		_, err := eval.ReadDataset(tt.o)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want ErrInvalid that says %q in one line", tt.what, err, tt.says)
		}
	}
}

func TestReadDatasetNamesTheMissing(t *testing.T) {
	var b strings.Builder
	b.WriteString("-- x_test_karpathy.txt --\n")
	for i := range 9 {
		fmt.Fprintf(&b, "%d.jpg,caption\n", i)
	}
	b.WriteString("-- 0.jpg --\n")
	_, err := eval.ReadDataset(eval.DatasetOptions{Name: "coco", Data: unpack(t, b.String())})
	if err == nil || !strings.Contains(err.Error(), "8 of 9") || !strings.Contains(err.Error(), "(1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg)") {
		t.Errorf("error %v, want how many and the first five", err)
	}
}

// COCO's test split has 25,010 captions: some pictures have six, and all count.
func TestReadDatasetKeepsAllCaptions(t *testing.T) {
	data := "../../shared/data/coco_karpathy"
	if _, err := os.Stat(data); err != nil {
		t.Skip("no captions: ../../shared/data is absent")
	}
	all := "-- x --\n"
	b, err := os.ReadFile(filepath.Join(data, "karpathy_test.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Images []struct{ Filename string } }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, m := range file.Images {
		all += "-- " + m.Filename + " --\n"
	}
	d, err := eval.ReadDataset(eval.DatasetOptions{Name: "coco", Data: data, Images: unpack(t, all)})
	n := 0
	for _, it := range d.Items {
		n += len(it.Captions)
	}
	if err != nil || len(d.Items) != 5000 || n != 25010 {
		t.Errorf("%d pictures, %d captions, error %v, want 5000 and 25010", len(d.Items), n, err)
	}
}

// painter "encodes" a picture by its colour and a text by its length.
type painter struct{}

func (painter) Fit(img image.Image) *image.RGBA { return img.(*image.RGBA) }

func (painter) EncodeImages(_ context.Context, imgs []image.Image) (out []clipsearch.Vector, err error) {
	for _, m := range imgs {
		out = append(out, angle(int(m.(*image.RGBA).Pix[0])))
	}
	return out, nil
}

func (painter) EncodeTexts(_ context.Context, texts []string) (out []clipsearch.Vector, err error) {
	for _, t := range texts {
		out = append(out, angle(len(t)))
	}
	return out, nil
}

func angle(n int) clipsearch.Vector {
	v, _ := clipsearch.Unit([]float32{100, float32(n)})
	return v
}

// picture i is of colour i; its caption has i letters.
func numbered(n int) eval.Dataset {
	d := eval.Dataset{Name: "flickr30k", Split: "test"}
	for i := range n {
		d.Items = append(d.Items, eval.Item{Path: fmt.Sprint(i), Captions: []string{strings.Repeat("x", i)}})
	}
	return d
}

func paint(path string) (image.Image, error) {
	var n uint8
	if _, err := fmt.Sscan(path, &n); err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rect(0, 0, 1, 1))
	img.Set(0, 0, color.RGBA{R: n, A: 255})
	return img, nil
}

func TestRun(t *testing.T) {
	last := 0
	o := eval.Options{
		Dataset: numbered(50), Encoder: painter{}, Decode: paint, Model: "ViT-B-32__openai", Threads: 3,
		Progress: func(done, total int) {
			if done <= last || total != 100 {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		},
	}
	r, err := eval.Run(context.Background(), o)
	if err != nil || r.TextToImage.Recall1 != 1 || r.ImageToText.Recall1 != 1 || r.Images != 50 || r.Texts != 50 || !r.Complete || last != 100 {
		t.Errorf("%+v, error %v, want full marks", r, err)
	}
	if r.Published.TextToImage["recall@1"] != .5878 || r.Published.ImageToText["recall@10"] != .982 || r.Published.Source == "" {
		t.Errorf("published figures are %+v", r.Published)
	}
	o.Prompt, o.Progress, o.Dataset.Missing = "a photo of {}", nil, 2 // eleven letters more
	r, err = eval.Run(context.Background(), o)
	if err != nil || r.TextToImage.Recall1 != 1./50 || r.TextToImage.MedianRank < 10 || r.Complete || r.Missing != 2 || r.Published.Source != "" {
		t.Errorf("with a prompt: %+v, error %v", r, err)
	}
}

func TestRunRefuses(t *testing.T) {
	o := eval.Options{Dataset: numbered(40), Encoder: painter{}, Decode: paint, Prompt: "a photo"}
	if _, err := eval.Run(context.Background(), o); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("a prompt without {}: error %v", err)
	}
	o.Prompt = ""
	broken := fmt.Errorf("broken: %w", clipsearch.ErrInvalid)
	o.Decode = func(path string) (image.Image, error) {
		if path == "33" {
			return nil, broken
		}
		return paint(path)
	}
	if _, err := eval.Run(context.Background(), o); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "picture 33") {
		t.Errorf("a broken picture: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := eval.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

func TestReportJSON(t *testing.T) {
	b, err := json.Marshal(retrieve(t, random(1, 20, 60, 4, false), 1))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"dataset", "split", "images", "texts", "model", "complete", "missing", "text_to_image", "image_to_text", "ci95", "published", "seconds"} {
		if got[key] == nil {
			t.Errorf("%s is not in %s", key, b)
		}
	}
	if string(got["published"]) != "{}" {
		t.Errorf("published is %s, want {}", got["published"])
	}
}

func TestReportWrite(t *testing.T) {
	r := retrieve(t, random(1, 20, 60, 4, false), 1)
	r.Model = "a <b> model"
	for name, has := range map[string][]string{
		"r.md":   {"# Retrieval on embeddings: a <b> model", "| R@10 | ", "20 pictures, 60 texts"},
		"r.HTML": {"a &lt;b&gt; model", `<th scope="row">R@10<td>`, "20 pictures, 60 texts"},
	} {
		var b bytes.Buffer
		if err := r.Write(&b, name); err != nil {
			t.Error(err)
		}
		for _, h := range has {
			if !strings.Contains(b.String(), h) {
				t.Errorf("%s lacks %q:\n%s", name, h, b.String())
			}
		}
	}
	if err := r.Write(&bytes.Buffer{}, "r.pdf"); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("a .pdf: error %v", err)
	}
}
