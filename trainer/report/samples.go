package report

import (
	"slices"

	"github.com/clipsearch/clipsearch/trainer"
	"github.com/clipsearch/clipsearch/trainer/data"
)

// How many retrievals are shown, and how much of each.
const (
	textSamples, textHits   = 8, 6
	imageSamples, imageHits = 6, 4
)

// Retrievals picks some of the validation set, evenly spread, and shows what they find
// in all of it. thumb makes a small JPEG of a picture, or nil.
func Retrievals(e trainer.Embedded, thumb func(data.Item) []byte) Samples {
	s := Samples{Pictures: len(e.Items)}
	for i := range min(textSamples, len(e.Captions)) {
		s.Texts = append(s.Texts, textSample(e, i*len(e.Captions)/min(textSamples, len(e.Captions)), thumb))
	}
	for i := range min(imageSamples, len(e.Items)) {
		s.Images = append(s.Images, imageSample(e, (2*i+1)*len(e.Items)/(2*min(imageSamples, len(e.Items))), thumb))
	}
	return s
}

func textSample(e trainer.Embedded, text int, thumb func(data.Item) []byte) TextSample {
	order := nearest(row(e.Texts, text, e.Dim), e.Images, e.Dim)
	own := int(e.Owner[text])
	s := TextSample{Text: e.Captions[text], Rank: slices.Index(order, own) + 1}
	for _, i := range order[:min(textHits, len(order))] {
		s.Hits = append(s.Hits, Picture{e.Items[i].Name, thumb(e.Items[i]), i == own})
	}
	return s
}

func imageSample(e trainer.Embedded, image int, thumb func(data.Item) []byte) ImageSample {
	order := nearest(row(e.Images, image, e.Dim), e.Texts, e.Dim)
	right := func(text int) bool { return int(e.Owner[text]) == image }
	s := ImageSample{Picture: Picture{Name: e.Items[image].Name, JPEG: thumb(e.Items[image])}, Rank: slices.IndexFunc(order, right) + 1}
	for _, t := range order[:min(imageHits, len(order))] {
		s.Hits = append(s.Hits, Caption{e.Captions[t], right(t)})
	}
	return s
}

func row(flat []float32, i, dim int) []float32 { return flat[i*dim : (i+1)*dim] }

// nearest returns the rows of a table by their cosine to v, the largest first.
func nearest(v, table []float32, dim int) []int {
	n := len(table) / dim
	order, scores := make([]int, n), make([]float64, n)
	for i := range order {
		order[i] = i
		for j, x := range row(table, i, dim) {
			scores[i] += float64(x) * float64(v[j])
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return order
}
