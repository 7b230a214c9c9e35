package clip_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

// wild is a directory in transformers.js style with graphs that have ports and do
// nothing: reading a model looks no further.
func wild() fstest.MapFS {
	return fstest.MapFS{
		"onnx/vision_model.onnx": {Data: visionGraph(0)},
		"onnx/text_model.onnx":   {Data: textGraph(0)},
		"config.json":            {Data: []byte(`{"model_type":"clip","text_config":{"max_position_embeddings":77},"vision_config":{"image_size":32}}`)},
		"preprocessor_config.json": {Data: []byte(`{"size":{"shortest_edge":32},"crop_size":{"height":32,"width":32},"do_center_crop":true,
			"resample":2,"image_mean":[0.1,0.2,0.3],"image_std":[0.4,0.5,0.6]}`)},
	}
}

func TestReadLayout(t *testing.T) {
	m, err := clip.ReadModelFS(wild(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := clip.Preprocess{
		Size: 32, Resize: "shortest", Interpolation: "bilinear", CropRounding: "floor",
		Mean: [3]float64{.1, .2, .3}, Std: [3]float64{.4, .5, .6},
	}
	if diff := cmp.Diff(want, m.Preprocess); diff != "" {
		t.Errorf("preprocessing (-want +got):\n%s", diff)
	}
	if m.Layout != "transformers.js" || m.Image != "onnx/vision_model.onnx" || m.Text != "onnx/text_model.onnx" || m.ContextLength != 77 || m.Precision != "fp32" {
		t.Errorf("model %+v", m)
	}
	if m.Tokenizer.Dir != "" {
		t.Errorf("a tokenizer in %q, where there is none", m.Tokenizer.Dir)
	}
	if _, err := m.OpenTokenizer(); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("OpenTokenizer without one: %v is not ErrInvalid", err)
	}
}

func TestPreprocessFiles(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     clip.Preprocess
		fails    string
	}{
		{name: "squash", in: `{"size":{"height":48,"width":48},"resample":3,"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5]}`,
			want: clip.Preprocess{Size: 48, Resize: "squash", Interpolation: "bicubic", CropRounding: "floor", Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.5, .5, .5}}},
		{name: "no normalization", in: `{"size":40,"do_normalize":false,"resample":3}`,
			want: clip.Preprocess{Size: 40, Resize: "shortest", Interpolation: "bicubic", CropRounding: "floor", Std: [3]float64{1, 1, 1}}},
		{name: "another crop", in: `{"size":{"shortest_edge":40},"crop_size":32,"do_center_crop":true,"image_mean":[0,0,0],"image_std":[1,1,1]}`,
			want: clip.Preprocess{Size: 32, Edge: 40, Resize: "shortest", Interpolation: "bicubic", CropRounding: "floor", Std: [3]float64{1, 1, 1}}},
		{name: "a crop that is not done", in: `{"size":{"shortest_edge":40},"crop_size":32,"do_center_crop":false,"do_normalize":false}`,
			want: clip.Preprocess{Size: 40, Resize: "shortest", Interpolation: "bicubic", CropRounding: "floor", Std: [3]float64{1, 1, 1}}},
		{name: "a larger crop", in: `{"size":{"shortest_edge":32},"crop_size":40}`, fails: "resized to 32 and cut to 40"},
		{name: "both sides named, and a crop", in: `{"size":{"height":32,"width":32},"crop_size":{"height":32,"width":32},"do_center_crop":true,"do_normalize":false}`,
			want: clip.Preprocess{Size: 32, Resize: "squash", Interpolation: "bicubic", CropRounding: "floor", Std: [3]float64{1, 1, 1}}},
		{name: "sides that differ", in: `{"size":{"height":32,"width":48}}`, fails: "not of one number of pixels"},
		{name: "SigLIP's number", in: `{"size":32,"image_processor_type":"SiglipImageProcessor","do_normalize":false}`,
			want: clip.Preprocess{Size: 32, Resize: "squash", Interpolation: "bicubic", CropRounding: "floor", Std: [3]float64{1, 1, 1}}},
		{name: "bytes as they are", in: `{"size":32,"do_rescale":false,"image_mean":[127.5,127.5,127.5],"image_std":[51,51,51]}`,
			want: clip.Preprocess{Size: 32, Resize: "shortest", Interpolation: "bicubic", CropRounding: "floor", Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.2, .2, .2}}},
		{name: "jina's keys", in: `{"size":48,"mean":[0,0,0],"std":[1,1,1],"resize_mode":"longest","interpolation":"bilinear","fill_color":[1,2,3]}`,
			want: clip.Preprocess{Size: 48, Resize: "longest", Interpolation: "bilinear", CropRounding: "floor", Std: [3]float64{1, 1, 1}, Fill: [3]uint8{1, 2, 3}}},
		{name: "another mode", in: `{"size":48,"resize_mode":"stretch"}`, fails: "none of shortest, squash and longest"},
		{name: "another interpolation", in: `{"size":32,"resample":1}`, fails: "neither bicubic nor bilinear"},
		{name: "zero deviation", in: `{"size":32,"resample":3,"image_std":[0,1,1]}`, fails: "has a zero"},
		{name: "no JSON", in: `{"size":`, fails: "preprocessor_config.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := wild()
			fsys["preprocessor_config.json"] = &fstest.MapFile{Data: []byte(tt.in)}
			m, err := clip.ReadModelFS(fsys, "")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || !errors.Is(err, clipsearch.ErrInvalid) {
					t.Errorf("error %v does not say %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, m.Preprocess); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestSpace: whatever decides a vector changes the space, and nothing else does.
func TestSpace(t *testing.T) {
	m, err := clip.ReadModelFS(wild(), "")
	if err != nil {
		t.Fatal(err)
	}
	same := m
	same.Name, same.Licence, same.LogitScale = "another", "another", 7
	if same.Space() != m.Space() {
		t.Error("name, licence and logit_scale change the space")
	}
	same.Files = append([]clip.File{{Name: "LICENSE.model", SHA256: "1"}, {Name: "docs/MODEL_CARD.md", SHA256: "2"}}, same.Files...)
	if same.Space() != m.Space() {
		t.Error("what people read changes the space")
	}
	for name, change := range map[string]func(*clip.Model){
		"interpolation": func(m *clip.Model) { m.Preprocess.Interpolation = "bicubic" },
		"mean":          func(m *clip.Model) { m.Preprocess.Mean[0] = .11 },
		"precision":     func(m *clip.Model) { m.Precision = "int8" },
		"cleaning":      func(m *clip.Model) { m.Tokenizer.Clean = "canonicalize" },
		"a file":        func(m *clip.Model) { m.Files = append([]clip.File{{Name: "x", SHA256: "1"}}, m.Files...) },
	} {
		other := m
		if change(&other); other.Space() == m.Space() {
			t.Errorf("%s does not change the space", name)
		}
	}
}

// TestWriteModel: a copy is the same model, and damage to it is seen.
func TestWriteModel(t *testing.T) {
	m, err := clip.ReadModelFS(wild(), "")
	if err != nil {
		t.Fatal(err)
	}
	m.Name, m.Dim = "tiny", 24
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteModel(dir); err != nil {
		t.Fatal(err)
	}
	got, err := clip.ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Space() != m.Space() || got.Name != "tiny" || got.Dim != 24 || len(got.Verify()) != 0 {
		t.Errorf("the copy is %+v with %v", got, got.Verify())
	}
	if err := os.WriteFile(got.Path(got.Image), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong := got.Verify(); len(wrong) != 1 || !strings.Contains(wrong[0], "onnx/vision_model.onnx") {
		t.Errorf("Verify says %q of a damaged image tower", wrong)
	}
	if _, err := clip.ReadModel(dir, ""); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "onnx/vision_model.onnx") {
		t.Errorf("ReadModel of a damaged model: %v", err)
	}
}

func TestReadModelMistakes(t *testing.T) {
	manifest := func(change func(map[string]any)) fstest.MapFS {
		m := map[string]any{"version": 1, "name": "x", "image": "i.onnx", "preprocess": map[string]any{"size": 32, "std": []int{1, 1, 1}}}
		change(m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return fstest.MapFS{clip.ManifestName: {Data: data}}
	}
	for name, fsys := range map[string]fstest.MapFS{
		"empty":               {},
		"newer":               manifest(func(m map[string]any) { m["version"] = 2 }),
		"no image tower":      manifest(func(m map[string]any) { m["image"] = "" }),
		"out of the folder":   manifest(func(m map[string]any) { m["image"] = "../i.onnx" }),
		"file out of it":      manifest(func(m map[string]any) { m["files"] = []any{map[string]any{"name": "/etc/passwd"}} }),
		"pictures of no size": manifest(func(m map[string]any) { m["preprocess"] = map[string]any{"size": 0} }),
		"zero deviation":      manifest(func(m map[string]any) { m["preprocess"] = map[string]any{"size": 32} }),
		"no JSON":             {clip.ManifestName: {Data: []byte("{")}},
	} {
		if _, err := clip.ReadModelFS(fsys, ""); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v is not ErrInvalid", name, err)
		}
	}
	if _, err := clip.ReadModelFS(manifest(func(map[string]any) {}), ""); err != nil {
		t.Errorf("a good manifest: %v", err)
	}
	if _, err := clip.ReadModelFS(wild(), "int8"); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("int8 of a model that has fp32 alone: %v", err)
	}
}

func FuzzReadModelFS(f *testing.F) {
	f.Add([]byte(`{"version":1,"image":"i.onnx","preprocess":{"size":32},"files":[{"name":"i.onnx"}]}`), []byte(`{"size":[3,4]}`))
	f.Add([]byte(``), []byte(`{"size":{"height":48,"width":48},"resample":9}`))
	f.Fuzz(func(t *testing.T, manifest, preprocess []byte) {
		fsys := wild()
		fsys["preprocessor_config.json"] = &fstest.MapFile{Data: preprocess}
		if len(manifest) > 0 {
			fsys[clip.ManifestName] = &fstest.MapFile{Data: manifest}
		}
		m, err := clip.ReadModelFS(fsys, "")
		if err == nil {
			m.Space()
			m.Verify()
		}
	})
}

// What PyTorch pickled is named, with the way out, where there is nothing else.
func TestReadPickles(t *testing.T) {
	for _, name := range []string{"pytorch_model.bin", "open_clip_pytorch_model.bin", "ViT-B-32.pt"} {
		fsys := fstest.MapFS{"config.json": {Data: []byte(`{"model_type":"clip"}`)}, "open_clip_config.json": {Data: []byte(`{}`)}, name: {Data: []byte("PK\x03\x04")}}
		_, err := clip.ReadModelFS(fsys, "")
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), `"`+name+`" is a pickle, which can run any program`) {
			t.Errorf("a directory with %s: %v", name, err)
		}
	}
}
