package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/vocab"
)

// network is the model in training: its towers as graphs, and which weights change.
type network struct {
	models  [2]clip.Model  // whose towers they are, by engine.Side; mostly the same
	towers  [2]*onnx.Model // as they are trained; initializers have the side's name before their own
	whole   [2]*onnx.Model // as they are exported: more than towers where something is locked
	files   [2]fs.FS
	locked  *onnx.Model // what makes of pictures the features that the image tower is given; nil: it sees pictures
	read    *onnx.Model // the same of texts; nil: the text tower is given ids
	made    bool        // it is put together from parts, so that it is exported as graphs
	trained map[string]bool
}

var sides = [2]clip.Side{clip.ImageSide, clip.TextSide}

// prefix is what the names of a side's weights begin with.
func prefix(side clip.Side) string { return string(side) + "/" }

// outputs name the embedding among a graph's outputs, the best first.
var outputs = [2][]string{
	{clip.ImageFeatures, "image_embeddings", "image_features", "embedding", "pooler_output", "output"},
	{clip.TextFeatures, "text_embeddings", "text_features", "sentence_embedding", "embedding", "pooler_output", "output"},
}

// openNetwork reads the towers of two models, which may be one, and says what of them
// is trained. fresh: the text tower is a new one.
func openNetwork(image, text clip.Model, fresh bool, c Config) (*network, error) {
	n := &network{models: [2]clip.Model{image, text}, trained: map[string]bool{}, made: fresh || c.Train.Head > 0}
	for i, side := range sides {
		if err := n.open(i, side, c, fresh); err != nil {
			return nil, fmt.Errorf("the %s tower of model %s: %w", side, n.models[i].Name, err)
		}
	}
	if len(n.trained) == 0 {
		return nil, invalid("nothing of model %s is trained: let train.image or train.text be more than none", image.Name)
	}
	return n, n.slow(c.Optim.Slow)
}

func (n *network) open(i int, side clip.Side, c Config, fresh bool) error {
	graph, files, err := n.models[i].TrainingGraph(side)
	if err != nil {
		return err
	}
	if graph, err = oneOutput(graph, outputs[i]); err != nil {
		return err
	}
	selection, lock := c.Train.Text, side == clip.ImageSide && c.Train.LockImage
	switch {
	case lock:
		selection = Selection{"none"}
	case side == clip.ImageSide:
		selection = c.Train.Image
	case fresh:
		selection = Selection{"all"}
	}
	picked, err := n.pick(graph, side, selection)
	if err != nil {
		return err
	}
	bare := prefixed(graph, prefix(side))
	if dim := headDim(c, side, fresh); dim > 0 {
		if graph, err = withHead(graph, outputs[i][0], dim, uint64(c.Seed)+uint64(i)); err != nil {
			return err
		}
		picked = append(picked, headWeight, headBias)
	}
	for _, name := range picked {
		n.trained[prefix(side)+name] = true
	}
	n.whole[i], n.files[i] = prefixed(graph, prefix(side)), files
	n.towers[i] = n.whole[i]
	switch value := c.Train.from(side); {
	case value != "":
		return n.begin(side, graph, value, picked)
	case lock:
		return n.lock(bare)
	}
	return nil
}

// begin cuts a tower where training begins, at a value of one row for each of a batch:
// what makes it is frozen.
func (n *network) begin(side clip.Side, graph *onnx.Model, value string, trained []string) error {
	front, err := graph.Cut(value)
	if err != nil {
		return invalid("training cannot begin at %s: %v", value, err)
	}
	for _, t := range front.Initializers {
		if slices.Contains(trained, t.Name) {
			return invalid("%s is to be trained and lies before %s, where training begins", t.Name, value)
		}
	}
	rest, err := graph.From(value)
	if err != nil {
		return invalid("training cannot begin at %s: %v", value, err)
	}
	if out := front.Outputs[0]; out.Type != onnx.Float || width(out.Shape) == 0 {
		return invalid("training cannot begin at %s: it is %v%v, not float32 with a row for each picture or text", value, out.Type, out.Shape)
	}
	n.towers[indexOf(side)] = prefixed(rest, prefix(side))
	if side == clip.ImageSide {
		n.locked = front
	} else {
		n.read = front
	}
	return nil
}

// width is how many numbers a row of a value has, whatever the batch; 0 if that is not
// known.
func width(s onnx.Shape) int {
	if len(s) < 2 {
		return 0
	}
	n, known := s[1:].Size().Known()
	if _, fixed := s[0].Known(); fixed || !known {
		return 0
	}
	return int(n)
}

// from is where training begins in a tower; "": at its inputs.
func (c TrainConfig) from(side clip.Side) string {
	if side == clip.TextSide {
		return c.TextFrom
	}
	return c.ImageFrom
}

// headDim is how many numbers a new head makes; 0: there is none. A new text tower has
// embeddings of its own size, which the image tower needs a head for.
func headDim(c Config, side clip.Side, fresh bool) int {
	if fresh && side == clip.TextSide {
		return 0
	}
	if fresh {
		return cmp.Or(c.Train.Head, c.Model.Dim)
	}
	return c.Train.Head
}

