package quantize_test

import (
	"encoding/json"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed/doctor"
	"github.com/clipsearch/clipsearch/embed/quantize"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

// backbone is a trained convolutional network: it, and photographs that it has not
// been calibrated on, lie beside the repository where they are at hand.
const (
	backbone = "../../../shared/data/backbones/efficientnet-lite0.onnx"
	flickr   = "../../../shared/data/flickr8k"
)

// TestBackbone holds int8 convolutions to what they were worth on real weights and
// real pictures: see docs/adr/0015-int8-rows.md.
func TestBackbone(t *testing.T) {
	data, err := os.ReadFile(backbone)
	if err != nil {
		t.Skip("the backbone is not beside the repository")
	}
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	var shown []ort.Tensor
	for _, p := range doctor.Photos() {
		shown = append(shown, prepared(p))
	}
	q, layers, err := quantize.Source{Graph: m, Input: "pixel_values", Size: 224}.Quantize(shown)
	if err != nil || layers != 49 {
		t.Fatalf("%d of 49 convolutions are int8: %v", layers, err)
	}
	small, err := q.Marshal()
	if err != nil || len(small) > len(data)*6/10 { // the classifier stays float32
		t.Errorf("%d bytes become %d: %v", len(data), len(small), err)
	}
	want, got := features(t, data, 200), features(t, small, 200)
	cosine, same := 0., 0
	for i := range want {
		cosine += float64(want[i].Dot(got[i])) / float64(len(want))
		if nearest(want, i) == nearest(got, i) {
			same++
		}
	}
	t.Logf("mean cosine %.5f, the same nearest neighbour for %d of %d", cosine, same, len(want))
	if cosine < 0.996 || same < len(want)*85/100 {
		t.Error("int8 has become worse")
	}
}

func prepared(p image.Image) ort.Tensor {
	half := [3]float64{127. / 255, 127. / 255, 127. / 255}
	prep := clip.Preprocess{Size: 224, Mean: half, Std: [3]float64{128. / 255, 128. / 255, 128. / 255}}
	x := make([]float32, 3*224*224)
	prep.Normalize(x, prep.Fit(p))
	return ort.Tensor{Shape: []int64{1, 3, 224, 224}, F32: x}
}

// features are those of the first n test pictures of Flickr8k.
func features(t *testing.T, model []byte, n int) []clipsearch.Vector {
	t.Helper()
	var set struct {
		Images []struct{ Filename, Split string }
	}
	data, err := os.ReadFile(filepath.Join(flickr, "karpathy.json"))
	if err == nil {
		err = json.Unmarshal(data, &set)
	}
	if err != nil {
		t.Skipf("the pictures are not beside the repository: %v", err)
	}
	s, err := ort.Open(model, []string{"pixel_values"}, []string{"features"}, ort.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var list []clipsearch.Vector
	for _, i := range set.Images {
		if i.Split != "test" || len(list) == n {
			continue
		}
		f, err := os.Open(filepath.Join(flickr, "images", i.Filename))
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := image.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(prepared(p))
		if err != nil {
			t.Fatal(err)
		}
		u, err := clipsearch.Unit(out[0].F32)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

func nearest(list []clipsearch.Vector, i int) int {
	best := -1
	for j := range list {
		if j != i && (best < 0 || list[i].Dot(list[j]) > list[i].Dot(list[best])) {
			best = j
		}
	}
	return best
}
