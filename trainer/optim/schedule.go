package optim

import "math"

// Schedule is a learning rate over a run.
type Schedule struct {
	Rate     float64 // the highest
	Warmup   int     // steps that it grows in, evenly
	Steps    int     // of the run
	Floor    float64 // share of Rate that is left at the end
	Constant bool    // it stays at Rate after the warm-up; else it falls by a cosine (Loshchilov and Hutter 2017)
}

// At is the rate of a step, the first being 0.
func (s Schedule) At(step int) float64 {
	switch {
	case step < s.Warmup:
		return s.Rate * float64(step+1) / float64(s.Warmup)
	case s.Constant:
		return s.Rate
	case step >= s.Steps:
		return s.Rate * s.Floor
	}
	way := float64(step-s.Warmup) / float64(s.Steps-s.Warmup)
	return s.Rate * (s.Floor + (1-s.Floor)*(1+math.Cos(math.Pi*way))/2)
}
