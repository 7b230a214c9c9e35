package web

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

const (
	maxLabels = 1000
	maxText   = 32 << 10 // bytes of a text to encode
)

// described ranks texts for a picture, as `clipsearch describe --json` does.
type described struct {
	Image   string      `json:"image"`
	Results []textScore `json:"results"`
}

type textScore struct {
	Text        string  `json:"text"`
	Score       float64 `json:"score"` // cosine
	Probability float64 `json:"probability"`
}

// describe answers POST /describe: the labels sent with a picture, or else the
// captions of the index, best first.
func (s *Server) describe(w http.ResponseWriter, r *http.Request) error {
	f, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	if err := f.needsPicture(); err != nil {
		return err
	}
	labels, err := readLabels(f.fields["labels"])
	if err != nil {
		return err
	}
	limit, err := readTextLimit(cmp.Or(f.first("limit"), strconv.Itoa(max(10, len(labels)))))
	if err != nil {
		return err
	}
	results, err := pinned(r.Context(), s, func(ctx context.Context) ([]textScore, error) {
		v, err := s.encodeImage(ctx, f.image)
		if err != nil {
			return nil, err
		}
		hits, err := s.rank(ctx, v, labels, limit)
		return softmax(hits, s.model(ctx).LogitScale), err
	})
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, described{Image: strings.ToValidUTF8(f.name, "\uFFFD"), Results: results[:min(limit, len(results))]})
}

// readLabels reads the field labels: a text a line, repeated or not.
func readLabels(fields []string) ([]string, error) {
	var labels []string
	for _, field := range fields {
		for line := range strings.Lines(field) {
			if line = strings.TrimSpace(line); line != "" {
				labels = append(labels, line)
			}
		}
	}
	if len(labels) > maxLabels {
		return nil, invalid("%d labels: there may be %d", len(labels), maxLabels)
	}
	return labels, checkTexts(labels)
}

// checkTexts returns an error unless each of texts can be encoded.
func checkTexts(texts []string) error {
	for i, t := range texts {
		switch {
		case strings.TrimSpace(t) == "":
			return invalid("text %d is empty", i+1)
		case len(t) > maxText:
			return invalid("text %d has %d bytes: it may have %d", i+1, len(t), maxText)
		case !utf8.ValidString(t):
			return invalid("text %d is not UTF-8", i+1)
		}
	}
	return nil
}

// readTextLimit reads how many texts are wanted; ten if that is not said.
func readTextLimit(text string) (int, error) {
	limit, err := strconv.Atoi(cmp.Or(text, "10"))
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, invalid("limit %q: it must be between 1 and %d", text, maxLimit)
	}
	return limit, nil
}

// rank scores labels, or the captions nearest to v where there are none.
func (s *Server) rank(ctx context.Context, v clipsearch.Vector, labels []string, limit int) ([]clipsearch.TextHit, error) {
	if len(labels) == 0 {
		return s.nearestCaptions(ctx, v, limit)
	}
	vectors, err := s.encodeTexts(ctx, labels)
	if err != nil {
		return nil, err
	}
	hits := make([]clipsearch.TextHit, len(labels))
	for i, t := range vectors {
		hits[i] = clipsearch.TextHit{Text: labels[i], Score: v.Dot(t)}
	}
	slices.SortStableFunc(hits, func(a, b clipsearch.TextHit) int { return cmp.Compare(b.Score, a.Score) })
	return hits, nil
}

// captionsOf returns the captions of the index that describe a picture of it.
func (s *Server) captionsOf(ctx context.Context, id clipsearch.ID, limit int) ([]textScore, error) {
	return pinned(ctx, s, func(ctx context.Context) ([]textScore, error) {
		v, err := s.Library.Vector(ctx, id)
		if err != nil {
			return nil, err
		}
		hits, err := s.nearestCaptions(ctx, v, limit)
		return softmax(hits, s.model(ctx).LogitScale), err
	})
}

func (s *Server) nearestCaptions(ctx context.Context, v clipsearch.Vector, limit int) ([]clipsearch.TextHit, error) {
	if s.Captions == nil {
		return nil, fail(http.StatusNotImplemented, "this server has no captions to choose from: send labels")
	}
	return s.Captions.NearestCaptions(ctx, v, limit)
}

// softmax makes probabilities of cosines, best first, with the model's logit_scale.
func softmax(hits []clipsearch.TextHit, scale float64) []textScore {
	scores := make([]textScore, len(hits))
	var sum float64
	for i, h := range hits {
		p := math.Exp(scale * float64(h.Score-hits[0].Score)) // hits[0] is the largest: at most one
		scores[i] = textScore{Text: h.Text, Score: float64(h.Score), Probability: p}
		sum += p
	}
	for i := range scores {
		scores[i].Probability /= sum
	}
	return scores
}
