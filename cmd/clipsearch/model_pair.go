package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed/quantize"
)

var sides = []clip.Side{clip.ImageSide, clip.TextSide}

// readPair reads two models and pairs one's image tower with the other's text tower.
func (a *app) readPair(image, text string) (clip.Model, error) {
	i, err := a.readModel(image)
	if err != nil {
		return i, err
	}
	t, err := a.readModel(text)
	if err != nil && !errors.As(err, new(lacksImages)) {
		return t, err
	}
	return clip.Pair(i, t)
}

// lacksImages is the error of a model of the hub that was read but for its image tower,
// which is in another repository and not installed.
type lacksImages struct{ error }

func (l lacksImages) Unwrap() error { return l.error }

// pairInInt8 returns a pair with both towers in int8: built so, or written below dir. A
// tower that has nothing to be quantized stays as it is, unless the other is so too.
func (a *app) pairInInt8(m clip.Model, dir string) (clip.Model, error) {
	var both [2]clip.Model
	nothing := 0
	for i, s := range sides {
		to := filepath.Join(dir, string(s))
		if err := os.Mkdir(to, 0o755); err != nil {
			return m, err
		}
		var err error
		both[i], err = a.inInt8(m.Side(s), to)
		if errors.Is(err, quantize.ErrNothing) {
			nothing++
			both[i], err = m.Side(s), os.RemoveAll(to)
		}
		if err == nil && nothing == len(sides) {
			err = quantize.ErrNothing
		}
		if err != nil {
			return m, err
		}
	}
	small, err := clip.Pair(both[0], both[1])
	small.Name = m.Name
	return small, err
}

// finishPair writes what pairInInt8 has not: towers that are built from weights or
// stayed as they are, and the manifest.
func finishPair(m clip.Model, dir string) error {
	for _, s := range sides {
		to := filepath.Join(dir, string(s))
		if exists(filepath.Join(to, clip.ManifestName)) {
			continue
		}
		if err := m.Side(s).WriteModel(to); err != nil {
			return err
		}
	}
	return clip.SealPair(dir, m.Name)
}
