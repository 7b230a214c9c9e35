package clip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// checkpoint writes a safetensors file of zeros from lines such as
// "visual.proj F32 [48,24]"; nil if it would be large or no file at all.
func checkpoint(lines string) []byte {
	const most = 1 << 23
	header := map[string]any{}
	end := 0
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		var shape []int
		if len(f) != 3 || json.Unmarshal([]byte(f[2]), &shape) != nil || header[f[0]] != nil || len(header) > 1000 {
			return nil
		}
		n, ok := product(tensorSizes[f[1]], shape)
		if !ok || n < 0 || n > int64(most-end) {
			return nil
		}
		header[f[0]] = map[string]any{"dtype": f[1], "shape": shape, "data_offsets": []int{end, end + int(n)}}
		end += int(n)
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), make([]byte, end)...)
}

// listing is the lines of a checkpoint in the fixtures.
func listing(f *testing.F, name string) string {
	w, err := OpenWeights(os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		f.Fatal(err)
	}
	defer w.Close()
	var b strings.Builder
	for _, name := range w.Names() {
		t, _ := w.Tensor(name)
		shape, err := json.Marshal(t.Shape)
		if err != nil {
			f.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s\n", name, t.Type, shape)
	}
	return b.String()
}

// Two towers of one block each, four numbers wide.
const (
	openSmall = `{"model_cfg":{"embed_dim":4,"vision_cfg":{"image_size":4,"layers":1,"width":4,"head_width":2,"patch_size":2},"text_cfg":{"context_length":3,"vocab_size":5,"width":4,"heads":2,"layers":1}}}`
	hfSmall   = `{"model_type":"clip","text_config":{"num_attention_heads":2,"max_position_embeddings":3},"vision_config":{"num_attention_heads":2,"image_size":4}}`
)

func smallListing(open bool) string {
	var b strings.Builder
	tensor := func(name string, shape string) { fmt.Fprintf(&b, "%s F32 [%s]\n", name, shape) }
	layer := func(name, shape, bias string) { tensor(name+".weight", shape); tensor(name+".bias", bias) }
	block := func(n blockNames) {
		layer(n.norm1, "4", "4")
		layer(n.norm2, "4", "4")
		layer(n.out, "4,4", "4")
		layer(n.fc1, "8,4", "8")
		layer(n.fc2, "4,8", "4")
		if n.qkvWeight != "" {
			tensor(n.qkvWeight, "12,4")
			tensor(n.qkvBias, "12")
			return
		}
		for _, name := range []string{n.q, n.k, n.v} {
			layer(name, "4,4", "4")
		}
	}
	if open {
		block(openBlock("transformer")(0))
		block(openBlock("visual.transformer")(0))
		for name, shape := range map[string]string{"token_embedding.weight": "5,4", "positional_embedding": "3,4", "text_projection": "4,4", "visual.proj": "4,4", "visual.class_embedding": "4", "visual.conv1.weight": "4,3,2,2", "visual.positional_embedding": "5,4"} {
			tensor(name, shape)
		}
		for _, name := range []string{"ln_final", "visual.ln_pre", "visual.ln_post"} {
			layer(name, "4", "4")
		}
		return b.String()
	}
	block(hfBlock("text_model.encoder")(0))
	block(hfBlock("vision_model.encoder")(0))
	const text, vision = "text_model.embeddings.", "vision_model.embeddings."
	for name, shape := range map[string]string{text + "token_embedding.weight": "5,4", text + "position_embedding.weight": "3,4", "text_projection.weight": "4,4", "visual_projection.weight": "4,4", vision + "class_embedding": "4", vision + "patch_embedding.weight": "4,3,2,2", vision + "position_embedding.weight": "5,4"} {
		tensor(name, shape)
	}
	for _, name := range []string{"text_model.final_layer_norm", "vision_model.pre_layrnorm", "vision_model.post_layernorm"} {
		layer(name, "4", "4")
	}
	return b.String()
}

// stemmedListing is the small model with convolutions in place of its patches.
func stemmedListing() string {
	var b strings.Builder
	for line := range strings.Lines(smallListing(false)) {
		if !strings.Contains(line, "patch_embedding") {
			b.WriteString(line)
		}
	}
	const stem = "vision_model.embeddings.stem."
	return b.String() + stem + "0.weight F32 [2,3,3,3]\n" + stem + "0.bias F32 [2]\n" + stem + "1.weight F32 [4,2,1,1]\n" + stem + "1.bias F32 [4]\n"
}

// A directory of weights with any configuration and any tensors: it is read and its
// graphs are built and can be read again, or there is an error.
func FuzzBuildGraph(f *testing.F) {
	f.Add(openSmall, "", smallListing(true))
	f.Add(strings.Replace(hfSmall, "clip", stemmedType, 1), "", stemmedListing())
	f.Add(hfSmall, `{"size":{"shortest_edge":4},"crop_size":{"height":4,"width":4}}`, smallListing(false))
	files, _ := filepath.Glob("../../shared/fixtures/models/*/*.safetensors")
	for _, name := range files {
		config, err := os.ReadFile(filepath.Join(filepath.Dir(name), "open_clip_config.json"))
		if err != nil {
			config, err = os.ReadFile(filepath.Join(filepath.Dir(name), "config.json"))
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(config), "", listing(f, name))
	}
	f.Fuzz(func(t *testing.T, config, preprocess, tensors string) {
		weights := checkpoint(tensors)
		if weights == nil {
			return
		}
		fsys := fstest.MapFS{"model.safetensors": {Data: weights}, "preprocessor_config.json": file(preprocess)}
		if preprocess == "" {
			delete(fsys, "preprocessor_config.json")
		}
		for _, name := range []string{"config.json", "open_clip_config.json"} {
			fsys[name] = file(config)
			checkBuild(t, fsys)
			delete(fsys, name)
		}
	})
}

func checkBuild(t *testing.T, fsys fstest.MapFS) {
	t.Helper()
	m, err := ReadModelFS(fsys, "")
	if err != nil {
		if !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("ReadModelFS: %v is not ErrInvalid", err)
		}
		return
	}
	for _, side := range []Side{ImageSide, TextSide} {
		g, err := m.BuildGraph(side)
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("BuildGraph: %v is not ErrInvalid", err)
			}
			continue
		}
		checkRead(t, g)
		if g, _, err = m.TrainingGraph(side); err == nil {
			checkRead(t, g)
		} else if !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("TrainingGraph: %v is not ErrInvalid", err)
		}
	}
}

