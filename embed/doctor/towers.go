package doctor

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

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
	if data, err := clip.ReadConfigFile(d.model.Side(clip.ImageSide).FS(), "config.json"); err != nil || json.Unmarshal(data, &c) != nil {
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
