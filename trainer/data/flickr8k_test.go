package data

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	_ "image/jpeg"
	"math"
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

// What the cache saves, and what it costs: how far the middle of a picture from the
// cache is from that of its file.
func BenchmarkPicture(b *testing.B) {
	if _, err := os.Stat(flickr8k + "/full50.json"); err != nil {
		b.Skipf("Flickr8k is not at %s", flickr8k)
	}
	s, err := Read(Options{Data: flickr8k + "/full50.json", Images: flickr8k + "/full50", Split: "all"})
	if err != nil {
		b.Fatal(err)
	}
	p := clip.Preprocess{Size: 96, Mean: [3]float64{}, Std: [3]float64{1, 1, 1}}
	cache, err := OpenCache(context.Background(), s, CacheOptions{Dir: b.TempDir(), Size: p.Size, Decode: decodeStd})
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	for name, c := range map[string]*Cache{"file": nil, "cache": cache} {
		b.Run(name, func(b *testing.B) {
			o := LoaderOptions{Batch: 1, Decode: decodeStd, Preprocess: p, Cache: c, Augment: Augment{Scale: [2]float64{.4, 1}, Flip: .5}}
			l, err := NewLoader(s, o)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]float32, l.rowSize())
			for i := 0; b.Loop(); i++ {
				if !l.row(dst, i%len(s.Items), i, 0) {
					b.Fatal("a picture cannot be read")
				}
			}
			b.ReportMetric(l.psnr(b), "dB")
		})
	}
}

// psnr is the mean likeness of whole pictures to those decoded from files; 99 dB at most.
func (l *Loader) psnr(b *testing.B) float64 {
	file, seen := make([]float32, l.rowSize()), make([]float32, l.rowSize())
	sum := 0.
	for i := range l.set.Items {
		if !l.View(file, i, 0) || !l.draw(seen, i, func(img *image.RGBA) *image.RGBA { return l.o.Preprocess.Fit(img) }) {
			b.Fatal("a picture cannot be read")
		}
		wrong := 0.
		for j := range file {
			wrong += float64((file[j] - seen[j]) * (file[j] - seen[j]))
		}
		sum += min(99, -10*math.Log10(wrong/float64(len(file))))
	}
	return sum / float64(len(l.set.Items))
}
