package embed

import (
	"fmt"
	"image"
	"io/fs"
	"slices"
	"sync"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// imageTower is the image side of a model: its graph's one picture input takes
// float32 [N,3,S,S], or uint8 [N,S,S,3] where it normalizes by itself.
type imageTower struct {
	session *ort.Session
	prep    clip.Preprocess
	size    int
	batch   int
	bytes   bool      // uint8, channels last
	buffers sync.Pool // of *[]float32, each of a full batch
}

// imageOutputs and textOutputs name the embedding among a graph's outputs, the
// best first; without any of them it is the only output of two dimensions.
var (
	imageOutputs = []string{"image_embeds", "embedding", "output", "l2norm_image_embeddings", "pooler_output"}
	textOutputs  = []string{"text_embeds", "embedding", "output", "l2norm_text_embeddings", "pooler_output"}
	idInputs     = []string{"input_ids", "text", "input"}
)

// absent is the error of a model that cannot be run.
func (e *Encoder) absent() error {
	return fmt.Errorf("model %s is known by vectors that were made elsewhere, and cannot be run: search with --mode text or `clipsearch similar ID`, and bring more vectors with `clipsearch ingest --vectors`: %w",
		e.model.Name, clipsearch.ErrInvalid)
}

func (e *Encoder) openImage() (*imageTower, error) {
	if !e.model.Runs() {
		return nil, e.absent()
	}
	g, err := e.inspect(clip.ImageSide, e.model.Image)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(g.Inputs, func(p ort.Port) bool { return len(p.Shape) == 4 })
	if i < 0 || len(g.Inputs) != 1 {
		return nil, fmt.Errorf("%s of model %s: its inputs are %v, not one picture: %w", e.model.Image, e.model.Name, g.Inputs, clipsearch.ErrInvalid)
	}
	in, out := g.Inputs[i], ""
	if out, err = output(g, imageOutputs); err != nil {
		return nil, fmt.Errorf("%s of model %s: %w", e.model.Image, e.model.Name, err)
	}
	t := &imageTower{prep: e.model.Preprocess, size: e.model.Preprocess.Size, batch: e.opts.Batch, bytes: in.Type == "uint8"}
	if !t.bytes && in.Type != "float32" {
		return nil, fmt.Errorf("%s of model %s takes %s pictures, not float32 or uint8: %w", e.model.Image, e.model.Name, in.Type, clipsearch.ErrInvalid)
	}
	if n := in.Shape[0]; n > 0 {
		t.batch = int(n)
	}
	if side := in.Shape[2]; side > 0 {
		if t.size == 0 {
			t.size, t.prep.Size = int(side), int(side)
		}
		if int64(t.size) != side {
			return nil, fmt.Errorf("model %s prepares pictures of %d pixels, but %s takes %d: %w", e.model.Name, t.size, e.model.Image, side, clipsearch.ErrInvalid)
		}
	}
	t.session, err = e.session(clip.ImageSide, e.model.Image, []string{in.Name}, out)
	return t, err
}

// row is how many numbers a picture has.
func (t *imageTower) row() int { return 3 * t.size * t.size }

func (t *imageTower) encode(imgs []image.Image) ([][]float32, error) {
	if t.bytes {
		return t.encodeBytes(imgs)
	}
	buf, _ := t.buffers.Get().(*[]float32)
	if buf == nil {
		buf = new(make([]float32, t.batch*t.row()))
	}
	defer t.buffers.Put(buf)
	for i, img := range imgs {
		t.prep.Normalize((*buf)[i*t.row():(i+1)*t.row()], t.prep.Fit(img))
	}
	return t.run((*buf)[:len(imgs)*t.row()], len(imgs))
}

func (t *imageTower) encodeBytes(imgs []image.Image) ([][]float32, error) {
	buf := make([]uint8, 0, len(imgs)*t.row())
	for _, img := range imgs {
		pix := t.prep.Fit(img).Pix
		for ; len(pix) > 0; pix = pix[4:] {
			buf = append(buf, pix[0], pix[1], pix[2])
		}
	}
	n, s := int64(len(imgs)), int64(t.size)
	return rows(t.session.Run(ort.Tensor{Shape: []int64{n, s, s, 3}, U8: buf}))
}

func (t *imageTower) run(pixels []float32, n int) ([][]float32, error) {
	if t.bytes {
		return nil, fmt.Errorf("the image tower takes bytes and normalizes by itself, so it cannot be given preprocessed pixels: %w", clipsearch.ErrInvalid)
	}
	s := int64(t.size)
	return rows(t.session.Run(ort.Tensor{Shape: []int64{int64(n), 3, s, s}, F32: pixels}))
}

// textTower is the text side of a model.
type textTower struct {
	session *ort.Session
	words   *clip.Tokenizer
	noWords error // why words is nil
	narrow  bool  // int32 ids
	masked  bool  // the graph asks for an attention mask
	batch   int
	length  int // every row has it; 0: as long as the longest of the batch
	limit   int // no row is longer; 0: unknown
	pad     int64
}

func (e *Encoder) openText() (*textTower, error) {
	if !e.model.Runs() {
		return nil, e.absent()
	}
	if e.model.Text == "" {
		return nil, fmt.Errorf("model %s has no text tower: %w", e.model.Name, clipsearch.ErrInvalid)
	}
	g, err := e.inspect(clip.TextSide, e.model.Text)
	if err != nil {
		return nil, err
	}
	t := &textTower{batch: e.opts.Batch, length: e.model.Tokenizer.PadTo, limit: e.model.ContextLength, pad: e.model.Tokenizer.Pad}
	names, err := t.ports(g)
	if err != nil {
		return nil, fmt.Errorf("%s of model %s: %w", e.model.Text, e.model.Name, err)
	}
	out, err := output(g, textOutputs)
	if err != nil {
		return nil, fmt.Errorf("%s of model %s: %w", e.model.Text, e.model.Name, err)
	}
	if g.DynamicQuantized {
		t.batch = 1 // its scales are taken from all rows, so a vector would depend on its neighbours
	}
	if t.words, err = e.model.OpenTokenizer(); err != nil {
		t.noWords = err
	}
	t.session, err = e.session(clip.TextSide, e.model.Text, names, out)
	return t, err
}

// ports learns the inputs of g and returns their names, ids first.
func (t *textTower) ports(g ort.Graph) ([]string, error) {
	var ids *ort.Port
	for _, name := range idInputs {
		if i := slices.IndexFunc(g.Inputs, func(p ort.Port) bool { return p.Name == name }); i >= 0 {
			ids = &g.Inputs[i]
			break
		}
	}
	if ids == nil || len(ids.Shape) != 2 || ids.Type != "int64" && ids.Type != "int32" {
		return nil, fmt.Errorf("its inputs are %v, none of them token ids: %w", g.Inputs, clipsearch.ErrInvalid)
	}
	t.narrow = ids.Type == "int32"
	if ids.Shape[0] > 0 {
		t.batch = int(ids.Shape[0])
	}
	if ids.Shape[1] > 0 {
		t.length, t.limit = int(ids.Shape[1]), int(ids.Shape[1])
	}
	names := []string{ids.Name}
	for _, p := range g.Inputs {
		switch p.Name {
		case ids.Name:
		case "attention_mask":
			t.masked = true
			names = append(names, p.Name)
		default:
			return nil, fmt.Errorf("its input %s is not known here: %w", p.Name, clipsearch.ErrInvalid)
		}
	}
	return names, nil
}

// run encodes rows of ids. Without a mask, a tower that asks for one gets ones
// where the row is and zeros where it is padded.
func (t *textTower) run(ids, mask [][]int64) ([][]float32, error) {
	n, length := len(ids), t.length
	for _, row := range ids {
		length = max(length, len(row))
	}
	if t.limit > 0 && length > t.limit {
		return nil, fmt.Errorf("a text of %d ids is longer than the model's %d: %w", length, t.limit, clipsearch.ErrInvalid)
	}
	if mask != nil && !t.masked {
		return nil, fmt.Errorf("the text tower takes no attention mask: %w", clipsearch.ErrInvalid)
	}
	flat, ones := make([]int64, n*length), make([]int64, n*length)
	for i, row := range ids {
		for j := range length {
			at := i*length + j
			switch {
			case j >= len(row):
				flat[at] = t.pad
			case mask == nil:
				flat[at], ones[at] = row[j], 1
			default:
				flat[at], ones[at] = row[j], mask[i][j]
			}
		}
	}
	inputs := []ort.Tensor{t.tensor(n, length, flat)}
	if t.masked {
		inputs = append(inputs, t.tensor(n, length, ones))
	}
	return rows(t.session.Run(inputs...))
}

func (t *textTower) tensor(n, length int, values []int64) ort.Tensor {
	shape := []int64{int64(n), int64(length)}
	if !t.narrow {
		return ort.Tensor{Shape: shape, I64: values}
	}
	narrow := make([]int32, len(values))
	for i, v := range values {
		narrow[i] = int32(v)
	}
	return ort.Tensor{Shape: shape, I32: narrow}
}

// output picks the embedding among the outputs of g.
func output(g ort.Graph, names []string) (string, error) {
	for _, name := range names {
		if slices.ContainsFunc(g.Outputs, func(p ort.Port) bool { return p.Name == name }) {
			return name, nil
		}
	}
	var flat []string
	for _, p := range g.Outputs {
		if len(p.Shape) == 2 {
			flat = append(flat, p.Name)
		}
	}
	if len(flat) != 1 {
		return "", fmt.Errorf("its outputs are %v, and which is the embedding cannot be told: %w", g.Outputs, clipsearch.ErrInvalid)
	}
	return flat[0], nil
}

// rows cuts the first output of a run, [N,D], into its rows.
func rows(out []ort.Tensor, err error) ([][]float32, error) {
	if err != nil {
		return nil, err
	}
	if len(out) != 1 || len(out[0].Shape) != 2 || out[0].F32 == nil {
		return nil, fmt.Errorf("the graph answers %d tensors, not one of float32 [N,D]: %w", len(out), clipsearch.ErrInvalid)
	}
	n, d := int(out[0].Shape[0]), int(out[0].Shape[1])
	cut := make([][]float32, n)
	for i := range cut {
		cut[i] = out[0].F32[i*d : (i+1)*d : (i+1)*d]
	}
	return cut, nil
}

func (e *Encoder) inspect(side clip.Side, name string) (ort.Graph, error) {
	var g ort.Graph
	path, data, err := e.graph(side, name)
	switch {
	case err != nil:
	case data != nil:
		g, err = ort.Inspect(data)
	default:
		g, err = ort.InspectFile(path)
	}
	if err != nil {
		return g, fmt.Errorf("read %s of model %s: %w", name, e.model.Name, err)
	}
	return g, nil
}

// graph returns the ONNX file of a tower: where it lies, or its bytes.
func (e *Encoder) graph(side clip.Side, name string) (path string, data []byte, err error) {
	if e.model.Built() {
		m, err := e.model.BuildGraph(side)
		if err != nil {
			return "", nil, err
		}
		data, err = m.Marshal()
		return "", data, err
	}
	if path = e.model.Path(name); path != "" {
		return path, nil, nil
	}
	data, err = fs.ReadFile(e.model.FS(), name)
	return "", data, err
}

func (e *Encoder) session(side clip.Side, name string, in []string, out string) (*ort.Session, error) {
	library, err := e.opts.Library()
	if err != nil {
		return nil, err
	}
	if err := ort.Init(library); err != nil {
		return nil, err
	}
	var s *ort.Session
	o := ort.Options{
		Threads:   e.opts.Threads,
		Once:      e.opts.Once,
		ExactInt8: e.model.Precision == "int8" && !slices.Contains(e.model.ExactInt8, name),
		Weights:   e.model.WeightsDir(),
	}
	path, data, err := e.graph(side, name)
	switch {
	case err != nil:
	case data != nil:
		s, err = ort.Open(data, in, []string{out}, o)
	default:
		o.Weights = ""
		s, err = ort.OpenFile(path, in, []string{out}, o)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s of model %s: %w", name, e.model.Name, err)
	}
	return s, nil
}