// pick returns the names of those weights of a tower that are trained.
func (n *network) pick(graph *onnx.Model, side clip.Side, s Selection) ([]string, error) {
	var parameters []clip.Parameter
	if m := n.models[indexOf(side)].Side(side); m.Built() {
		list, err := m.Parameters(side)
		if err != nil {
			return nil, err
		}
		parameters = append([]clip.Parameter{}, list...) // not nil
	}
	names, err := s.pick(weightsOf(graph, parameters))
	if err != nil {
		return nil, fmt.Errorf("train.%s: %w", side, err)
	}
	return names, nil
}

// slow returns an error if a weight is to learn more slowly that does not learn.
func (n *network) slow(s Selection) error {
	if s.None() {
		return nil
	}
	if _, err := s.pick(weights{names: slices.Sorted(maps.Keys(n.trained))}); err != nil {
		return fmt.Errorf("optim.slow: of what is trained, %w", err)
	}
	return nil
}

func indexOf(side clip.Side) engine.Side {
	if side == clip.TextSide {
		return engine.Text
	}
	return engine.Image
}

// lock leaves of the image tower what is behind its features.
func (n *network) lock(bare *onnx.Model) (err error) {
	n.locked = bare
	if !n.trained[prefix(clip.ImageSide)+headWeight] {
		n.towers[engine.Image], err = passing(bare.Outputs[0])
		return err
	}
	frozen, rest, err := n.whole[engine.Image].Split(func(t *onnx.Tensor) bool { return n.trained[t.Name] })
	if err != nil {
		return err
	}
	if frozen == nil || len(frozen.Outputs) != 1 {
		return fmt.Errorf("a head cannot be told from the tower that it stands on")
	}
	n.locked, n.towers[engine.Image] = frozen, rest
	return nil
}

// preprocess is how pictures become the image tower's input.
func (n *network) preprocess() clip.Preprocess { return n.models[engine.Image].Preprocess }

// scratch writes a new network into dir, with a vocabulary learned from the captions
// of a set, and reads it. The same configuration and captions give the same bytes.
func scratch(ctx context.Context, dir string, c Config, set *data.Set) (clip.Model, error) {
	words, net := filepath.Join(dir, "words"), filepath.Join(dir, "network")
	if err := errors.Join(os.RemoveAll(words), os.RemoveAll(net)); err != nil {
		return clip.Model{}, err
	}
	if err := os.MkdirAll(net, 0o755); err != nil {
		return clip.Model{}, err
	}
	v, err := vocab.Train(captions(set), vocab.Options{Size: c.Model.Vocabulary})
	if err != nil {
		return clip.Model{}, err
	}
	if err := v.Write(words, c.Model.Context); err != nil {
		return clip.Model{}, err
	}
	if err := ctx.Err(); err != nil {
		return clip.Model{}, err
	}
	if err := c.architecture().WriteScratch(net, os.DirFS(words), uint64(c.Seed)); err != nil {
		return clip.Model{}, err
	}
	return clip.ReadModel(net, "fp32")
}

// captions yields every caption of a set.
func captions(set *data.Set) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, it := range set.Items {
			for _, text := range it.Captions {
				if !yield(text) {
					return
				}
			}
		}
	}
}

// architecture is the network as package clip has it. Beside a model whose text tower is
// to be new, its image tower is not used.
func (c Config) architecture() clip.Architecture {
	m := c.Model
	a := clip.Architecture{
		Image: clip.Transformer{Width: m.ImageWidth, Layers: m.ImageLayers, Heads: m.ImageHeads}, ImageSize: m.ImageSize, Patch: m.Patch,
		Text: clip.Transformer{Width: m.TextWidth, Layers: m.TextLayers, Heads: m.TextHeads}, Context: m.Context,
		Dim: cmp.Or(c.Train.Head, m.Dim), Act: m.Activation,
	}
	if m.Image == "conv" {
		a.Patch = 0
		for side := m.Patch; side > 1; side /= 2 {
			a.Stem = append(a.Stem, max(8, m.ImageWidth*2/side))
		}
	}
	if c.Init != "" {
		a.Image, a.Stem, a.ImageSize, a.Patch = clip.Transformer{Width: 8, Layers: 1, Heads: 1}, nil, 8, 8
	}
	return a
}

// engineOptions are those of the network.
func (n *network) engineOptions(c Config, batch, threads int, provider string) (engine.Options, error) {
	o := engine.Options{
		Streams: []engine.Stream{{Image: n.towers[engine.Image], Text: n.towers[engine.Text], ImageFiles: n.files[engine.Image], TextFiles: n.files[engine.Text]}},
		Trained: func(name string) bool { return n.trained[name] },
		Loss:    c.Loss.Kind, Chunk: c.Compute.Chunk, GradCache: c.Compute.GradCache,
		Seed: uint64(c.Seed), Threads: threads, Provider: provider,
	}
	scale, bias := c.Loss.LogitScale, c.Loss.LogitBias
	if c.Init != "" {
		m := n.models[engine.Image]
		scale = cmp.Or(scale, m.LogitScale)
		if m.LogitBias != 0 {
			bias = m.LogitBias
		}
	}
	if scale > 0 {
		o.LogitScale = log32(min(scale, c.Loss.LogitScaleMax))
	}
	o.LogitBias = float32(bias)
	if c.Prompts.File != "" {
		behind, err := n.whole[engine.Image].From(c.Prompts.From)
		if err != nil {
			return o, invalid("prompts.from: %v", err)
		}
		pairs := o.Streams[0]
		pairs.Image, pairs.Batch, pairs.Weight = behind, 0, c.Prompts.Weight
		o.Streams = append(o.Streams, pairs)
	}
	return o, nil
}
