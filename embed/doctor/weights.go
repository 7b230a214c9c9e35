package doctor

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
)

// learned says how far the weights of each tower go beyond chance; 0 is unknown.
type learned map[string]float64

func (l learned) both() bool { return l[imageTower] >= learnedAt && l[textTower] >= learnedAt }

// says is the finding in words.
func (l learned) says(tower string) string {
	switch x := l[tower]; {
	case x == 0:
		return fmt.Sprintf("whether the %s tower has been trained cannot be told", tower)
	case x < learnedAt:
		return fmt.Sprintf("the %s tower looks untrained (its weights are as random ones: %.2f)", tower, x)
	default:
		return fmt.Sprintf("the %s tower has been trained (%.1f)", tower, x)
	}
}

// weighed is what a walk through a model's weights found.
type weighed struct {
	tensors int
	numbers int64
	wrong   []string
	towers  map[string][]float64 // how far their matrices go beyond chance
	scale   *float64             // the parameter logit_scale, a logarithm
	places  int64                // of a text tower whose texts fill all places that it has learned
}

// placeTables are what transformers and open_clip call the learned places of CLIP's and
// SigLIP's text towers. BERT's, which are called otherwise, are more than its texts use.
var placeTables = []string{"text_model.embeddings.position_embedding.weight", "positional_embedding", "text.positional_embedding"}

// checkFiles compares the files with the manifest and reads every weight in them.
func (d *doctor) checkFiles() {
	if d.listed { // else they have just been hashed
		if wrong := d.model.Verify(); len(wrong) > 0 {
			d.fail("files", "%s: get the model again", some(wrong))
		} else {
			d.pass("files", "%d files are what the manifest says", len(d.model.Files))
		}
	} else {
		d.pass("files", "%d files, layout %s", len(d.model.Files), d.model.Layout)
	}
	w := weighed{towers: map[string][]float64{}}
	for _, f := range d.model.Files {
		if err := w.file(d.model, f.Name); err != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %v", f.Name, err))
		}
	}
	d.learned, d.scale, d.places = learned{}, w.scale, int(w.places)
	for tower, list := range w.towers {
		slices.Sort(list)
		d.learned[tower] = list[len(list)/2]
	}
	switch {
	case len(w.wrong) > 0:
		d.fail("weights", "%s", some(w.wrong))
	case w.tensors == 0:
		d.unsure("weights", "none were found to look at")
	default:
		d.pass("weights", "%d numbers in %d tensors are finite, and no scale is zero", w.numbers, w.tensors)
	}
}

// some joins the first few of a list.
func some(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(list[:most], "; "), len(list)-most)
	}
	return strings.Join(list, "; ")
}

func (w *weighed) file(m clip.Model, name string) error {
	switch path.Ext(name) {
	case ".safetensors":
		return w.safetensors(m, name)
	case ".onnx":
		return w.onnx(m, name)
	}
	return nil
}

// safetensorKinds are the types that matter here; the rest are integers.
var safetensorKinds = map[string]kind{"F64": float64s, "F32": float32s, "F16": float16s, "BF16": bfloat16s, "I8": int8s, "U8": uint8s}

func (w *weighed) safetensors(m clip.Model, name string) error {
	weights, err := clip.OpenWeights(m.FS(), name)
	if err != nil {
		return err
	}
	defer weights.Close()
	side := ""
	if m.Paired() {
		side, _, _ = strings.Cut(name, "/")
	}
	var list []tensor
	for _, name := range weights.Names() {
		if foreign(side, name) {
			continue
		}
		t, _ := weights.Tensor(name)
		raw, err := weights.Raw(t)
		if err != nil {
			return err
		}
		shape := make([]int64, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int64(d)
		}
		list = append(list, tensor{name: name, kind: safetensorKinds[t.Type], shape: shape, at: raw, bytes: t.Bytes})
	}
	return w.walk(list, nil, side)
}

