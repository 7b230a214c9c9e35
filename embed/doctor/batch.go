package doctor

import "context"

// A vector must not depend on what shares its batch. Kernels add up in another order
// for another number of rows, so the last bits may differ.
const (
	sameBits    = 1e-6
	otherValues = 1e-5
)

// checkBatch compares rows that were encoded together with the same ones alone.
func (d *doctor) checkBatch(ctx context.Context) {
	const name = "batch"
	const few = 4
	var far float64
	compared := false
	if d.photos != nil {
		for i, img := range readAlbum().photos[:few] {
			alone, err := d.enc.RawImages(ctx, readAlbum().photos[i:i+1])
			if err != nil {
				d.fail(name, "photograph %d alone, of %v: %v", i+1, img.Bounds(), err)
				return
			}
			far, compared = max(far, farthest(d.photos[i:i+1], alone)), true
		}
	}
	if d.texts != nil {
		for i := range few {
			alone, err := d.textAlone(ctx, i)
			if err != nil {
				d.fail(name, "text %d alone: %v", i+1, err)
				return
			}
			far, compared = max(far, farthest(d.texts[i:i+1], alone)), true
		}
	}
	switch {
	case !compared:
	case far > otherValues:
		d.fail(name, "a vector depends on what shares its batch: alone and together differ by %.2g", far)
	case far > sameBits:
		d.pass(name, "alone and together differ by %.2g, as the order of a sum makes it", far)
	default:
		d.pass(name, "alone and together are the same within %.0e", sameBits)
	}
}

// textAlone encodes again what gave row i of d.texts.
func (d *doctor) textAlone(ctx context.Context, i int) ([][]float32, error) {
	if d.words != nil {
		return d.enc.RawTexts(ctx, readAlbum().Captions["en"][i:i+1])
	}
	return d.enc.RawIDs(ctx, d.someIDs(i + 1)[i:], nil)
}
