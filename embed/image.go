package embed

import (
	"cmp"
	"fmt"
	"image"
	"sync"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/graph"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// imageTower is the image side of a model: its graph's one picture input takes
// float32 [N,3,S,S], or uint8 [N,S,S,3] where it normalizes by itself.
type imageTower struct {
	*lanes
	prep    clip.Preprocess
	size    int
	bytes   bool         // uint8, channels last
	dummies []graph.Port // inputs of the other tower that could not be cut off
	places  int          // patches of a picture, or as many as make a run of a suitable size
	buffers sync.Pool    // of *[]float32, each of a run
}

// imageOutputs names the embedding among a graph's outputs, the best first.
var imageOutputs = []string{"image_embeds", "l2norm_image_embeddings", "image_embeddings", "image_features", "embedding", "output", "pooler_output"}

func (e *Encoder) openImage() (*imageTower, error) {
	if !e.model.Runs() {
		return nil, e.absent()
	}
	if e.model.Image == "" {
		return nil, fmt.Errorf("model %s has no image tower: it reads texts for another model, which its card names (one of OpenAI's CLIPs, as a rule): make a pair of the two with `clipsearch model import IMAGE-MODEL --text %s --out DIR`, or bring vectors of pictures with `clipsearch ingest --vectors`: %w", e.model.Name, e.model.Name, clipsearch.ErrInvalid)
	}
	s, err := e.source(clip.ImageSide)
	if err != nil {
		return nil, err
	}
	out, err := e.output(s, imageOutputs)
	if err != nil {
		return nil, err
	}
	if len(s.Inputs) > 1 {
		s = s.cut(out)
	}
	in, ok := s.Picture()
	if !ok {
		return nil, e.invalid(s, "its inputs are %v, not one picture", s.Inputs)
	}
	t := &imageTower{prep: e.model.Preprocess, size: e.model.Preprocess.Size, bytes: in.Type == "uint8", places: cmp.Or(s.places, unknownPlaces)}
	if err := e.fits(t, s, in); err != nil {
		return nil, err
	}
	names := []string{in.Name}
	for _, p := range s.Inputs {
		if p.Name != in.Name {
			if p.Dim(1) > maxIDs {
				return nil, e.invalid(s, "its input %v is larger than any text", p)
			}
			t.dummies, names = append(t.dummies, p), append(names, p.Name)
		}
	}
	t.lanes = newLanes(e.opts, s.DynamicQuantized || in.Dim(0) == 1, e.loader(clip.ImageSide, &s, names, out, ort.Options{}))
	return t, nil
}

// fits reports why a graph cannot take the pictures that the model prepares.
func (e *Encoder) fits(t *imageTower, s source, in graph.Port) error {
	height, width, channels := in.Dim(2), in.Dim(3), in.Dim(1)
	if t.bytes {
		height, width, channels = in.Dim(1), in.Dim(2), in.Dim(3)
	}
	switch {
	case !t.bytes && in.Type != "float32":
		return e.invalid(s, "it takes %s pictures, not float32 or uint8: take the model's float32 file", in.Type)
	case channels > 0 && channels != 3:
		return e.invalid(s, "it takes pictures as %v, and float32 is fed with channels first, uint8 with channels last", in)
	case in.Dim(0) > 1:
		return e.invalid(s, "it takes exactly %d pictures a run; export it for one or for any number", in.Dim(0))
	case height > 0 && height != t.size || width > 0 && width != t.size:
		return e.invalid(s, "it takes pictures of %d × %d, and the model prepares them with %d pixels a side", height, width, t.size)
	}
	return nil
}

// unknownPlaces is taken for a tower that does not tell: a network of convolutions, or
// an ONNX file of others. It makes runs of four pictures.
const unknownPlaces = places / 4

func (t *imageTower) sizeOf(int) int { return t.places }

// row is how many numbers a picture has.
func (t *imageTower) row() int { return 3 * t.size * t.size }

func (t *imageTower) encode(session *ort.Session, imgs []image.Image) ([][]float32, error) {
	if t.bytes {
		return t.encodeBytes(session, imgs)
	}
	buf, _ := t.buffers.Get().(*[]float32)
	if buf == nil || len(*buf) < len(imgs)*t.row() {
		buf = new(make([]float32, len(imgs)*t.row()))
	}
	defer t.buffers.Put(buf)
	for i, img := range imgs {
		t.prep.Normalize((*buf)[i*t.row():(i+1)*t.row()], t.prep.Fit(img))
	}
	return t.run(session, (*buf)[:len(imgs)*t.row()], len(imgs))
}

func (t *imageTower) encodeBytes(session *ort.Session, imgs []image.Image) ([][]float32, error) {
	buf := make([]uint8, 0, len(imgs)*t.row())
	for _, img := range imgs {
		fitted := t.prep.Fit(img)
		for y := range t.size {
			for pix := fitted.Pix[y*fitted.Stride:][:4*t.size]; len(pix) > 0; pix = pix[4:] {
				buf = append(buf, pix[0], pix[1], pix[2])
			}
		}
	}
	n, s := int64(len(imgs)), int64(t.size)
	return t.feed(session, ort.Tensor{Shape: []int64{n, s, s, 3}, U8: buf})
}

func (t *imageTower) run(session *ort.Session, pixels []float32, n int) ([][]float32, error) {
	if t.bytes {
		return nil, fmt.Errorf("the image tower takes bytes and normalizes by itself, so it cannot be given preprocessed pixels: give it pictures: %w", clipsearch.ErrInvalid)
	}
	s := int64(t.size)
	return t.feed(session, ort.Tensor{Shape: []int64{int64(n), 3, s, s}, F32: pixels})
}

// feed runs the graph, with one text of one id for each picture where it insists on
// texts.
func (t *imageTower) feed(session *ort.Session, pictures ort.Tensor) ([][]float32, error) {
	in := []ort.Tensor{pictures}
	for _, p := range t.dummies {
		n, length := int(pictures.Shape[0]), max(1, p.Dim(1))
		ones := make([]int64, n*length)
		for i := range ones {
			ones[i] = 1
		}
		in = append(in, integers(p, n, length, ones))
	}
	return rows(session.Run(in...))
}

// integers is a tensor of the type that p takes.
func integers(p graph.Port, n, length int, values []int64) ort.Tensor {
	shape := []int64{int64(n), int64(length)}
	if p.Type != "int32" {
		return ort.Tensor{Shape: shape, I64: values}
	}
	narrow := make([]int32, len(values))
	for i, v := range values {
		narrow[i] = int32(v)
	}
	return ort.Tensor{Shape: shape, I32: narrow}
}
