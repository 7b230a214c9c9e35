package trainer

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
)

// weights are the initializers of a tower that can be trained, in the order in which
// its nodes first read them.
type weights struct {
	names  []string
	frozen []frozenWeight // what looks like weights and cannot be
}

// frozenWeight is what cannot be trained, and why.
type frozenWeight struct{ name, why string }

const (
	byChannels = "the kernel of a convolution by channels is made of it, whose gradient has no cheap form"
	statistic  = "it is a statistic of a batch norm, which is counted and not learned"
)

// weightsOf lists the weights of a tower. parameters are those that a checkpoint has;
// nil: the graph is a file, and what its nodes do says which are weights.
func weightsOf(m *onnx.Model, parameters []clip.Parameter) weights {
	var w weights
	own := map[string]bool{}
	for _, p := range parameters {
		if own[p.Name] = !p.Depthwise; p.Depthwise {
			w.frozen = append(w.frozen, frozenWeight{p.Name, byChannels})
		}
	}
	tensors := map[string]*onnx.Tensor{}
	for _, t := range m.Initializers {
		if t.Type == onnx.Float && (parameters == nil || own[t.Name]) {
			tensors[t.Name] = t
		}
	}
	for _, n := range m.Nodes {
		for i, in := range n.Inputs {
			t := tensors[in]
			switch {
			case t == nil:
			case parameters == nil && !weighs(n.Op, i, t):
			case fixed(n, i) != "":
				w.frozen = append(w.frozen, frozenWeight{in, fixed(n, i)})
				delete(tensors, in)
			default:
				w.names = append(w.names, in)
				delete(tensors, in)
			}
		}
	}
	return w
}

// weighs reports whether a constant that a node reads is a weight: not a mask, a mean
// of colours or an epsilon.
func weighs(op string, input int, t *onnx.Tensor) bool {
	n, err := t.Len()
	if err != nil || n < 2 {
		return false
	}
	switch op {
	case "MatMul", "Gemm", "Conv", "Gather", "FusedMatMul", "LayerNormalization", "SkipLayerNormalization", "BatchNormalization", "Attention", "PRelu", "InstanceNormalization", "GroupNormalization":
		return true
	case "Add", "Mul":
		return len(t.Dims) <= 3
	case "Concat":
		return true // the class token
	}
	return false
}

// fixed says why a weight that a node reads is not trained; "": it can be.
func fixed(n *onnx.Node, input int) string {
	if name := n.Inputs[input]; strings.HasSuffix(name, "running_mean") || strings.HasSuffix(name, "running_var") {
		return statistic
	}
	switch groups, _ := n.Attr("group").(int64); {
	case n.Op == "BatchNormalization" && input >= 3:
		return statistic
	case n.Op == "Conv" && input == 1 && groups > 1:
		return byChannels
	}
	return ""
}

// pick returns those weights that a selection names.
func (s Selection) pick(w weights) ([]string, error) {
	if n, ok := s.Last(); ok {
		return lastBlocks(w.names, n)
	}
	switch {
	case s.All():
		return w.names, nil
	case s.None():
		return nil, nil
	}
	picked := map[string]bool{}
	for _, pattern := range s {
		some := false
		for _, name := range w.names {
			if match(pattern, name) {
				some, picked[name] = true, true
			}
		}
		if some {
			continue
		}
		if i := slices.IndexFunc(w.frozen, func(f frozenWeight) bool { return match(pattern, f.name) }); i >= 0 {
			return nil, invalid("%q names what cannot be trained (%s): %s", pattern, w.frozen[i].name, w.frozen[i].why)
		}
		return nil, invalid("%q matches none of the %d weights%s", pattern, len(w.names), nearestWeight(pattern, w.names))
	}
	return slices.DeleteFunc(slices.Clone(w.names), func(name string) bool { return !picked[name] }), nil
}

