package clip

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

// evaLines is an EVA-02 of one block and one head, four numbers wide, and a text
// tower.
func evaLines() string {
	var l lines
	const base = "visual.trunk."
	l.layer(base+"patch_embed.proj", "4,3,2,2", "4")
	l.add(base+"cls_token", "1,1,4")
	l.add(base+"pos_embed", "1,5,4")
	const block = base + "blocks.0."
	for _, name := range []string{"norm1", "norm2", "attn.norm"} {
		l.layer(block+name, "4", "4")
	}
	for _, name := range []string{"attn.q_proj", "attn.v_proj", "attn.proj"} {
		l.layer(block+name, "4,4", "4")
	}
	l.add(block+"attn.k_proj.weight", "4,4")
	l.layer(block+"mlp.fc1_g", "8,4", "8")
	l.layer(block+"mlp.fc1_x", "8,4", "8")
	l.layer(block+"mlp.norm", "8", "8")
	l.layer(block+"mlp.fc2", "4,8", "4")
	l.layer(base+"norm", "4", "4")
	l.layer(base+"head", "4,4", "4")
	return l.String() + textLines("text.")
}

const evaSmall = `{"model_cfg":{"vision_cfg":{"timm_model_name":"eva02_base_patch16_clip_224","timm_pool":"token","image_size":4},"text_cfg":{"heads":2}}}`

func TestEvaSmall(t *testing.T) {
	tensors := evaLines()
	fsys := func(tensors string) fstest.MapFS {
		return fstest.MapFS{"open_clip_config.json": file(evaSmall), "model.safetensors": {Data: checkpoint(tensors)}}
	}
	m, err := ReadModelFS(fsys(tensors), "")
	if err != nil || m.Dim != 4 {
		t.Fatalf("features of %d numbers, %v", m.Dim, err)
	}
	for line := range strings.Lines(tensors) {
		name := strings.Fields(line)[0]
		if !strings.HasPrefix(name, "visual.") {
			continue
		}
		for _, shape := range []string{"[]", "[0]", "[1]", "[4]", "[6]", "[4,4]", "[6,6]", "[1,7,4]"} {
			checkBuild(t, fsys(strings.Replace(tensors, line, name+" F32 "+shape+"\n", 1)))
		}
		checkBuild(t, fsys(strings.Replace(tensors, line, "", 1)))
	}
}

// TestRotaryWidths: heads that cannot be cut in two coordinates of pairs.
func TestRotaryWidths(t *testing.T) {
	for _, tt := range []struct {
		heads, width int
		ok           bool
	}{{1, 4, true}, {2, 8, true}, {1, 2, false}, {1, 6, false}, {4, 8, false}, {3, 8, false}, {0, 8, false}, {1, 1, false}} {
		err := build(t, tensors{"x": {[]int{1}, []float32{1}}}, "", func(p *params) { rotary{reference: 2}.by(p, 5, true, tt.heads, tt.width) })
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "heads") {
			t.Errorf("%d heads in %d numbers: %v", tt.heads, tt.width, err)
		}
	}
	if got := (rotary{reference: 24, first: 1}).coordinate(2, 4); math.Abs(float64(got)-18) > 1e-6 {
		t.Errorf("the third patch of four is at %v, not at 18 of 24", got)
	}
}
