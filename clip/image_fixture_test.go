package clip_test

import (
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/picture"
)

// From a file to what a model sees, held against Pillow and torchvision at the
// size that models have. The smaller cases of TestFitGolden are always there.
func TestFitFixtures(t *testing.T) {
	const dir = "../../shared/fixtures/preprocess"
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Skipf("the fixtures are not there: %v", err)
	}
	var cases []struct {
		Input    string
		Lossless bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		img := decode(t, filepath.Join(dir, "input", c.Input))
		for recipe, resize := range map[string]string{"clip224": "shortest", "squash224": "squash"} {
			got := clip.Preprocess{Size: 224, Resize: resize}.Fit(img)
			want := decode(t, filepath.Join(dir, recipe, c.Input+".png"))
			mean, most := difference(got, want)
			if c.Lossless && most > 0 || mean > 0.1 {
				t.Errorf("%s by %s: differs by %.3f on average, %d at most", c.Input, recipe, mean, most)
			}
		}
	}
}

func decode(t *testing.T, name string) *image.RGBA {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := picture.Decode(file, picture.Options{Upright: true})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return img
}

func difference(a, b *image.RGBA) (mean float64, most int) {
	sum := 0
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		d = max(d, -d)
		sum += d
		most = max(most, d)
	}
	return float64(sum) / float64(len(a.Pix)) * 4 / 3, most
}