// match is path.Match with a star that also crosses slashes.
func match(pattern, name string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return ok && err == nil
}

// nearestWeight says which weight a pattern is nearest to that matches none.
func nearestWeight(pattern string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	if !strings.Contains(pattern, "*") {
		names = append(slices.Clone(names), "all", "none", "last:1")
	}
	return fmt.Sprintf(": did you mean %s?", slices.MinFunc(names, func(a, b string) int {
		return cmp.Compare(away(pattern, a), away(pattern, b))
	}))
}

// away is how many edits make of a name one that a pattern matches: as edits, but that a
// star stands for anything.
func away(pattern, name string) int {
	row := make([]int, len(name)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(pattern) {
		diagonal, star := row[0], pattern[i] == '*'
		if !star {
			row[0]++
		}
		for j := range len(name) {
			above := row[j+1]
			switch {
			case star:
				row[j+1] = min(above, row[j])
			case pattern[i] == name[j] || pattern[i] == '?':
				row[j+1] = diagonal
			default:
				row[j+1] = 1 + min(diagonal, above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(name)]
}

// block finds the number of a tower's block in the name of a weight of it:
// "encoder.layers.11.mlp.fc1.weight", "layer4.0.conv1.weight".
var block = regexp.MustCompile(`^(.*?(?:\.|/|layer|block))(\d+)[./]`)

// lastBlocks returns the weights from the first one of the last n blocks on.
func lastBlocks(names []string, n int) ([]string, error) {
	first := map[string]map[int]int{} // where a block's first weight stands, by what comes before its number
	for i, name := range names {
		if m := block.FindStringSubmatch(name); m != nil {
			number, err := strconv.Atoi(m[2])
			if first[m[1]] == nil {
				first[m[1]] = map[int]int{}
			}
			if _, seen := first[m[1]][number]; !seen && err == nil {
				first[m[1]][number] = i
			}
		}
	}
	var most map[int]int
	for _, blocks := range first {
		if len(blocks) > len(most) {
			most = blocks
		}
	}
	if len(most) < 2 {
		return nil, invalid("the names of the weights do not tell blocks apart (such as %s): give patterns of names in place of last:%d", strings.Join(names[:min(3, len(names))], ", "), n)
	}
	if n > len(most) {
		return nil, invalid("last:%d, and the tower has %d blocks", n, len(most))
	}
	var numbers []int
	for number := range most {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return names[most[numbers[len(numbers)-n]]:], nil
}

// prefixed returns the model with another name for each initializer, so that those of
// two towers never meet. The model is not changed.
func prefixed(m *onnx.Model, prefix string) *onnx.Model {
	p, named := *m, map[string]string{}
	p.Initializers, p.Nodes = make([]*onnx.Tensor, len(m.Initializers)), make([]*onnx.Node, len(m.Nodes))
	for i, t := range m.Initializers {
		own := *t
		own.Name = prefix + t.Name
		p.Initializers[i], named[t.Name] = &own, own.Name
	}
	for i, n := range m.Nodes {
		own := *n
		own.Inputs = slices.Clone(n.Inputs)
		for j, in := range own.Inputs {
			if to, ok := named[in]; ok {
				own.Inputs[j] = to
			}
		}
		p.Nodes[i] = &own
	}
	p.Inputs = slices.DeleteFunc(slices.Clone(m.Inputs), func(in onnx.Port) bool { return named[in.Name] != "" })
	return &p
}

// oneOutput cuts a tower to the output that is its embedding.
func oneOutput(m *onnx.Model, names []string) (*onnx.Model, error) {
	if len(m.Outputs) == 1 {
		return m, nil
	}
	for _, name := range names {
		if slices.ContainsFunc(m.Outputs, func(p onnx.Port) bool { return p.Name == name }) {
			return m.Cut(name)
		}
	}
	return nil, fmt.Errorf("which of its %d outputs is the embedding is not known: export it with one output", len(m.Outputs))
}
