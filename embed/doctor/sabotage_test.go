package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

// options finds ONNX Runtime as the program does, or skips.
func options(t testing.TB) Options {
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	return Options{Embed: embed.Options{Library: func() (string, error) { return lib.Path, nil }}}
}

// looks are Examine and Quick.
type looks func(context.Context, clip.Model, Options) (Report, error)

// look reads a directory and looks at what is there.
func look(t *testing.T, how looks, dir string) Report {
	t.Helper()
	o := options(t)
	m, err := clip.ReadCopy(dir, "")
	if err != nil {
		return Unreadable(err)
	}
	r, err := how(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// trainedModel writes the embedded model into a directory.
func trainedModel(t *testing.T) string {
	t.Helper()
	m, err := builtin.Model()
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteModel(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// manifest changes a manifest.
func manifest(change func(map[string]any)) func(*testing.T, string) {
	return func(t *testing.T, dir string) { changeJSON(t, dir, clip.ManifestName, change) }
}

// edited changes a file, and has a manifest that is there say so: what is wrong is
// then the model, and not its delivery.
func edited(name string, change func(*testing.T, []byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		data := change(t, bytes.Clone(readFile(t, dir, name)))
		writeFile(t, dir, name, data)
		if _, err := os.Stat(filepath.Join(dir, clip.ManifestName)); err != nil {
			return
		}
		changeJSON(t, dir, clip.ManifestName, func(m map[string]any) {
			for _, f := range m["files"].([]any) {
				if f := f.(map[string]any); f["name"] == name {
					sum := sha256.Sum256(data)
					f["sha256"], f["bytes"] = hex.EncodeToString(sum[:]), len(data)
				}
			}
		})
	}
}

// overwrite puts bytes into the first weight that is chosen, at its middle.
func overwrite(choose func(graph, tensor) bool, with ...byte) func(*testing.T, []byte) []byte {
	return func(t *testing.T, data []byte) []byte {
		m, err := onnx.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		g, err := readONNX(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range m.Initializers {
			if choose(g, g.tensors[i]) {
				copy(w.Raw[len(w.Raw)/len(with)/2*len(with):], with)
				return marshal(m)
			}
		}
		t.Fatal("there is no such weight")
		return nil
	}
}

// rewired puts a Gather in front of a graph's input, or behind its output, which thereby
// gets another order: inside is what the rest of the graph calls it by then.
func rewired(portName string, isInput bool, axis int64, order []int64) func(*testing.T, []byte) []byte {
	const inside = "sabotage_inside"
	return func(t *testing.T, data []byte) []byte {
		m, err := onnx.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range m.Nodes {
			for _, list := range [][]string{n.Inputs, n.Outputs} {
				if i := slices.Index(list, portName); i >= 0 {
					list[i] = inside
				}
			}
		}
		m.Initializers = append(m.Initializers, onnx.Ints("sabotage_order", order, int64(len(order))))
		along := onnx.Attr{Name: "axis", Value: axis}
		if isInput {
			m.Nodes = slices.Insert(m.Nodes, 0, node("Gather", []string{portName, "sabotage_order"}, inside, along))
		} else {
			m.Nodes = append(m.Nodes, node("Gather", []string{inside, "sabotage_order"}, portName, along))
		}
		m.Info = nil
		return marshal(m)
	}
}

func turned(n int) []int64 {
	order := make([]int64, n)
	for i := range order {
		order[i] = int64(n - 1 - i)
	}
	return order
}

// TestSabotage breaks sound models in the ways that are met in the wild, and wants the
// check named that must find it. Each says why it can be found at all. What the quick
// look finds is not looked at longer: ingest has no more.
func TestSabotage(t *testing.T) {
	nan := overwrite(func(_ graph, w tensor) bool { return w.kind == float32s && w.count() > 100 }, 0, 0, 0xc0, 0x7f)
	noScale := overwrite(func(g graph, w tensor) bool { return g.scales[w.name] && w.count() > 8 }, 0, 0, 0, 0)
	exchanged := func(p map[string]any) { p["mean"], p["std"] = recipes[0].std, recipes[0].mean }
	for _, tt := range []struct {
		name, check string
		how         looks
		model       func(*testing.T) string
		harm        func(*testing.T, string)
	}{
		// Both have learned, and no caption of any language finds its photograph.
		{"towers of two models, of one size", "match", Examine, trainedModel, edited("textual.int8.onnx", rewired("text_embeds", false, 1, turned(256)))},
		// Their vectors differ in length.
		{"towers of two models", "space", Quick, tinyModel, edited("textual/model.onnx", rewired("text_embeds", false, 1, turned(tinyDim-3)))},
		// CLIP's figures are known, and they are in each other's place.
		{"swapped mean and std, random weights", "normalization", Quick, tinyModel, edited("visual/preprocess_cfg.json", asJSON(exchanged))},
		// Such values cost the captions their pictures, and another recipe finds them.
		{"mean and std of nowhere", "normalization", Examine, trainedModel, manifest(func(m map[string]any) {
			m["preprocess"].(map[string]any)["mean"], m["preprocess"].(map[string]any)["std"] = []float64{1.4, 1.4, 1.4}, []float64{0.1, 0.1, 0.1}
		})},
		// A model that knows colours prefers the words for the exchanged ones.
		{"BGR", "channels", Examine, trainedModel, edited("visual.int8.onnx", rewired("pixel_values", true, 1, turned(3)))},
		// With random weights only the files can tell.
		{"BGR, said by the file", "channels", Examine, tinyModel, edited("visual/preprocess_cfg.json", asJSON(func(p map[string]any) { p["mode"] = "BGR" }))},
		{"BGR, by the mean", "normalization", Quick, tinyModel, edited("visual/preprocess_cfg.json", asJSON(func(p map[string]any) {
			p["mean"], p["std"] = backwards(recipes[0].mean), backwards(recipes[0].std)
		}))},
		// The family is known to squash.
		{"crop for squash", "resize", Quick, tinyModel, func(t *testing.T, dir string) {
			changeJSON(t, dir, "config.json", func(c map[string]any) { c["model_type"] = "siglip" })
		}},
		// The tower looks at what follows the end, and its tokenizer fills up with 0.
		{"filled up with the end token, not causal", "padding", Examine, tinyModel, func(t *testing.T, dir string) {
			installed(t, dir)
			changeJSON(t, dir, clip.ManifestName, func(m map[string]any) { m["tokenizer"].(map[string]any)["pad"] = tinyWords - 1 })
		}},
		// The tokenizer has an end token, and texts end without it.
		{"no end token, random weights", "end_token", Quick, tinyModel, edited("textual/tokenizer.json", asJSON(func(m map[string]any) { m["post_processor"] = nil }))},
		// The graph says how many ids it takes, when asked.
		{"context too short", "context", Examine, tinyModel, edited("config.json", asJSON(func(c map[string]any) { c["text_cfg"] = map[string]any{"context_length": tinyPlaces - 4} }))},
		{"context too long", "context", Examine, tinyModel, edited("config.json", asJSON(func(c map[string]any) { c["text_cfg"] = map[string]any{"context_length": tinyPlaces + 57} }))},
		{"context longer than the places", "context", Examine, trainedModel, manifest(func(m map[string]any) { m["context_length"] = 600 })},
		// Captions of a few words do not fit, and the tower would take them.
		{"context of a few words", "context", Examine, trainedModel, manifest(func(m map[string]any) { m["context_length"] = 8 })},
		// No quantizer writes such a scale.
		{"int8 with one scale zeroed, image", "weights", Quick, trainedModel, edited("visual.int8.onnx", noScale)},
		{"int8 with one scale zeroed, text", "weights", Quick, trainedModel, edited("textual.int8.onnx", noScale)},
		{"NaN weight, image", "weights", Quick, tinyModel, edited("visual/model.onnx", nan)},
		{"NaN weight, text", "weights", Quick, tinyModel, edited("textual/model.onnx", nan)},
		{"infinite weight", "weights", Quick, tinyModel, edited("textual/model.onnx", overwrite(func(_ graph, w tensor) bool { return w.count() > 100 }, 0, 0, 0x80, 0x7f))},
		{"truncated, against its manifest", "files", Quick, trainedModel, func(t *testing.T, dir string) {
			writeFile(t, dir, "visual.int8.onnx", cut(t, readFile(t, dir, "visual.int8.onnx")))
		}},
		{"truncated, random weights", "layout", Quick, tinyModel, edited("textual/model.onnx", cut)},
		// Captions find their pictures, so the model is trained, and no trained one has such a factor.
		{"logit_scale not exponentiated", "logit_scale", Quick, trainedModel, manifest(func(m map[string]any) { m["logit_scale"] = math.Log(27.4) })},
		// All pictures become one.
		{"collapsed", "image_tower", Quick, tinyModel, func(t *testing.T, dir string) {
			writeFile(t, dir, "visual/model.onnx", blind())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.model(t)
			tt.harm(t, dir)
			r := look(t, tt.how, dir)
			if r.OK || r.Verdict != Broken {
				t.Errorf("the verdict is %s", r.Verdict)
			}
			named := false
			for _, c := range r.Checks {
				if c.Verdict == Broken {
					named = named || c.Name == tt.check
					t.Logf("%s: %s", c.Name, c.Detail)
				}
			}
			if !named {
				t.Errorf("the check %s does not fail: %s", tt.check, lines(r))
			}
		})
	}
}

// TestHarmless wants no check to fail where a model is whole, or was changed in a way
// that does no harm.
func TestHarmless(t *testing.T) {
	for _, tt := range []struct {
		name, verdict string
		how           looks
		model         func(*testing.T) string
		change        func(*testing.T, string)
	}{
		{"trained", OK, Examine, trainedModel, func(*testing.T, string) {}},
		{"random", Unproven, Examine, tinyModel, func(*testing.T, string) {}},
		{"fixed batch 1", Unproven, Examine, tinyModel, func(t *testing.T, dir string) {
			writeFile(t, dir, "visual/model.onnx", tinyImage(1))
			writeFile(t, dir, "textual/model.onnx", tinyText(1))
		}},
		{"squashed, which this model does not mind", OK, Examine, trainedModel, manifest(func(m map[string]any) { m["preprocess"].(map[string]any)["resize"] = "squash" })},
		{"mean and std of 0.5 exchanged", OK, Quick, trainedModel, manifest(func(m map[string]any) {
			p := m["preprocess"].(map[string]any)
			p["mean"], p["std"] = p["std"], p["mean"]
		})},
		{"filled up to fewer ids than BERT has places for", OK, Examine, trainedModel, manifest(func(m map[string]any) { m["tokenizer"].(map[string]any)["pad_to"] = 48 })},
		{"a small logit_scale of random weights", Unproven, Examine, tinyModel, func(t *testing.T, dir string) {
			installed(t, dir)
			changeJSON(t, dir, clip.ManifestName, func(m map[string]any) { m["logit_scale"] = 2.7 })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.model(t)
			tt.change(t, dir)
			if r := look(t, tt.how, dir); !r.OK || r.Verdict != tt.verdict {
				t.Errorf("the verdict is %s, not %s: %s", r.Verdict, tt.verdict, lines(r))
			}
		})
	}
}

// TestNoTokenizer: ids can still be embedded, so the model is not broken, but it is said.
func TestNoTokenizer(t *testing.T) {
	dir := tinyModel(t)
	if err := os.Remove(filepath.Join(dir, "textual/tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	r := look(t, Examine, dir)
	for _, c := range r.Checks {
		if c.Name == "tokenizer" && !c.OK && c.Verdict == Unproven && r.Verdict == Unproven && r.OK {
			return
		}
	}
	t.Errorf("a model without a tokenizer: %s", lines(r))
}

// installed gives a directory of the wild a manifest.
func installed(t *testing.T, dir string) {
	t.Helper()
	m, err := clip.ReadCopy(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	m.Name = "tiny"
	writeJSON(t, dir, clip.ManifestName, m)
}

func asJSON(change func(map[string]any)) func(*testing.T, []byte) []byte {
	return func(t *testing.T, data []byte) []byte {
		v := map[string]any{}
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		change(v)
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

func cut(_ *testing.T, data []byte) []byte { return data[:len(data)*6/10] }

// blind is an image tower that gives the same for every picture.
func blind() []byte {
	n := int64(3 * tinySide * tinySide)
	weights := make([]float32, n*tinyDim)
	bias := make([]float32, tinyDim)
	bias[0] = 1
	return onnxModel(port("pixel_values", onnx.Float, 0, 3, tinySide, tinySide), port("image_embeds", onnx.Float, 0, tinyDim),
		[]*onnx.Tensor{onnx.Floats("w", weights, n, tinyDim), onnx.Floats("b", bias, tinyDim)},
		[]*onnx.Node{
			node("Flatten", []string{"pixel_values"}, "flat", onnx.Attr{Name: "axis", Value: int64(1)}),
			node("MatMul", []string{"flat", "w"}, "x"),
			node("Add", []string{"x", "b"}, "image_embeds"),
		})
}

func lines(r Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		_, _ = io.WriteString(&b, "\n"+c.Verdict+" "+c.Name+": "+c.Detail)
	}
	return b.String()
}
