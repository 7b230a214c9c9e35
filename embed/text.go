package embed

import (
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/graph"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// textTower is the text side of a model.
type textTower struct {
	*lanes
	words   *clip.Tokenizer
	noWords error        // why words is nil
	inputs  []graph.Port // ids first
	size    int          // of a picture, where the other tower could not be cut off
	length  int          // every row has it; 0: as long as the longest of the batch
	limit   int          // no row is longer; 0: unknown
	pad     int64
	cuts    bool // rows that are made of words need not have length
}

// textOutputs names the embedding among a graph's outputs, the best first.
var textOutputs = []string{"text_embeds", "l2norm_text_embeddings", "text_embeddings", "text_features", "embedding", "sentence_embedding", "output", "pooler_output"}

// Bounds of what a graph may ask for, which is made for it: the ids of a text, and
// the pixels of a picture's side.
const (
	maxIDs  = 1 << 16
	maxSide = 1 << 12
)

// The inputs that a text tower may have beside the ids, by their names.
const (
	maskInput     = "attention_mask"
	kindInput     = "token_type_ids"
	positionInput = "position_ids"
)

func (e *Encoder) openText() (*textTower, error) {
	if !e.model.Runs() {
		return nil, e.absent()
	}
	if e.model.Text == "" {
		return nil, fmt.Errorf("model %s has no text tower: make a pair of it and a model that has one for it with `clipsearch model import %s --text TEXT-MODEL --out DIR`: %w", e.model.Name, e.model.Name, clipsearch.ErrInvalid)
	}
	s, err := e.source(clip.TextSide)
	if err != nil {
		return nil, err
	}
	out, err := e.output(s, textOutputs)
	if err != nil {
		return nil, err
	}
	if _, both := s.Picture(); both {
		s = s.cut(out)
	}
	t := &textTower{length: e.model.Tokenizer.PadTo, limit: e.model.ContextLength, pad: e.model.Tokenizer.Pad, size: e.model.Preprocess.Size}
	if err := e.takes(t, s); err != nil {
		return nil, err
	}
	if t.words, err = e.model.OpenTokenizer(); err != nil {
		t.noWords = err
	}
	// A dynamically quantized graph takes its scales from all rows, so a vector would
	// depend on its neighbours.
	ids := t.inputs[0]
	names := make([]string, len(t.inputs))
	for i, p := range t.inputs {
		names[i] = p.Name
	}
	t.lanes = newLanes(e.opts, s.DynamicQuantized || ids.Dim(0) == 1, e.loader(clip.TextSide, &s, names, out, ort.Options{Varying: ids.Dim(1) < 0}))
	if t.length > 0 && ids.Dim(1) < 0 && t.words != nil {
		if t.cuts = e.model.CutTexts; !t.cuts && !e.opts.Once {
			session, err := t.first()
			if err != nil {
				return nil, err
			}
			t.cuts = t.triesCut(session)
		}
	}
	return t, nil
}

// takes learns the inputs of the graph.
func (e *Encoder) takes(t *textTower, s source) error {
	ids, ok := s.IDs()
	if !ok {
		return e.invalid(s, "its inputs are %v, none of them token ids", s.Inputs)
	}
	if n := ids.Dim(0); n > 1 {
		return e.invalid(s, "it takes exactly %d texts a run; export it for one or for any number", n)
	}
	if n := ids.Dim(1); n > maxIDs {
		return e.invalid(s, "it takes texts of %d ids, more than the %d of any", n, maxIDs)
	} else if n > 0 {
		t.length, t.limit = n, n
	}
	t.inputs = []graph.Port{ids}
	picture, sees := s.Picture()
	for _, p := range s.Inputs {
		switch {
		case p.Name == ids.Name:
		case sees && p.Name == picture.Name && p.Type == "float32" && p.Dim(2) <= maxSide:
			t.inputs = append(t.inputs, p)
		case (p.Name == maskInput || p.Name == kindInput || p.Name == positionInput) && (p.Type == "int64" || p.Type == "int32"):
			t.inputs = append(t.inputs, p)
		default:
			return e.invalid(s, "its input %v is not known here", p)
		}
	}
	return nil
}

func (t *textTower) masked() bool {
	return slices.ContainsFunc(t.inputs, func(p graph.Port) bool { return p.Name == maskInput })
}

// run encodes rows of ids. Without a mask, a tower that asks for one gets ones
// where the row is and zeros where it is padded. With cut, rows are no longer than
// the longest of them.
func (t *textTower) run(session *ort.Session, ids, mask [][]int64, cut bool) ([][]float32, error) {
	n, length := len(ids), t.length
	if cut {
		length = 0
	}
	for _, row := range ids {
		length = max(length, len(row))
	}
	if t.limit > 0 && length > t.limit {
		return nil, fmt.Errorf("a text of %d ids is longer than the model's %d: %w", length, t.limit, clipsearch.ErrInvalid)
	}
	if mask != nil && !t.masked() {
		return nil, fmt.Errorf("the text tower takes no attention mask: %w", clipsearch.ErrInvalid)
	}
	in := make([]ort.Tensor, len(t.inputs))
	for k, p := range t.inputs {
		if len(p.Shape) == 4 {
			in[k] = t.blank(p)
			continue
		}
		flat := make([]int64, n*length)
		for i := range ids {
			var m []int64
			if mask != nil {
				m = mask[i]
			}
			t.fill(flat[i*length:(i+1)*length], p.Name, ids[i], m)
		}
		in[k] = integers(p, n, length, flat)
	}
	return rows(session.Run(in...))
}

// fill writes what the input of that name has for a row. mask may be nil.
func (t *textTower) fill(to []int64, name string, ids, mask []int64) {
	for j := range to {
		switch {
		case name == positionInput:
			to[j] = int64(j)
		case name == kindInput: // all of it is the first sentence
		case name == maskInput && mask != nil:
			if j < len(mask) {
				to[j] = mask[j]
			}
		case name == maskInput:
			if j < len(ids) {
				to[j] = 1
			}
		case j < len(ids):
			to[j] = ids[j]
		default:
			to[j] = t.pad
		}
	}
}

// blank is one black picture, for a graph that insists on pictures.
func (t *textTower) blank(p graph.Port) ort.Tensor {
	side := max(1, t.size, p.Dim(2))
	return ort.Tensor{Shape: []int64{1, 3, int64(side), int64(side)}, F32: make([]float32, 3*side*side)}
}
