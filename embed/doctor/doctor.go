package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

// Options say how a model is examined.
type Options struct {
	Embed  embed.Options
	Hashed bool // the model's files have just been compared with their manifest
}

// doctor is one examination.
type doctor struct {
	Report
	model  clip.Model
	enc    *embed.Encoder
	opts   Options
	quick  bool
	listed bool // the manifest's hashes are to be compared

	learned learned
	scale   *float64 // the parameter logit_scale among the weights
	words   *clip.Tokenizer

	photos   [][]float32 // what the image tower gives for the album's photographs
	texts    [][]float32 // what the text tower gives for texts or ids
	pictures []clipsearch.Vector
	language string              // whose captions match best,
	captions []clipsearch.Vector // and what they give
	matched  matched
	known    bool // captions find their pictures
}

// Examine looks at m from all sides. It returns an error only where ctx ends: what is
// wrong with the model is in the report.
func Examine(ctx context.Context, m clip.Model, o Options) (Report, error) {
	d := newDoctor(m, o)
	defer d.enc.Close()
	d.cheap(ctx)
	d.checkBatch(ctx)
	d.checkContext(ctx)
	d.checkPadding(ctx)
	d.checkDrift(ctx)
	d.checkPace(ctx)
	return d.Report, ctx.Err()
}

// Quick is the part of Examine that costs little: it reads every weight, and runs each
// tower on a few pictures and texts. That captions do not find their pictures does not
// make a model broken here: it may have learned another language.
func Quick(ctx context.Context, m clip.Model, o Options) (Report, error) {
	d := newDoctor(m, o)
	d.quick = true
	defer d.enc.Close()
	d.cheap(ctx)
	return d.Report, ctx.Err()
}

func newDoctor(m clip.Model, o Options) *doctor {
	return &doctor{Report: newReport(), model: m, enc: embed.Open(m, o.Embed), opts: o, listed: !o.Hashed, learned: learned{}}
}

func (d *doctor) cheap(ctx context.Context) {
	d.checkFiles()
	d.checkWords()
	d.checkImages(ctx)
	d.checkTexts(ctx)
	d.checkSpace()
	d.checkMatch(ctx)
	d.checkRecipe(ctx)
	d.checkScale()
}

// checkImages runs the image tower on the album.
func (d *doctor) checkImages(ctx context.Context) {
	const name = "image_tower"
	if d.model.Image == "" {
		d.unsure(name, "the model has none")
		return
	}
	rows, err := d.enc.RawImages(ctx, readAlbum().photos)
	if err != nil {
		d.fail(name, "%v", err)
		return
	}
	if !d.sane(name, rows, "photographs") {
		return
	}
	d.photos, d.pictures = rows, units(rows)
}

// checkTexts runs the text tower on captions, or on ids where there are no words.
func (d *doctor) checkTexts(ctx context.Context) {
	const name = "text_tower"
	if d.model.Text == "" {
		d.unsure(name, "the model has none: it finds pictures by pictures only")
		return
	}
	var rows [][]float32
	var err error
	what := "captions"
	if d.words != nil {
		rows, err = d.enc.RawTexts(ctx, readAlbum().Captions["en"])
	} else {
		what = "rows of ids"
		rows, err = d.enc.RawIDs(ctx, d.someIDs(6), nil)
	}
	if err != nil {
		d.fail(name, "%v", err)
		return
	}
	if d.sane(name, rows, what) {
		d.texts = rows
	}
}

// someIDs makes n rows of ids of different words, for a model without a tokenizer:
// small numbers, which every vocabulary has, and none of the first few, which are marks.
// They are as long as texts may be, for some towers take nothing else.
func (d *doctor) someIDs(n int) [][]int64 {
	length := d.model.ContextLength
	rows := make([][]int64, n)
	for i := range rows {
		rows[i] = make([]int64, max(length, 4))
		for j := range rows[i] {
			rows[i][j] = int64(5 + (i*37+j*11+i*j)%80)
		}
	}
	return rows
}

// sane checks that the rows of a tower are numbers, and not all the same. It returns
// false where nothing can be done with them.
func (d *doctor) sane(name string, rows [][]float32, what string) bool {
	lengths := make([]float64, len(rows))
	for i, row := range rows {
		for _, v := range row {
			lengths[i] += float64(v) * float64(v)
		}
		lengths[i] = math.Sqrt(lengths[i])
		if !(lengths[i] > 0) || math.IsInf(lengths[i], 0) { // NaN too
			d.fail(name, "of %d %s, number %d gives a vector of length %v", len(rows), what, i+1, lengths[i])
			return false
		}
	}
	same, dead := alike(units(rows)), deadNumbers(rows)
	length := "brought to unit length here"
	if slices.Min(lengths) > 0.999 && slices.Max(lengths) < 1.001 {
		length = "of unit length"
	}
	switch {
	case same > 1-1e-6:
		d.fail(name, "%d different %s all give the same vector", len(rows), what)
	case dead*2 > len(rows[0]):
		d.fail(name, "%d of the %d numbers of a vector are the same for all %s", dead, len(rows[0]), what)
	default:
		d.pass(name, "%d %s give vectors of %d numbers, %s; two of them have the cosine %.3f on average", len(rows), what, len(rows[0]), length, same)
	}
	return true
}

// deadNumbers counts those that are the same in all rows.
func deadNumbers(rows [][]float32) (n int) {
	for j := range rows[0] {
		if !slices.ContainsFunc(rows[1:], func(row []float32) bool { return row[j] != rows[0][j] }) {
			n++
		}
	}
	return n
}

