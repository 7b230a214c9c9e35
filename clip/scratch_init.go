package clip

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
)

// initial are the tensors of a model before training. They are drawn as
// openai/CLIP's initialize_parameters draws those of its text tower (Radford et al.
// 2021, after GPT-2), here for both towers: with a width of d and l layers,
// attention's queries, keys and values with a deviation of d^-½, what goes back into
// the residual stream with (2·l·d)^-½, the MLP's inner layer with (2·d)^-½; words
// with 0.02, their positions with 0.01; class token, positions and projection of
// pictures with d^-½. Its patches are left to PyTorch, whose deviation of n inputs is
// (3·n)^-½. Convolutions of a stem have (2/n)^½ (He et al. 2015, Delving Deep into
// Rectifiers). Biases are zero.
type initial struct {
	seed uint64
	list []NewTensor
}

func (a Architecture) tensors(seed uint64) []NewTensor {
	t := &initial{seed: seed}
	const text, vision = "text_model.", "vision_model."
	t.constant("logit_scale", initialLogitScale)
	t.normal(text+"embeddings.token_embedding.weight", 0.02, a.Vocab, a.Text.Width)
	t.normal(text+"embeddings.position_embedding.weight", 0.01, a.Context, a.Text.Width)
	t.blocks(text+"encoder", a.Text)
	t.norm(text+"final_layer_norm", a.Text.Width)
	t.normal("text_projection.weight", root(a.Text.Width), a.Dim, a.Text.Width)

	d, grid := a.Image.Width, a.ImageSize/a.patch()
	t.normal(vision+"embeddings.class_embedding", root(d), d)
	t.patches(vision+"embeddings.", a)
	t.normal(vision+"embeddings.position_embedding.weight", root(d), grid*grid+1, d)
	t.norm(vision+"pre_layrnorm", d)
	t.blocks(vision+"encoder", a.Image)
	t.norm(vision+"post_layernorm", d)
	t.normal("visual_projection.weight", root(d), a.Dim, d)
	return t.list
}

// root is n^-½.
func root(n int) float64 { return 1 / math.Sqrt(float64(n)) }

// patches are what makes the transformer's rows of a picture.
func (t *initial) patches(base string, a Architecture) {
	if len(a.Stem) == 0 {
		t.normal(base+"patch_embedding.weight", root(3*3*a.Patch*a.Patch), a.Image.Width, 3, a.Patch, a.Patch)
		return
	}
	in := 3
	for i, out := range a.Stem {
		name := fmt.Sprintf("%sstem.%d", base, i)
		t.normal(name+".weight", math.Sqrt2*root(9*in), out, in, 3, 3)
		t.constant(name+".bias", 0, out)
		in = out
	}
	name := fmt.Sprintf("%sstem.%d", base, len(a.Stem))
	t.normal(name+".weight", root(in), a.Image.Width, in, 1, 1)
	t.constant(name+".bias", 0, a.Image.Width)
}

func (t *initial) blocks(base string, s Transformer) {
	names := hfBlock(base)
	back := root(2 * s.Layers * s.Width)
	for i := range s.Layers {
		n := names(i)
		t.norm(n.norm1, s.Width)
		for _, name := range []string{n.q, n.k, n.v} {
			t.linear(name, root(s.Width), s.Width, s.Width)
		}
		t.linear(n.out, back, s.Width, s.Width)
		t.norm(n.norm2, s.Width)
		t.linear(n.fc1, root(2*s.Width), s.MLP, s.Width)
		t.linear(n.fc2, back, s.Width, s.MLP)
	}
}

func (t *initial) norm(name string, d int) {
	t.constant(name+".weight", 1, d)
	t.constant(name+".bias", 0, d)
}

func (t *initial) linear(name string, deviation float64, out, in int) {
	t.normal(name+".weight", deviation, out, in)
	t.constant(name+".bias", 0, out)
}

func (t *initial) constant(name string, v float32, shape ...int) {
	t.add(name, shape, func() float32 { return v })
}

// normal draws a tensor from a stream of its own: other tensors do not move it.
func (t *initial) normal(name string, deviation float64, shape ...int) {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(t.seed, h.Sum64()))
	t.add(name, shape, func() float32 { return float32(deviation * r.NormFloat64()) })
}

func (t *initial) add(name string, shape []int, next func() float32) {
	t.list = append(t.list, NewTensor{Name: name, Type: "F32", Shape: shape, Write: func(w io.Writer) error {
		x := make([]float32, elements(shape))
		for i := range x {
			x[i] = next()
		}
		return writeFloats(w, x)
	}})
}
