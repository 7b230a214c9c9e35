package clip

import "testing"

// TestDepthwise: what the kernels of convolutions by channels are made of is told from
// what can be trained.
func TestDepthwise(t *testing.T) {
	const trunk = "visual.trunk."
	for _, tt := range []struct {
		dir  string
		want map[string]bool
	}{
		{"open-clip-convnext", map[string]bool{
			trunk + "stages.0.blocks.0.conv_dw.weight": true, trunk + "stages.0.blocks.0.conv_dw.bias": false,
			trunk + "stages.0.blocks.0.mlp.fc1.weight": false, trunk + "stem.0.weight": false,
		}},
		{"open-clip-mobileclip", map[string]bool{
			trunk + "stages.0.blocks.0.token_mixer.mixer.conv_kxk.0.conv.weight": true,
			trunk + "stages.0.blocks.0.token_mixer.mixer.conv_kxk.0.bn.weight":   true,
			trunk + "stages.0.blocks.0.token_mixer.mixer.conv_kxk.0.bn.bias":     false,
			trunk + "stages.0.blocks.0.token_mixer.norm.identity.weight":         true,
			trunk + "stages.0.blocks.0.token_mixer.layer_scale.gamma":            true,
			trunk + "stages.0.blocks.0.mlp.fc1.weight":                           false,
			trunk + "stages.3.blocks.0.norm.weight":                              false,
			trunk + "stem.0.conv_kxk.0.conv.weight":                              false,
			trunk + "stem.1.conv_kxk.0.conv.weight":                              true,
			trunk + "stem.2.conv_kxk.0.conv.weight":                              false,
		}},
		{"open-clip-resnet", map[string]bool{"visual.conv1.weight": false, "visual.layer1.0.conv2.weight": false}},
	} {
		m, err := ReadModel("../embed/testdata/models/"+tt.dir, "")
		if err != nil {
			t.Fatal(err)
		}
		parts, err := m.Parameters(ImageSide)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, p := range parts {
			got[p.Name] = p.Depthwise
		}
		for name, want := range tt.want {
			if depthwise, ok := got[name]; !ok || depthwise != want {
				t.Errorf("%s: %s is a parameter: %v, of a depthwise kernel: %v, want true and %v", tt.dir, name, ok, depthwise, want)
			}
		}
	}
}