// units scales rows that are known to have a direction.
func units(rows [][]float32) []clipsearch.Vector {
	list := make([]clipsearch.Vector, len(rows))
	for i, row := range rows {
		u, err := clipsearch.Unit(row)
		if err != nil {
			u = make(clipsearch.Vector, len(row))
		}
		list[i] = u
	}
	return list
}

// alike returns the mean cosine of two vectors.
func alike(list []clipsearch.Vector) float64 {
	var sum float64
	n := 0
	for i, v := range list {
		for _, w := range list[:i] {
			sum += float64(v.Dot(w))
			n++
		}
	}
	return sum / float64(max(1, n))
}

// checkSpace compares the sizes of the towers' vectors with each other and with what
// the files say.
func (d *doctor) checkSpace() {
	switch {
	case d.photos == nil || d.texts == nil:
	case len(d.photos[0]) != len(d.texts[0]):
		d.fail("space", "the image tower gives vectors of %d numbers and the text tower of %d: they are towers of two models", len(d.photos[0]), len(d.texts[0]))
		return
	}
	dim := 0
	for _, rows := range [][][]float32{d.photos, d.texts} {
		if rows != nil {
			dim = len(rows[0])
		}
	}
	switch {
	case dim == 0:
	case d.said() > 0 && d.said() != dim:
		d.fail("space", "config.json says that a vector has %d numbers, and it has %d: the towers are of another model", d.said(), dim)
	case d.model.Dim > 0 && d.model.Dim != dim:
		d.fail("space", "the files say that a vector has %d numbers, and it has %d", d.model.Dim, dim)
	default:
		d.pass("space", "vectors of %d numbers", dim)
	}
}

// said returns the length of a vector as the configuration of the model's makers has it.
func (d *doctor) said() int {
	var c struct {
		Projection int `json:"projection_dim"`
		Embed      int `json:"embed_dim"`
	}
	if data, err := fs.ReadFile(d.model.FS(), "config.json"); err != nil || json.Unmarshal(data, &c) != nil {
		return 0
	}
	return max(c.Projection, c.Embed)
}

// encodeTexts is EncodeTexts without an error: a text that cannot be encoded has no vectors.
func (d *doctor) encodeTexts(ctx context.Context, texts []string) []clipsearch.Vector {
	rows, err := d.enc.RawTexts(ctx, texts)
	if err != nil {
		return nil
	}
	return units(rows)
}

// checkMatch asks whether captions find their photographs. A text tower may have
// learned another language than English.
func (d *doctor) checkMatch(ctx context.Context) {
	if d.pictures == nil || d.texts == nil || d.words == nil || len(d.photos[0]) != len(d.texts[0]) {
		return
	}
	a := readAlbum()
	d.language, d.captions = "en", units(d.texts)
	d.matched = match(d.pictures, d.captions)
	if d.matched.z < matches && !d.quick {
		for language, captions := range a.Captions {
			vectors := d.encodeTexts(ctx, captions)
			if vectors == nil {
				continue
			}
			if m := match(d.pictures, vectors); m.z > d.matched.z {
				d.language, d.captions, d.matched = language, vectors, m
			}
		}
	}
	d.judgeMatch()
}

func (d *doctor) judgeMatch() {
	const name = "match"
	m, n := d.matched, len(d.pictures)
	figures := fmt.Sprintf("%.0f of %d captions (%s) find their photograph; %.1f standard deviations from chance", m.first*float64(n), n, d.language, m.z)
	switch {
	case m.z >= matches:
		d.known = true
		d.pass(name, "%s", figures)
	case m.z < chance && d.learned.both() && !d.quick:
		d.fail(name, "%s, in every language tried, though both towers have been trained (%.1f, %.1f): towers of two models, or pixels or words prepared otherwise than in training",
			figures, d.learned[imageTower], d.learned[textTower])
	default:
		d.unsure(name, "%s; %s, %s", figures, d.learned.says(imageTower), d.learned.says(textTower))
	}
}

// checkScale looks at the factor on a cosine. CLIP learns its logarithm, and a file
// that gives the logarithm as it is makes all captions equally likely.
func (d *doctor) checkScale() {
	const name = "logit_scale"
	s := d.model.LogitScale
	switch {
	case math.IsNaN(s) || s < 0 || s > 2000:
		d.fail(name, "%.4g is no factor for a cosine: models have 10 to 120, and the weights its logarithm", s)
	case d.scale != nil && math.Abs(s-math.Exp(*d.scale)) <= 1e-3*math.Exp(*d.scale):
		d.pass(name, "%.4g, e to the power of the weights' %.4g", s, *d.scale)
	case d.scale != nil && math.Abs(s-*d.scale) < 1e-3*math.Abs(s):
		d.fail(name, "%.4g is the logarithm as the weights have it, not exponentiated: it should be %.4g", s, math.Exp(*d.scale))
	case s == 0:
		d.unsure(name, "the model's files do not tell")
	case s >= 2.3 && s <= 5.3 && (d.known || d.learned.both()):
		d.fail(name, "%.4g looks like a logarithm that is not exponentiated: models have 10 to 120, and e to the power of it is %.4g", s, math.Exp(s))
	case s < 5.3 || s > 250:
		d.unsure(name, "%.4g is unusual: models have 10 to 120", s)
	default:
		d.pass(name, "%.4g", s)
	}
}
