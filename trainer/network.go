package trainer

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
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
	model   clip.Model
	towers  [2]*onnx.Model // by engine.Side; initializers have the side's name before their own
	files   [2]fs.FS
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

// openNetwork reads the towers of a model and says what of them is trained.
func openNetwork(m clip.Model, c TrainConfig) (*network, error) {
	n := &network{model: m, trained: map[string]bool{}}
	for i, side := range sides {
		selection := c.Image
		if side == clip.TextSide {
			selection = c.Text
		}
		if side == clip.ImageSide && c.LockImage {
			selection = Selection{"none"}
		}
		if err := n.open(i, side, selection); err != nil {
			return nil, fmt.Errorf("the %s tower of model %s: %w", side, m.Name, err)
		}
	}
	if len(n.trained) == 0 {
		return nil, invalid("nothing of model %s is trained: let train.image or train.text be more than none", m.Name)
	}
	return n, nil
}

func (n *network) open(i int, side clip.Side, s Selection) error {
	graph, files, err := n.model.TrainingGraph(side)
	if err != nil {
		return err
	}
	if graph, err = oneOutput(graph, outputs[i]); err != nil {
		return err
	}
	var names []string
	if n.model.Side(side).Built() {
		parameters, err := n.model.Parameters(side)
		if err != nil {
			return err
		}
		names = []string{}
		for _, p := range parameters {
			names = append(names, p.Name)
		}
	}
	picked, err := s.pick(weightsOf(graph, names))
	if err != nil {
		return err
	}
	for _, name := range picked {
		n.trained[prefix(side)+name] = true
	}
	n.towers[i], n.files[i] = prefixed(graph, prefix(side)), files
	return nil
}

// scratch writes a new network into dir, with a vocabulary learned from the captions
// of a set, and reads it. The same configuration and captions give the same bytes.
func scratch(ctx context.Context, dir string, c Config, set *data.Set) (clip.Model, error) {
	words, net := filepath.Join(dir, "words"), filepath.Join(dir, "network")
	if err := os.RemoveAll(dir); err != nil {
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
	if err := c.Model.architecture().WriteScratch(net, os.DirFS(words), uint64(c.Seed)); err != nil {
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

// architecture is the network as package clip has it.
func (m ModelConfig) architecture() clip.Architecture {
	a := clip.Architecture{
		Image: clip.Transformer{Width: m.ImageWidth, Layers: m.ImageLayers, Heads: m.ImageHeads}, ImageSize: m.ImageSize, Patch: m.Patch,
		Text: clip.Transformer{Width: m.TextWidth, Layers: m.TextLayers, Heads: m.TextHeads}, Context: m.Context,
		Dim: m.Dim, Act: m.Activation,
	}
	if m.Image == "conv" {
		a.Patch = 0
		for side := m.Patch; side > 1; side /= 2 {
			a.Stem = append(a.Stem, max(8, m.ImageWidth*2/side))
		}
	}
	return a
}

// engineOptions are those of the network.
func (n *network) engineOptions(c Config, batch, threads int, provider string) engine.Options {
	o := engine.Options{
		Streams: []engine.Stream{{Image: n.towers[engine.Image], Text: n.towers[engine.Text], ImageFiles: n.files[engine.Image], TextFiles: n.files[engine.Text]}},
		Trained: func(name string) bool { return n.trained[name] },
		Loss:    c.Loss.Kind, Chunk: c.Compute.Chunk, GradCache: c.Compute.GradCache,
		Seed: uint64(c.Seed), Threads: threads, Provider: provider,
	}
	scale, bias := c.Loss.LogitScale, c.Loss.LogitBias
	if c.Init != "" {
		scale = cmp.Or(scale, n.model.LogitScale)
		if n.model.LogitBias != 0 {
			bias = n.model.LogitBias
		}
	}
	if scale > 0 {
		o.LogitScale = log32(min(scale, c.Loss.LogitScaleMax))
	}
	o.LogitBias = float32(bias)
	return o
}

// trainedNames lists what is trained, sorted.
func (n *network) trainedNames() []string {
	var list []string
	for name := range n.trained {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