// foreign reports whether a tensor of one of a pair is of the tower that the pair does
// not have from there.
func foreign(side, tensor string) bool {
	of := towerOf(tensor)
	switch side {
	case imageTower:
		return of == textTower || slices.Contains(placeTables, tensor)
	case textTower:
		return of == imageTower || tensor == "logit_scale"
	}
	return false
}

func (w *weighed) onnx(m clip.Model, name string) error {
	data, err := fs.ReadFile(m.FS(), name)
	if err != nil {
		return err
	}
	beside := besides{fsys: m.FS(), dir: path.Dir(name)}
	defer beside.close()
	g, err := readONNX(data, &beside)
	if err != nil {
		return err
	}
	only := ""
	if m.Image != m.Text {
		only = map[string]string{m.Image: imageTower, m.Text: textTower}[name]
	}
	return w.walk(g.tensors, g.scales, only)
}

// walk reads all numbers of the tensors. tower says whose they are, where one file
// is one tower.
func (w *weighed) walk(list []tensor, scales map[string]bool, tower string) error {
	groups := map[string][]tensor{}
	for _, t := range list {
		if why := t.whole(); why != "" {
			w.wrong = append(w.wrong, why)
			continue
		}
		if err := w.tensor(t, scales[t.name] || quantizes(t.name, list)); err != nil {
			return err
		}
		of := tower
		if of == "" {
			of = towerOf(t.name)
		}
		groups[of] = append(groups[of], t)
	}
	for of, group := range groups {
		x, err := learning(group)
		if err != nil {
			return err
		}
		if x > 0 && of != "" {
			w.towers[of] = append(w.towers[of], x)
		}
	}
	return nil
}

// quantizes reports whether a weight is a scale by ONNX Runtime's way to name them: its
// quantizers of activations multiply scales, and no operator tells them from other factors.
func quantizes(name string, among []tensor) bool {
	of, ok := strings.CutSuffix(name, "_scale")
	return ok && slices.ContainsFunc(among, func(t tensor) bool { return t.name == of+"_quantized" || t.name == of+"_zero_point" })
}

// tensor looks for what no weight may be. Minus infinity may stand in a mask, among
// zeros and nothing else.
func (w *weighed) tensor(t tensor, scale bool) error {
	if t.at == nil || t.kind.size() == 0 {
		return nil
	}
	w.tensors++
	w.numbers += max(0, t.count())
	if !t.kind.floats() {
		return nil
	}
	var nan, inf, down, zero, other int
	var last float32
	err := t.values(func(v []float32) {
		for _, x := range v {
			switch {
			case x != x:
				nan++
			case x > math.MaxFloat32:
				inf++
			case x < -math.MaxFloat32:
				down++
			case x == 0:
				zero++
			default:
				other++
			}
			last = x
		}
	})
	what := ""
	switch {
	case err != nil:
		return err
	case nan > 0:
		what = fmt.Sprintf("%d of %d numbers of %s are NaN", nan, t.count(), t.name)
	case inf > 0 || down > 0 && other > 0:
		what = fmt.Sprintf("%d of %d numbers of %s are infinite", inf+down, t.count(), t.name)
	case scale && zero > 0:
		what = fmt.Sprintf("%d of the %d quantization scales in %s are zero: what they scale is lost", zero, t.count(), t.name)
	}
	if what != "" {
		w.wrong = append(w.wrong, what)
	}
	if slices.Contains(placeTables, t.name) && len(t.shape) == 2 {
		w.places = t.shape[0]
	}
	if t.name == "logit_scale" && t.count() == 1 {
		w.scale = new(float64(last))
	}
	return nil
}

// openAt opens a file to be read at any place.
func openAt(fsys fs.FS, name string) (io.ReaderAt, int64, func() error, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, 0, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it is no file")
	}
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	if at, ok := f.(io.ReaderAt); ok {
		return at, st.Size(), f.Close, nil
	}
	data, err := io.ReadAll(f)
	f.Close()
	return bytes.NewReader(data), int64(len(data)), func() error { return nil }, err
}
