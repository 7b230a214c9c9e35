package data

import (
	"image"
	"math"
	"math/rand/v2"
)

// The changes of colour are Pillow's, byte for byte, since it is Pillow's roundings
// that the recipes were found with.

// jitter draws the changes of colour, in the order of their coming.
func (a Augment) jitter(r *rand.Rand) []func(*image.RGBA) {
	factor := func(by float64) float64 {
		lo := max(0, 1-by)
		return lo + (1+by-lo)*r.Float64()
	}
	var changes []func(*image.RGBA)
	add := func(by float64, change func(*image.RGBA, float64)) {
		if f := factor(by); by > 0 {
			changes = append(changes, func(img *image.RGBA) { change(img, f) })
		}
	}
	add(a.Brightness, brighten)
	add(a.Contrast, contrast)
	add(a.Saturation, saturate)
	if turn := a.Hue * (2*r.Float64() - 1); a.Hue > 0 {
		changes = append(changes, func(img *image.RGBA) { turnHue(img, turn) })
	}
	r.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	return changes
}

// each calls f with every pixel.
func each(img *image.RGBA, f func(p []byte)) {
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride:][:4*img.Rect.Dx()]
		for ; len(row) > 0; row = row[4:] {
			f(row[:3:3])
		}
	}
}

// blend returns the value that lies factor of the way from one to another, in Pillow's
// single precision, cut and not rounded.
func blend(from, to byte, factor float32) byte {
	v := float32(from) + float32(factor*(float32(to)-float32(from)))
	return byte(min(max(v, 0), 255))
}

func brighten(img *image.RGBA, factor float64) {
	var table [256]byte
	for v := range table {
		table[v] = blend(0, byte(v), float32(factor))
	}
	each(img, func(p []byte) { p[0], p[1], p[2] = table[p[0]], table[p[1]], table[p[2]] })
}

// contrast moves every value away from the mean brightness, or towards it.
func contrast(img *image.RGBA, factor float64) {
	sum, n := 0, img.Rect.Dx()*img.Rect.Dy()
	if n == 0 {
		return
	}
	each(img, func(p []byte) { sum += int(luma(p)) })
	mean := byte(float64(sum)/float64(n) + 0.5)
	var table [256]byte
	for v := range table {
		table[v] = blend(mean, byte(v), float32(factor))
	}
	each(img, func(p []byte) { p[0], p[1], p[2] = table[p[0]], table[p[1]], table[p[2]] })
}

// saturate moves every pixel away from its grey, or towards it; zero leaves the grey.
func saturate(img *image.RGBA, factor float64) {
	f := float32(factor)
	each(img, func(p []byte) {
		g := luma(p)
		p[0], p[1], p[2] = blend(g, p[0], f), blend(g, p[1], f), blend(g, p[2], f)
	})
}

// luma is ITU-R 601's, in Pillow's fixed point.
func luma(p []byte) byte {
	return byte((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 0x8000) >> 16)
}

// turnHue turns the hue by part of a circle, which is 256 steps.
func turnHue(img *image.RGBA, part float64) {
	steps := byte(int(part * 255))
	each(img, func(p []byte) {
		h, s, v := hsv(p)
		setHSV(p, h+steps, s, v)
	})
}

// hsv returns hue, saturation and value in bytes.
func hsv(p []byte) (h, s, v byte) {
	r, g, b := p[0], p[1], p[2]
	most, least := max(r, g, b), min(r, g, b)
	if most == least {
		return 0, 0, most
	}
	span := float32(most) - float32(least)
	far := func(c byte) float32 { return (float32(most) - float32(c)) / span }
	var hue float32 // in sixths of the circle
	switch most {
	case r:
		hue = far(b) - far(g)
	case g:
		hue = float32(2 + float64(far(r)) - float64(far(b)))
	default:
		hue = float32(4 + float64(far(g)) - float64(far(r)))
	}
	turn := float32(math.Mod(float64(hue)/6+1, 1))
	return byte(int(float64(turn) * 255)), byte(int(float64(span/float32(most)) * 255)), most
}

// setHSV writes the pixel that has these.
func setHSV(p []byte, h, s, v byte) {
	if s == 0 {
		p[0], p[1], p[2] = v, v, v
		return
	}
	at := float64(float32(h)) * 6 / 255
	sixth := math.Floor(at)
	f := float32(at - sixth)
	sat, val := float64(float32(s)/255), float64(v)
	near := func(x float64) byte { return byte(min(max(math.Round(x), 0), 255)) }
	low := near(val * (1 - sat))
	down := near(val * (1 - sat*float64(f)))
	up := near(val * (1 - sat*(1-float64(f))))
	switch int(sixth) % 6 {
	case 0:
		p[0], p[1], p[2] = v, up, low
	case 1:
		p[0], p[1], p[2] = down, v, low
	case 2:
		p[0], p[1], p[2] = low, v, up
	case 3:
		p[0], p[1], p[2] = low, down, v
	case 4:
		p[0], p[1], p[2] = up, low, v
	default:
		p[0], p[1], p[2] = v, low, down
	}
}
