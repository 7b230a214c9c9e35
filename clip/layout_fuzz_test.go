package clip_test

import (
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

// What each file of a directory of graphs may look like.
const (
	anyConfig     = `{"model_type":"clip","logit_scale_init_value":4.6,"text_config":{"model_type":"x","max_position_embeddings":8},"vision_config":{"image_size":8},"text_cfg":{"context_length":8,"tokenizer_kwargs":{"clean":"lower"}},"vision_cfg":{"image_size":[8,8]}}`
	anyPreprocess = `{"size":{"shortest_edge":8},"crop_size":{"height":8,"width":8},"do_center_crop":true,"do_normalize":true,"do_rescale":true,"rescale_factor":0.5,"resample":2,"image_mean":[0.1,0.2,0.3],"image_std":[0.4,0.5,0.6]}`
	openProcess   = `{"preprocess_cfg":{"size":[8,8],"mean":[0.1,0.2,0.3],"std":[0.4,0.5,0.6],"interpolation":"bicubic","resize_mode":"longest","fill_color":[1,2,3]}}`
	anyManifest   = `{"version":1,"name":"m","layout":"l","dim":8,"context_length":8,"logit_scale":100,"precision":"fp32","preprocess":{"size":8,"resize":"shortest","interpolation":"bicubic","crop_rounding":"floor","mean":[0.1,0.2,0.3],"std":[0.4,0.5,0.6],"edge":9},"image":"onnx/vision_model.onnx","text":"onnx/text_model.onnx","tokenizer":{"dir":"words","clean":"none","pad":0,"pad_to":8},"files":[{"name":"config.json","bytes":2,"sha256":"00"}]}`
)

// readAny reads a directory with these files beside two graphs and prepares a
// picture as they say.
func readAny(t *testing.T, files map[string]string) {
	t.Helper()
	fsys := fstest.MapFS{"onnx/vision_model.onnx": file(visionGraph(0)), "onnx/text_model.onnx": file(textGraph(0))}
	for name, content := range files {
		if content != "" {
			fsys[name] = words(content)
		}
	}
	m, err := clip.ReadModelFS(fsys, "")
	if err != nil {
		if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 {
			t.Errorf("%v: error %.2000v is not one line of ErrInvalid", files, err)
		}
		return
	}
	m.Space()
	if m.Image == "" {
		return
	}
	p := m.Preprocess
	if p.Size > 512 {
		return // it is the limits' to refuse
	}
	img := image.NewRGBA(image.Rect(0, 0, 5, 3))
	img.SetRGBA(1, 1, color.RGBA{200, 100, 50, 255})
	pixels := make([]float32, 3*p.Size*p.Size)
	p.Normalize(pixels, p.Fit(img))
	for _, x := range pixels {
		if x := float64(x); math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("%v: a pixel of %g", files, x)
		}
	}
}

var anyFiles = map[string]string{
	"config.json": anyConfig, "preprocessor_config.json": anyPreprocess, "open_clip_config.json": openProcess, clip.ManifestName: anyManifest,
}

// TestHostileConfigs writes every wrong value in every place of every file, one
// after the other.
func TestHostileConfigs(t *testing.T) {
	readAny(t, map[string]string{})
	for name, content := range anyFiles {
		var v any
		if err := json.Unmarshal([]byte(content), &v); err != nil {
			t.Fatal(err)
		}
		everywhere(v, func(wrong string) {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			readAny(t, map[string]string{name: strings.Replace(string(data), `"here"`, wrong, 1)})
		})
		readAny(t, map[string]string{name: strings.Repeat("[", 1<<20)})
		readAny(t, map[string]string{name: content + strings.Repeat(" ", 17<<20)})
	}
}

// everywhere calls f with each value below v replaced by "here", and with what to
// write there.
func everywhere(v any, f func(wrong string)) {
	put := func(set func(any), was any) {
		everywhere(was, f)
		set("here")
		for _, wrong := range []string{
			`-1`, `0`, `1`, `4097`, `1000000000`, `9223372036854775807`, `9223372036854775808`, `1e-300`, `1e300`, `1e400`, `1.5`, `"x"`, `"../x"`, `"/x"`, `null`, `true`,
			`[]`, `[1]`, `[-1,-1]`, `[1,2]`, `[1e300,1e300,1e300]`, `[1000000000,1000000000]`, `{}`, `{"height":1000000000,"width":1000000000}`, `{"shortest_edge":-3}`,
			`"` + strings.Repeat("a", 100_000) + `"`, `[` + strings.Repeat("1,", 100_000) + `1]`,
		} {
			f(wrong)
		}
		set(was)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, was := range v {
			put(func(x any) { v[key] = x }, was)
		}
	case []any:
		for i, was := range v {
			put(func(x any) { v[i] = x }, was)
		}
	}
}

func FuzzReadModel(f *testing.F) {
	f.Add(anyConfig, anyPreprocess, "", "")
	f.Add(anyConfig, "", openProcess, "")
	f.Add("", "", "", anyManifest)
	f.Fuzz(func(t *testing.T, config, preprocess, open, manifest string) {
		readAny(t, map[string]string{"config.json": config, "preprocessor_config.json": preprocess, "open_clip_config.json": open, clip.ManifestName: manifest})
	})
}
