package eval

import (
	"math/rand/v2"
	"slices"
)

// Metrics are the figures of one direction, as fractions of one.
type Metrics struct {
	Recall1    float64 `json:"recall@1"`  // share of queries with something right among the first
	Recall5    float64 `json:"recall@5"`  // 5
	Recall10   float64 `json:"recall@10"` // or 10
	MRR        float64 `json:"mrr"`       // mean of 1 / rank of the first right one
	MAP        float64 `json:"map"`       // mean average precision
	MINP       float64 `json:"minp"`      // mean of the precision where the last right one stands
	MedianRank float64 `json:"median_rank"`
}

// Interval is a 95% confidence interval.
type Interval [2]float64

// keys are the figures that have an interval, in the order of query.values.
var keys = [...]string{"recall@1", "recall@5", "recall@10", "mrr", "map", "minp"}

// outcome is what one query, or the queries of one picture together, contribute.
type outcome [len(keys)]float64

// judged returns the outcome of a query whose right answers have these ranks,
// ascending.
func judged(ranks []int32) outcome {
	var o outcome
	first, last := ranks[0], ranks[len(ranks)-1]
	for i, k := range []int32{1, 5, 10} {
		if first <= k {
			o[i] = 1
		}
	}
	o[3] = 1 / float64(first)
	for i, r := range ranks {
		o[4] += float64(i+1) / float64(r)
	}
	o[4] /= float64(len(ranks))
	o[5] = float64(len(ranks)) / float64(last)
	return o
}

func (o *outcome) add(p outcome) {
	for i, x := range p {
		o[i] += x
	}
}

func (o outcome) metrics(n int, ranks []int32) Metrics {
	for i := range o {
		o[i] /= float64(n)
	}
	return Metrics{o[0], o[1], o[2], o[3], o[4], o[5], median(ranks)}
}

func median(ranks []int32) float64 {
	if len(ranks) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(ranks))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return float64(sorted[middle])
	}
	return float64(sorted[middle-1]+sorted[middle]) / 2
}

// group is a picture with its texts: what the bootstrap draws, since the texts
// of a picture succeed and fail together.
type group struct {
	texts   outcome // summed over its texts
	n       int
	picture outcome
}

// summarize returns the figures of both directions and their intervals.
func summarize(r ranks, owner []int32) (t2i, i2t Metrics, ci map[string]map[string]Interval) {
	groups := make([]group, len(r.ofTexts))
	for t, i := range owner {
		groups[i].texts.add(judged(r.ofImage[t : t+1]))
		groups[i].n++
	}
	firsts := make([]int32, len(groups))
	var total group
	for i := range groups {
		groups[i].picture = judged(r.ofTexts[i])
		firsts[i] = r.ofTexts[i][0]
		total.texts.add(groups[i].texts)
		total.picture.add(groups[i].picture)
	}
	return total.texts.metrics(len(owner), r.ofImage), total.picture.metrics(len(groups), firsts), bootstrap(groups)
}

// bootstrap returns the intervals within which 95% of the figures fall when
// pictures are drawn anew, with replacement, as many as there are.
func bootstrap(groups []group) map[string]map[string]Interval {
	const draws = 1000
	random := rand.New(rand.NewPCG(20130124, 1)) // the same intervals every time
	var drawn [2][len(keys)][draws]float64
	for d := range draws {
		var sum group
		for range groups {
			g := &groups[random.IntN(len(groups))]
			sum.texts.add(g.texts)
			sum.picture.add(g.picture)
			sum.n += g.n
		}
		for k := range keys {
			drawn[0][k][d] = sum.texts[k] / float64(sum.n)
			drawn[1][k][d] = sum.picture[k] / float64(len(groups))
		}
	}
	ci := map[string]map[string]Interval{"text_to_image": {}, "image_to_text": {}}
	for k, key := range keys {
		for side, name := range []string{"text_to_image", "image_to_text"} {
			x := drawn[side][k][:]
			slices.Sort(x)
			ci[name][key] = Interval{x[draws*25/1000], x[draws*975/1000-1]}
		}
	}
	return ci
}
