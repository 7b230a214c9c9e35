package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
)

// TestFixtures examines checkpoints that PyTorch wrote: random, and sound.
func TestFixtures(t *testing.T) {
	dirs, _ := filepath.Glob("../../../shared/fixtures/models/*-*")
	if len(dirs) == 0 {
		t.Skip("the fixtures are not beside the repository")
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if r := look(t, Examine, dir); !r.OK {
				t.Error(lines(r))
			}
		})
	}
}

// TestSabotageOfWeights breaks checkpoints that PyTorch wrote, and what lies beside them.
func TestSabotageOfWeights(t *testing.T) {
	const fixtures = "../../../shared/fixtures/models"
	if _, err := os.Stat(fixtures); err != nil {
		t.Skip("the fixtures are not beside the repository")
	}
	for _, tt := range []struct {
		name, check, model string
		harm               func(*testing.T, string)
	}{
		{"NaN", "weights", "hf-clip", inSafetensors("visual_projection.weight", 0, 0, 0xc0, 0x7f)},
		{"the factor for its logarithm", "logit_scale", "hf-clip", inSafetensors("logit_scale", 0, 0, 0xc8, 0x42)},
		{"context too short", "context", "hf-clip", edited("config.json", asJSON(func(c map[string]any) {
			c["text_config"].(map[string]any)["max_position_embeddings"] = 60
		}))},
		{"context too long", "context", "hf-clip", edited("config.json", asJSON(func(c map[string]any) {
			c["text_config"].(map[string]any)["max_position_embeddings"] = 90
		}))},
		{"crop for squash", "resize", "hf-siglip", edited("preprocessor_config.json", asJSON(func(c map[string]any) {
			c["do_center_crop"], c["crop_size"], c["size"] = true, 32, map[string]any{"shortest_edge": 32}
		}))},
		{"BGR, said by the file", "channels", "hf-clip", edited("preprocessor_config.json", asJSON(func(c map[string]any) { c["do_flip_channel_order"] = true }))},
		{"text tower of another model", "text_tower", "onnx-visual-textual", func(t *testing.T, dir string) {
			writeFile(t, dir, "textual/model.onnx", readFile(t, filepath.Join(fixtures, "onnx-mask"), "textual/model.onnx"))
		}},
		{"truncated data beside the graph", "weights", "onnx-external", edited("onnx/text_model.onnx_data", cut)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), tt.model)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, tt.model))); err != nil {
				t.Fatal(err)
			}
			tt.harm(t, dir)
			r := look(t, Examine, dir)
			if !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Name == tt.check && c.Verdict == Broken }) {
				t.Errorf("the check %s does not fail: %s", tt.check, lines(r))
			}
		})
	}
}

// inSafetensors writes bytes at the beginning of a tensor.
func inSafetensors(name string, with ...byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		const file = "model.safetensors"
		w, err := clip.OpenWeights(os.DirFS(dir), file)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		at, ok := w.Tensor(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		data := readFile(t, dir, file)
		copy(data[at.Offset:], with)
		writeFile(t, dir, file, data)
	}
}
