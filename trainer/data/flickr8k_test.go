package data

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	_ "image/jpeg"
	"os"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
)

const flickr8k = "../../../shared/data/flickr8k"

// decodeStd is a decoder for tests: the one of the program is injected by it.
func decodeStd(file []byte) (*image.RGBA, error) {
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	dst := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(dst, dst.Rect, img, img.Bounds().Min, draw.Src)
	return dst, nil
}

func TestFlickr8k(t *testing.T) {
	if _, err := os.Stat(flickr8k + "/karpathy.json"); err != nil {
		t.Skipf("Flickr8k is not at %s", flickr8k)
	}
	for split, want := range map[string]int{"train": 6000, "val": 1000, "test": 1000, "all": 8000} {
		s, err := Read(Options{Data: flickr8k, Split: split})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Items) != want || s.Captions() != 5*want || s.Missing != 0 {
			t.Errorf("%s: %d pictures, %d captions, %d missing, want %d pictures of 5 captions", split, len(s.Items), s.Captions(), s.Missing, want)
		}
	}
	s, err := Read(Options{Data: flickr8k, Split: "val"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLoader(s, LoaderOptions{
		Batch: 32, Seed: 7, Decode: decodeStd,
		Preprocess: clip.Preprocess{Size: 96, Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.5, .5, .5}},
		Augment:    Augment{Scale: [2]float64{.4, 1}, Flip: .5, Brightness: .25},
	})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range l.Batches(context.Background(), 30, 33) { // across the end of an epoch
		if err != nil {
			t.Fatal(err)
		}
		again, err := l.Batch(context.Background(), b.Step)
		if err != nil || !slices.Equal(b.Pixels, again.Pixels) || !slices.Equal(b.Captions, again.Captions) {
			t.Fatalf("step %d is another batch when asked for alone (%v)", b.Step, err)
		}
	}
}
