package report

import "testing"

func TestDistinct(t *testing.T) {
	for _, span := range [][2]float64{{20, 20.5}, {0, 100}, {0, 3e-4}, {1e-7, 2e-7}, {-5, 5}, {99.999, 100}} {
		seen := map[string]bool{}
		for _, tick := range distinct(span[0], span[1]) {
			if tick.IsMinor() {
				continue
			}
			if seen[tick.Label] {
				t.Errorf("from %v to %v two ticks are called %s", span[0], span[1], tick.Label)
			}
			seen[tick.Label] = true
		}
		if len(seen) < 2 {
			t.Errorf("from %v to %v there are %d ticks", span[0], span[1], len(seen))
		}
	}
}
