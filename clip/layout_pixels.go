package clip

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph"
)

// pixels reads the first of f's files that is there; without any it is CLIP's own
// recipe. The size is the graph's where that is told nowhere else.
func (f found) pixels(fsys fs.FS, c config, g graph.Graph) (Preprocess, error) {
	p := Preprocess{
		Size: c.imageSize(), Resize: "shortest", Interpolation: "bicubic", CropRounding: f.crop,
		Mean: [3]float64{0.48145466, 0.4578275, 0.40821073}, Std: [3]float64{0.26862954, 0.26130258, 0.27577711},
	}
	said := false
	for _, name := range f.preprocess {
		var file preprocessFile
		err := readJSON(fsys, name, &file)
		if isMissing(err) {
			continue
		}
		if err == nil {
			err = file.apply(&p)
			said = file.tellsSize()
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
		break
	}
	if side := pictureSide(g); side > 0 && (!said || p.Size == 0) {
		p.Size = side
	}
	if p.Size == 0 {
		return p, fmt.Errorf("how large its pictures are is said neither by %s nor by its graph: %w", strings.Join(append(f.preprocess, "config.json"), " nor "), clipsearch.ErrInvalid)
	}
	return p, nil
}

// pictureSide is the height of the pictures that a graph takes, 0 where any will do.
func pictureSide(g graph.Graph) int {
	in, _ := g.Picture()
	at := 2
	if in.Type == "uint8" {
		at = 1 // the channels are last
	}
	return max(0, in.Dim(at))
}

// preprocessFile holds the keys of preprocess_cfg.json (open_clip, Immich), of
// open_clip_config.json and of preprocessor_config.json (transformers, jina-clip):
// the families' keys do not collide.
type preprocessFile struct {
	Nested        *preprocessFile `json:"preprocess_cfg"`
	Size          json.RawMessage `json:"size"`
	Mean          []float64       `json:"mean"`
	Std           []float64       `json:"std"`
	Interpolation string          `json:"interpolation"`
	ResizeMode    string          `json:"resize_mode"`
	FillColor     json.RawMessage `json:"fill_color"`
	Processor     string          `json:"image_processor_type"`
	Extractor     string          `json:"feature_extractor_type"`
	ImageMean     []float64       `json:"image_mean"`
	ImageStd      []float64       `json:"image_std"`
	CropSize      json.RawMessage `json:"crop_size"`
	Resample      *int            `json:"resample"`
	DoCenterCrop  *bool           `json:"do_center_crop"`
	DoNormalize   *bool           `json:"do_normalize"`
	DoRescale     *bool           `json:"do_rescale"`
	RescaleFactor float64         `json:"rescale_factor"`
}

func (f preprocessFile) tellsSize() bool {
	return len(f.Size) > 0 || f.Nested != nil && len(f.Nested.Size) > 0
}

func (f preprocessFile) apply(p *Preprocess) error {
	if f.Nested != nil {
		p.CropRounding = "round"
		return f.Nested.apply(p)
	}
	if err := f.applySize(p); err != nil {
		return err
	}
	if f.Interpolation != "" {
		p.Interpolation = f.Interpolation
	}
	if f.Resample != nil {
		p.Interpolation = cmp.Or(map[int]string{2: "bilinear", 3: "bicubic"}[*f.Resample], "PIL's number "+fmt.Sprint(*f.Resample))
	}
	for _, list := range []struct {
		to   *[3]float64
		from []float64
	}{{&p.Mean, f.Mean}, {&p.Mean, f.ImageMean}, {&p.Std, f.Std}, {&p.Std, f.ImageStd}} {
		if n := len(list.from); n != 0 && n != 3 {
			return fmt.Errorf("mean or standard deviation of %d channels, not 3: %w", n, clipsearch.ErrInvalid)
		}
		copy(list.to[:], list.from)
	}
	if f.DoNormalize != nil && !*f.DoNormalize {
		p.Mean, p.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	f.rescale(p)
	return p.known()
}

// rescale keeps mean and deviation right for values from 0 to 1 where the recipe
// brings bytes to another range, or leaves them as they are.
func (f preprocessFile) rescale(p *Preprocess) {
	factor := cmp.Or(f.RescaleFactor, 1./255)
	if f.DoRescale != nil && !*f.DoRescale {
		factor = 1
	}
	range1 := factor * 255
	if range1 > 1-1e-6 && range1 < 1+1e-6 {
		return
	}
	for c := range p.Mean {
		p.Mean[c] /= range1
		p.Std[c] /= range1
	}
}

// applySize reads to what size pictures are brought, and how.
func (f preprocessFile) applySize(p *Preprocess) error {
	size, err := readSides(f.Size)
	if err != nil {
		return err
	}
	crop, err := readSides(f.CropSize)
	if err != nil {
		return err
	}
	if size.edge > 0 {
		p.Size = size.edge
	}
	if cut := f.DoCenterCrop == nil || *f.DoCenterCrop; cut && crop.edge > 0 && crop.edge != p.Size {
		if crop.edge > p.Size && p.Size > 0 {
			return fmt.Errorf("pictures are resized to %d and cut to %d, which is more: %w", p.Size, crop.edge, clipsearch.ErrInvalid)
		}
		p.Edge, p.Size = p.Size, crop.edge
	}
	switch {
	case f.ResizeMode != "":
		p.Resize = f.ResizeMode
	case size.apart, f.squashes() && size.edge > 0 && !size.shortest:
		p.Resize = "squash"
	}
	if len(f.FillColor) > 0 && p.Resize == "longest" {
		return f.applyFill(p)
	}
	return nil
}

// squashes reports whether a size that is one number means both sides.
func (f preprocessFile) squashes() bool {
	kind := f.Processor + f.Extractor
	return strings.HasPrefix(kind, "Siglip") || strings.HasPrefix(kind, "ViT")
}

func (f preprocessFile) applyFill(p *Preprocess) error {
	var grey uint8
	var rgb []uint8
	var list []int
	switch {
	case json.Unmarshal(f.FillColor, &grey) == nil:
		p.Fill = [3]uint8{grey, grey, grey}
		return nil
	case json.Unmarshal(f.FillColor, &list) == nil && len(list) == 3:
		for _, v := range list {
			rgb = append(rgb, uint8(min(max(v, 0), 255)))
		}
		p.Fill = [3]uint8(rgb)
		return nil
	}
	return fmt.Errorf("fill_color %.100s is neither a number nor three: %w", f.FillColor, clipsearch.ErrInvalid)
}

func (p Preprocess) known() error {
	switch p.Resize {
	case "", "shortest", "squash", "longest":
	default:
		return fmt.Errorf("resize mode %.100q is none of shortest, squash and longest: %w", p.Resize, clipsearch.ErrInvalid)
	}
	if p.Interpolation != "" && p.Interpolation != "bicubic" && p.Interpolation != "bilinear" {
		return fmt.Errorf("interpolation %.100q is neither bicubic nor bilinear: %w", p.Interpolation, clipsearch.ErrInvalid)
	}
	for c := range p.Std {
		if std := p.Std[c]; std == 0 {
			return fmt.Errorf("standard deviation %v has a zero: %w", p.Std, clipsearch.ErrInvalid)
		} else if !(std > 1e-9 && std < 1e9) || !(math.Abs(p.Mean[c]) < 1e9) { // nor no number at all
			return fmt.Errorf("mean %v and standard deviation %v are none of pictures: %w", p.Mean, p.Std, clipsearch.ErrInvalid)
		}
	}
	return nil
}

// sides is a size as it is written: 224, [224, 224], {"shortest_edge": 224} or
// {"height": 224, "width": 224}.
type sides struct {
	edge     int
	apart    bool // height and width are named
	shortest bool // the shortest edge is
}

// readSides reads a size; none is one of 0.
func readSides(raw json.RawMessage) (s sides, err error) {
	var list []int
	var named struct {
		Shortest int `json:"shortest_edge"`
		Height   int `json:"height"`
		Width    int `json:"width"`
	}
	odd := fmt.Errorf("pictures of %.100s, not of one number of pixels: %w", raw, clipsearch.ErrInvalid)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return s, nil
	case json.Unmarshal(raw, &s.edge) == nil:
	case json.Unmarshal(raw, &list) == nil && len(list) > 0:
		if len(list) > 2 || list[0] != list[len(list)-1] {
			return s, odd
		}
		s.edge = list[0]
	case json.Unmarshal(raw, &named) != nil:
		return s, odd
	case named.Shortest > 0:
		s.edge, s.shortest = named.Shortest, true
	case named.Height != named.Width:
		return s, odd
	default:
		s.edge, s.apart = named.Height, named.Height > 0
	}
	if s.edge < 0 || s.edge > maxSide {
		return s, odd
	}
	return s, nil
}
