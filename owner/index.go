package owner

import (
	"context"
	"errors"

	"github.com/clipsearch/clipsearch"
)

var _ Index = (*Handle)(nil)

// The methods of [Index]; package index says what each promises.

func (h *Handle) Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	return do(ctx, h, seen, files)
}

func (h *Handle) Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error) {
	return do(ctx, h, has, ids)
}

func (h *Handle) Put(ctx context.Context, batch []clipsearch.Entry) error {
	_, err := do(ctx, h, put, batch)
	return err
}

func (h *Handle) Forget(ctx context.Context, paths []string) (int, error) {
	return do(ctx, h, forget, paths)
}

func (h *Handle) Delete(ctx context.Context, ids []clipsearch.ID) error {
	_, err := do(ctx, h, remove, ids)
	return err
}

func (h *Handle) Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	return do(ctx, h, image, id)
}

func (h *Handle) Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	return do(ctx, h, vector, id)
}

func (h *Handle) Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error) {
	return do(ctx, h, thumb, id)
}

func (h *Handle) Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	return do(ctx, h, nearest, nearestQuery{v, k, f, clipsearch.IsExact(ctx)})
}

func (h *Handle) Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	return do(ctx, h, match, matchQuery{words, k, f})
}

func (h *Handle) NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error) {
	return do(ctx, h, captions, captionsQuery{v, k})
}

func (h *Handle) Files(ctx context.Context) ([]clipsearch.File, error) {
	return do(ctx, h, files, none{})
}

func (h *Handle) Stats(ctx context.Context) (clipsearch.Stats, error) {
	return do(ctx, h, stats, none{})
}

func (h *Handle) Export(ctx context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error) {
	return do(ctx, h, exports, exportQuery{after, limit})
}

func (h *Handle) Salvage(ctx context.Context, after clipsearch.ID, limit int) (clipsearch.Salvaged, error) {
	return do(ctx, h, salvage, exportQuery{after, limit})
}

func (h *Handle) Damage(ctx context.Context) (string, error) {
	return do(ctx, h, damage, none{})
}

func (h *Handle) Import(ctx context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error) {
	return do(ctx, h, imports, importQuery{spaces, batch})
}

func (h *Handle) Check(ctx context.Context, repairing bool) ([]clipsearch.Problem, error) {
	if repairing {
		return do(ctx, h, repair, none{})
	}
	return do(ctx, h, check, none{})
}

func (h *Handle) Compact(ctx context.Context) error {
	_, err := do(ctx, h, compact, none{})
	return err
}

func (h *Handle) Settle(ctx context.Context) error {
	_, err := do(ctx, h, settle, none{})
	return err
}

func (h *Handle) Writable(ctx context.Context) error {
	_, err := do(ctx, h, writable, none{})
	return err
}

func (h *Handle) Answering(ctx context.Context) (clipsearch.Space, error) {
	return do(ctx, h, answers, none{})
}

func (h *Handle) Spaces(ctx context.Context) (clipsearch.Spaces, error) {
	return do(ctx, h, spaces, none{})
}

func (h *Handle) SwitchTo(ctx context.Context, to clipsearch.SpaceStats) error {
	_, err := do(ctx, h, switchTo, to)
	return err
}

func (h *Handle) Lacking(ctx context.Context, space clipsearch.Space, after clipsearch.ID, n int, improve bool) ([]clipsearch.Lack, error) {
	return do(ctx, h, lacking, lackingQuery{space, after, n, improve})
}

func (h *Handle) Reencode(ctx context.Context, space clipsearch.Space, batch []clipsearch.Reencoded) error {
	_, err := do(ctx, h, reencode, reencodeQuery{space, batch})
	return err
}

func (h *Handle) Change(ctx context.Context) (bool, error) {
	return do(ctx, h, change, none{})
}

func (h *Handle) Rollback(ctx context.Context) error {
	_, err := do(ctx, h, rollback, none{})
	return err
}

func (h *Handle) DropSpaces(ctx context.Context) (int, int64, error) {
	d, err := do(ctx, h, drop, none{})
	return d.Spaces, d.Bytes, err
}

// SetLanguage changes the language of the words; see the index's.
func (h *Handle) SetLanguage(ctx context.Context, name string) error {
	_, err := do(ctx, h, language, name)
	return err
}

// EncodeTexts lets the owner's warm encoder work. ok is false where it has none
// of the space that ctx names, or else of this process's; then the caller's own must do it.
func (h *Handle) EncodeTexts(ctx context.Context, list []string) (vectors []clipsearch.Vector, ok bool, err error) {
	space := clipsearch.SpaceOf(ctx)
	if space == (clipsearch.Space{}) {
		space = h.options.Space
	}
	vectors, err = do(ctx, h, texts, textsQuery{list, space})
	if errors.Is(err, errNoTexts) {
		return nil, false, nil
	}
	return vectors, err == nil, err
}
