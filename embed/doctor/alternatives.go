package doctor

import (
	"context"
	"fmt"
	"image"
)

// ways lists how else pictures could be prepared.
func (d *doctor) ways() []way {
	p := d.model.Preprocess
	var list []way
	add := func(kind, name string, change func(*way)) {
		w := way{kind: kind, name: name, prep: p}
		change(&w)
		list = append(list, w)
	}
	for _, r := range recipes {
		if !near(p.Mean, r.mean) || !near(p.Std, r.std) {
			add("normalization", fmt.Sprintf("with the mean %.4g and the standard deviation %.4g (%s)", r.mean, r.std, r.name), func(w *way) { w.prep.Mean, w.prep.Std = r.mean, r.std })
		}
	}
	if !near(p.Mean, p.Std) && min(p.Mean[0], p.Mean[1], p.Mean[2]) > 0.01 {
		add("normalization", "with mean and standard deviation exchanged", func(w *way) { w.prep.Mean, w.prep.Std = p.Std, p.Mean })
	}
	if p.Resize == "squash" {
		add("resize", "cut, not squashed", func(w *way) { w.prep.Resize = "shortest" })
	} else {
		add("resize", "squashed, not cut", func(w *way) { w.prep.Resize = "squash" })
	}
	if p.Interpolation == "bilinear" {
		add("interpolation", "resized bicubic", func(w *way) { w.prep.Interpolation = "bicubic" })
	} else {
		add("interpolation", "resized bilinear", func(w *way) { w.prep.Interpolation = "bilinear" })
	}
	add("channels", "as blue, green, red", func(w *way) { w.blueFirst = true })
	return list
}

// An alternative is a finding only where it is better beyond doubt: a dozen of them are
// tried on a dozen pictures, and the right one is never the best at all of these.
const (
	betterBy    = 4    // standard errors of the pairs' difference
	betterShare = 0.25 // of how much pairs stand out
)

// alternatives returns, by kind, what is wrong with how pictures are prepared: another
// way finds the captions clearly better. With untrained towers none can.
func (d *doctor) alternatives(ctx context.Context) map[string]string {
	found := map[string]string{}
	if d.matched.stands == nil || !d.known && !d.learned.both() {
		return found
	}
	best := map[string]float64{}
	for _, w := range d.ways() {
		m, ok := d.matchWith(ctx, w)
		if !ok || m.z < matches {
			continue
		}
		t, share := m.better(d.matched)
		if d.known && (t < betterBy || share < betterShare) || m.z <= best[w.kind] {
			continue
		}
		best[w.kind] = m.z
		found[w.kind] = fmt.Sprintf("pictures prepared %s find their captions clearly better: %.1f standard deviations from chance, and %.1f as the model's files say", w.name, m.z, d.matched.z)
	}
	return found
}

// matchWith compares captions with pictures that are prepared in another way. Where no
// captions find the pictures as they are, which language the tower knows is open.
func (d *doctor) matchWith(ctx context.Context, w way) (matched, bool) {
	a := readAlbum()
	var rows [][]float32
	var err error
	pixels := make([]float32, 0, 3*w.prep.Size*w.prep.Size*len(a.photos))
	fitted := make([]image.Image, len(a.photos))
	for i, img := range a.photos {
		fit := w.prep.Fit(img)
		if w.blueFirst {
			fit = blueFirst(fit)
		}
		fitted[i] = fit
		n := len(pixels)
		pixels = pixels[:n+3*w.prep.Size*w.prep.Size]
		w.prep.Normalize(pixels[n:], fit)
	}
	if rows, err = d.enc.RawPixels(ctx, pixels, len(a.photos)); err != nil {
		if w.prep.Mean != d.model.Preprocess.Mean || w.prep.Std != d.model.Preprocess.Std {
			return matched{}, false // the graph takes bytes, and normalizes by itself
		}
		if rows, err = d.enc.RawImages(ctx, fitted); err != nil {
			return matched{}, false
		}
	}
	best := match(units(rows), d.tried[0])
	for _, captions := range d.tried[1:] {
		if m := match(units(rows), captions); m.z > best.z {
			best = m
		}
	}
	return best, true
}

// sureOfColours is how many standard errors from zero the colours must be.
const sureOfColours = 3

// checkChannels asks in which order the image tower takes the colours. A picture with
// red and blue exchanged is like words for the exchanged colours just as much as the
// picture is like the right ones, so a tower that takes blue first gives the same
// figures with the opposite sign: no bar has to be guessed.
func (d *doctor) checkChannels(ctx context.Context, better string) {
	const name = "channels"
	for file, p := range d.preparations() {
		if p.Flip || p.Mode != "" && p.Mode != "RGB" {
			d.fail(name, "%s asks for another order than red, green, blue, which is not known here", file)
			return
		}
	}
	t, told := 0.0, false
	if d.known && d.language == "en" && !d.quick {
		t, told = d.colours(ctx)
	}
	switch {
	case told && t <= -sureOfColours:
		d.fail(name, "the image tower takes red for blue: words for the exchanged colours fit better (%.1f standard errors): it wants blue, green, red", -t)
	case better != "":
		d.fail(name, "%s", better)
	case told && t >= sureOfColours:
		d.pass(name, "red, green, blue: words for colours fit (%.1f standard errors)", t)
	case d.known && !told:
		d.pass(name, "red, green, blue, as is usual, and captions find their photographs")
	case d.known:
		d.pass(name, "red, green, blue; words for colours do not tell (%.1f standard errors), but captions find their photographs", t)
	default:
		d.unsure(name, "red, green, blue, as is usual; whether the tower was trained so cannot be told")
	}
}

// colours returns how many standard errors the words for colours fit the pictures
// better than the words for the exchanged colours do.
func (d *doctor) colours(ctx context.Context) (t float64, ok bool) {
	a := readAlbum()
	var pictures []image.Image
	var words []string
	for _, c := range a.Colours {
		img := d.enc.Fit(c.picture(a))
		pictures = append(pictures, img, blueFirst(img))
		words = append(words, c.Says, c.Swapped)
	}
	rows, err := d.enc.RawImages(ctx, pictures)
	says := d.encodeTexts(ctx, words)
	if err != nil || says == nil {
		return 0, false
	}
	seen := units(rows)
	fits := make([]float64, len(a.Colours))
	for i := range fits {
		right, exchanged := seen[2*i], seen[2*i+1]
		fits[i] = float64(right.Dot(says[2*i]) - right.Dot(says[2*i+1]) - exchanged.Dot(says[2*i]) + exchanged.Dot(says[2*i+1]))
	}
	mean, e := meanError(fits)
	return mean / (e + 1e-9), true
}