func checkRead(t *testing.T, g *onnx.Model) {
	t.Helper()
	data, err := g.Marshal()
	if err == nil {
		_, err = onnx.Read(data)
	}
	if err != nil {
		t.Errorf("a graph that was built cannot be read: %v", err)
	}
}

// The seeds are models, or the fuzzer would begin with nothing.
func TestBuildSmall(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"open_clip":    {"open_clip_config.json": file(openSmall), "model.safetensors": {Data: checkpoint(smallListing(true))}},
		"transformers": {"config.json": file(hfSmall), "model.safetensors": {Data: checkpoint(smallListing(false))}},
		"stemmed":      {"config.json": file(strings.Replace(hfSmall, "clip", stemmedType, 1)), "model.safetensors": {Data: checkpoint(stemmedListing())}},
	} {
		m, err := ReadModelFS(fsys, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, side := range []Side{ImageSide, TextSide} {
			g, err := m.BuildGraph(side)
			if err != nil {
				t.Errorf("%s, %s tower: %v", name, side, err)
			} else if out := g.Outputs[0].Shape; out[len(out)-1] != onnx.N(4) {
				t.Errorf("%s, %s tower: features of %v", name, side, out)
			}
		}
	}
}

// Every tensor with every kind of wrong shape, one after the other, and every
// number of the configuration: none of them may end in a panic.
func TestBuildHostile(t *testing.T) {
	for _, origin := range []struct{ name, config, listing string }{
		{"open_clip_config.json", openSmall, smallListing(true)},
		{"config.json", hfSmall, smallListing(false)},
		{"open_clip_config.json", hfTextConfig(`{"hf_model_name":"bert-base-uncased","hf_pooler_type":"mean_pooler","context_length":3}`), hfTextListing(12)},
		{"config.json", chineseSmall, chineseListing()},
		{"config.json", strings.Replace(hfSmall, "clip", stemmedType, 1), stemmedListing()},
		{"config.json", mclipSmall, bertListing("transformer.", 4) + "LinearTransformation.weight F32 [3,4]\nLinearTransformation.bias F32 [3]\n"},
	} {
		build := func(config, tensors string) {
			t.Helper()
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%s with\n%s: panic: %v\n%s", config, tensors, r, debug.Stack())
				}
			}()
			checkBuild(t, fstest.MapFS{origin.name: file(config), "model.safetensors": {Data: checkpoint(tensors)}})
		}
		for line := range strings.Lines(origin.listing) {
			name := strings.Fields(line)[0]
			build(origin.config, strings.Replace(origin.listing, line, "", 1))
			for _, tensor := range []string{
				"F32 []", "F32 [0]", "F32 [1]", "F32 [4]", "F32 [4,4]", "F32 [0,4]", "F32 [4,0]", "F32 [8,8]", "F32 [100003]", "F32 [1,3,4]",
				"F32 [4,3,0,0]", "F32 [4,3,9,9]", "F32 [0,3,2,2]", "F32 [2,2,2,2,2]", "F16 [4]", "F16 [4,4]", "BOOL [4]", "C64 [4]", "F8_E4M3 [4,4]",
			} {
				build(origin.config, strings.Replace(origin.listing, line, name+" "+tensor+"\n", 1))
			}
		}
		var config any
		if err := json.Unmarshal([]byte(origin.config), &config); err != nil {
			t.Fatal(err)
		}
		mutations(config, func(wrong string) {
			data, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			build(strings.Replace(string(data), `"here"`, wrong, 1), origin.listing)
		})
	}
}

// mutations calls f with each value of an object replaced by "here", and with what
// to write there.
func mutations(v any, f func(wrong string)) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, was := range object {
		mutations(was, f)
		object[key] = "here"
		for _, wrong := range []string{`-1`, `0`, `1`, `3`, `5`, `1000000000`, `9223372036854775807`, `1e400`, `1.5`, `"x"`, `null`, `true`, `[]`, `[1]`, `[1000000000,1000000000]`, `{}`} {
			f(wrong)
		}
		object[key] = was
	}
}
