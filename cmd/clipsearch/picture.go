package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/picture"
)

// maxFile is the largest picture file that is read into memory.
const maxFile = 512 << 20

// decodeFile reads and decodes a picture; upright turns it by its EXIF
// orientation.
func decodeFile(name string, upright bool) (*image.RGBA, error) {
	data, err := readPictureFile(name)
	if err != nil {
		return nil, err
	}
	img, _, err := picture.Decode(data, picture.Options{Upright: upright})
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	return img, nil
}

func readPictureFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, mistake("read picture: %v", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, mistake("read picture %s: %v", name, err)
	}
	if len(data) > maxFile {
		return nil, mistake("picture %s is larger than %d MB", name, maxFile>>20)
	}
	return data, nil
}

// encodeFile returns the vector of a picture file's bytes, upright.
func encodeFile(ctx context.Context, enc *embed.Encoder, file []byte, name string) (clipsearch.Vector, error) {
	img, _, err := picture.Decode(file, picture.Options{Upright: true})
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", filepath.Base(name), err)
	}
	v, err := enc.EncodeImages(ctx, []image.Image{img})
	if err != nil {
		return nil, err
	}
	return v[0], nil
}
