package eval

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// ranks is where each text's picture, and each picture's texts, come in the
// order of the scores.
type ranks struct {
	ofImage []int32   // by text: the rank of its picture among all pictures
	ofTexts [][]int32 // by picture: the ranks of its texts among all texts, ascending
}

// rank compares every text with every picture, tile by tile, so that the matrix
// of all scores never exists. The products are float32; those that fall near a
// score they are compared with are computed again in float64.
func rank(ctx context.Context, images, texts Matrix, owner []int32, threads int) (ranks, error) {
	j := newJudge(images, texts, owner)
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		mu      sync.Mutex
	)
	for range max(threads, 1) {
		workers.Go(func() {
			better := make([]int32, len(owner))
			scores := make([]float32, tileTexts*tileImages)
			for {
				t := int(next.Add(tileTexts)) - tileTexts
				if t >= texts.Rows() || ctx.Err() != nil {
					break
				}
				j.compare(t, min(tileTexts, texts.Rows()-t), scores, better)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, n := range better {
				j.better[i] += n
			}
		})
	}
	workers.Wait()
	return j.ranks(), ctx.Err()
}

// judge holds what the scores are compared with.
type judge struct {
	images, texts Matrix
	owner         []int32
	own           []float64 // by text: its score with its picture
	slack         float64   // how far a float32 product may be off

	byImage []int32   // texts by picture, those of a picture from worst to best
	start   []int32   // by picture: where its texts begin in byImage
	worst   []float32 // by picture: the score of its worst text, less the slack

	above  []int32 // by text: how many pictures beat its own
	better []int32 // at byImage: how many texts beat this one, and not the next better
}

func newJudge(images, texts Matrix, owner []int32) *judge {
	n, m := images.Rows(), texts.Rows()
	j := &judge{
		images: images, texts: texts, owner: owner,
		slack: 1e-6 + float64(images.Dim)/(1<<24), // the bound for unit vectors
		own:   make([]float64, m), byImage: make([]int32, m), start: make([]int32, n+1), worst: make([]float32, n),
		above: make([]int32, m), better: make([]int32, m),
	}
	for t, i := range owner {
		j.own[t] = exact(texts.Row(t), images.Row(int(i)))
		j.byImage[t] = int32(t)
		j.start[i+1]++
	}
	for i := range n {
		j.start[i+1] += j.start[i]
	}
	slices.SortFunc(j.byImage, func(a, b int32) int {
		return cmp.Or(cmp.Compare(owner[a], owner[b]), cmp.Compare(j.own[a], j.own[b]), cmp.Compare(b, a))
	})
	for i := range n {
		j.worst[i] = float32(j.own[j.byImage[j.start[i]]] - j.slack)
	}
	return j
}

// compare compares n texts from t on with every picture.
func (j *judge) compare(t, n int, scores []float32, better []int32) {
	for i := 0; i < j.images.Rows(); i += tileImages {
		ni := min(tileImages, j.images.Rows()-i)
		products(scores, j.texts, j.images, t, n, i, ni)
		for y := range n {
			j.tally(int32(t+y), int32(i), scores[y*tileImages:][:ni], better)
		}
	}
}

// tally takes in the scores of text t with the pictures from first on.
func (j *judge) tally(t, first int32, scores []float32, better []int32) {
	own, mine := j.own[t], j.owner[t]
	threshold := float32(own - j.slack)
	worst := j.worst[first:][:len(scores)]
	var above int32
	for x, s := range scores {
		if s < threshold && s < worst[x] {
			continue
		}
		i := first + int32(x)
		if i != mine && j.beats(t, i, s, own, i < mine) {
			above++
		}
		if s >= worst[x] {
			if b := j.beaten(t, i, s); b > 0 {
				better[j.start[i]+b-1]++
			}
		}
	}
	j.above[t] += above
}

// beats reports whether the score s of text t and picture i is above other, or
// equal to it where first says that it comes before.
func (j *judge) beats(t, i int32, s float32, other float64, first bool) bool {
	if d := float64(s) - other; d > j.slack || d < -j.slack {
		return d > 0
	}
	d := exact(j.texts.Row(int(t)), j.images.Row(int(i))) - other
	return d > 0 || d == 0 && first
}

// beaten counts the texts of picture i that text t, with score s, comes before.
func (j *judge) beaten(t, i int32, s float32) int32 {
	own := j.byImage[j.start[i]:j.start[i+1]]
	for b, o := range own {
		if o == t || !j.beats(t, i, s, j.own[o], t < o) {
			return int32(b)
		}
	}
	return int32(len(own))
}

// ranks adds up what was tallied.
func (j *judge) ranks() ranks {
	r := ranks{ofImage: j.above, ofTexts: make([][]int32, j.images.Rows())}
	for t := range r.ofImage {
		r.ofImage[t]++
	}
	for i := range r.ofTexts {
		better := j.better[j.start[i]:j.start[i+1]]
		of := make([]int32, len(better))
		var sum int32
		for k := len(better) - 1; k >= 0; k-- {
			sum += better[k]
			of[len(better)-1-k] = 1 + sum
		}
		r.ofTexts[i] = of
	}
	return r
}
