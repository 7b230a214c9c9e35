// Package picture turns the bytes of a file into pixels, and pixels into a
// thumbnail.
//
// It reads JPEG, PNG, GIF (the first frame), WebP, BMP and TIFF, told apart by
// their contents. What it gives is what Pillow's convert("RGB") gives, which the
// published figures of models rest on: chroma is interpolated as libjpeg-turbo
// and libwebp do it, alpha is dropped.
//
// Files come from anywhere. Nothing large is allocated before the header has
// been held against the limit, a panic of a decoder is an error, and every error
// wraps [clipsearch.ErrInvalid] and has one line.
package picture
