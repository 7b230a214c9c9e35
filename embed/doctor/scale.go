package doctor

import "math"

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
