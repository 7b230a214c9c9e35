package graph

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Bounds of what is kept of a file, far above what any model has: somebody may
// have made it to fill the memory.
const (
	maxFields    = 1 << 24
	maxNodes     = 1 << 17 // a hundred thousand take ONNX Runtime half a minute to load
	maxValues    = 1 << 22
	maxPorts     = 1 << 16
	maxRank      = 1 << 6
	maxFunctions = 1 << 14
	maxFiles     = 1 << 12
)

// flow is how values go through the nodes of one graph.
type flow struct {
	given map[string]bool // inputs and weights
	used  []string        // outputs
	nodes []step
}

// step is a node: the values that it takes, those of graphs within it included as
// far as they come from outside, and the values that it makes.
type step struct{ takes, makes []string }

func newFlow() *flow { return &flow{given: map[string]bool{}} }

// outside returns the values that the graph takes from one around it. It is an
// error if values depend on themselves: whoever runs such a graph ought to refuse
// it too, and would do so much later.
func (f *flow) outside() ([]string, error) {
	makers := map[string]int{}
	for i, n := range f.nodes {
		for _, name := range n.makes {
			makers[name] = i
		}
	}
	var free []string
	waits := make([]int, len(f.nodes))
	takers := make([][]int, len(f.nodes))
	for i, n := range f.nodes {
		for _, name := range n.takes {
			if maker, ok := makers[name]; ok {
				waits[i]++
				takers[maker] = append(takers[maker], i)
			} else if !f.given[name] {
				free = append(free, name)
			}
		}
	}
	run(waits, takers)
	for i, n := range waits {
		if n > 0 {
			return nil, fmt.Errorf("it goes round in circles: %.100q depends on itself", f.circle(i, makers, waits))
		}
	}
	for _, name := range f.used {
		if _, ok := makers[name]; !ok && !f.given[name] {
			free = append(free, name)
		}
	}
	return free, nil
}

// run takes from waits, the number of values that each node waits for, those that
// come.
func run(waits []int, takers [][]int) {
	var ready []int
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, next := range takers[i] {
			if waits[next]--; waits[next] == 0 {
				ready = append(ready, next)
			}
		}
	}
}

// circle returns a value that depends on itself. Node at waits for it, as for one
// that waits itself.
func (f *flow) circle(at int, makers map[string]int, waits []int) string {
	value := ""
	for range f.nodes { // after so many steps back it is in the circle
		for _, name := range f.nodes[at].takes {
			if maker, ok := makers[name]; ok && waits[maker] > 0 {
				at, value = maker, name
				break
			}
		}
	}
	return value
}

// function is the body of a function that the file brings along, or the graph
// itself: how many nodes it has, and how often it calls which functions.
type function struct {
	nodes int64
	calls map[string]int64
	size  int64 // with all that is called; 0 until it is known, -1 meanwhile
}

// functionName is how a node names a function.
func functionName(domain, op, overload string) string {
	if domain == "ai.onnx" {
		domain = ""
	}
	return domain + "\x00" + op + "\x00" + overload
}

// expanded returns how many nodes f becomes when functions are put in place of
// their calls, as whoever runs it does: thirty that call each other twice are a
// billion. It ends early where there are too many.
func expanded(f *function, all map[string]*function) (int64, error) {
	switch f.size {
	case 0:
	case -1:
		return 0, errors.New("a function calls itself")
	default:
		return f.size, nil
	}
	f.size = -1
	total := f.nodes
	for name, times := range f.calls {
		called, ok := all[name]
		if !ok {
			continue
		}
		n, err := expanded(called, all)
		if err != nil {
			return 0, err
		}
		if total += times * n; total > maxNodes {
			return 0, fmt.Errorf("its functions become more than %d nodes", maxNodes)
		}
	}
	f.size = max(total, 1)
	return f.size, nil
}

// checkFile refuses a file of weights that does not lie below the model's own
// directory. "*/" begins what ONNX Runtime takes for a place in its memory.
func checkFile(name string) error {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	drive := len(clean) > 1 && clean[1] == ':'
	if name == "" || path.IsAbs(clean) || drive || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.HasPrefix(clean, "*/") || strings.Contains(clean, "\x00") {
		return fmt.Errorf("it keeps weights in %.200q, outside of the model's directory: %w", name, clipsearch.ErrInvalid)
	}
	return nil
}
