package clip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch/onnx"
)

// lines collects the tensors of a checkpoint for [checkpoint].
type lines struct{ strings.Builder }

func (l *lines) add(name, shape string) { fmt.Fprintf(l, "%s F32 [%s]\n", name, shape) }

func (l *lines) layer(name, shape, bias string) {
	l.add(name+".weight", shape)
	l.add(name+".bias", bias)
}

func (l *lines) norm(name, n string) {
	for _, part := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		l.add(name+part, n)
	}
}

// branch is a convolution with its batch normalization, as timm names them.
func (l *lines) branch(name, out, in string) {
	l.add(name+".conv.weight", out+","+in)
	l.norm(name+".bn", out)
}

// textLines are the text tower of openSmall, at the top or under "text.".
func textLines(prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(smallListing(true)) {
		if !strings.HasPrefix(line, "visual.") {
			b.WriteString(prefix + line)
		}
	}
	return b.String()
}

func resNetLines() string {
	var l lines
	for i, shape := range []string{"1,3,3,3", "1,1,3,3", "2,1,3,3"} {
		l.add(fmt.Sprint("visual.conv", i+1, ".weight"), shape)
		l.norm(fmt.Sprint("visual.bn", i+1), shape[:1])
	}
	in := 2
	for i := range 4 {
		n, base := 2<<i, fmt.Sprintf("visual.layer%d.0.", i+1)
		for j, shape := range []string{fmt.Sprint(n, ",", in, ",1,1"), fmt.Sprint(n, ",", n, ",3,3"), fmt.Sprint(4*n, ",", n, ",1,1")} {
			l.add(fmt.Sprint(base, "conv", j+1, ".weight"), shape)
			l.norm(fmt.Sprint(base, "bn", j+1), strings.Split(shape, ",")[0])
		}
		l.add(base+"downsample.0.weight", fmt.Sprint(4*n, ",", in, ",1,1"))
		l.norm(base+"downsample.1", fmt.Sprint(4*n))
		in = 4 * n
	}
	for _, name := range []string{"q", "k", "v"} {
		l.layer("visual.attnpool."+name+"_proj", "64,64", "64")
	}
	l.layer("visual.attnpool.c_proj", "4,64", "4")
	l.add("visual.attnpool.positional_embedding", "2,64")
	return l.String() + textLines("")
}

func convNeXtLines() string {
	var l lines
	const base = "visual.trunk."
	l.layer(base+"stem.0", "4,3,4,4", "4")
	l.layer(base+"stem.1", "4", "4")
	for i, d := range []string{"4", "6"} {
		stage := fmt.Sprint(base, "stages.", i, ".")
		if i > 0 {
			l.layer(stage+"downsample.0", "4", "4")
			l.layer(stage+"downsample.1", "6,4,2,2", "6")
		}
		l.layer(stage+"blocks.0.conv_dw", d+",1,7,7", d)
		l.layer(stage+"blocks.0.norm", d, d)
		l.layer(stage+"blocks.0.mlp.fc1", "8,"+d, "8")
		l.layer(stage+"blocks.0.mlp.fc2", d+",8", d)
		l.add(stage+"blocks.0.gamma", d)
	}
	l.layer(base+"head.norm", "6", "6")
	l.layer("visual.head.mlp.fc1", "8,6", "8")
	l.add("visual.head.mlp.fc2.weight", "4,8")
	return l.String() + textLines("")
}

// fastViTLines has a block of each kind.
func fastViTLines() string {
	var l lines
	const base = "visual.trunk."
	for i, in := range []string{"3,3,3", "1,3,3", "32,1,1"} {
		l.branch(fmt.Sprint(base, "stem.", i, ".conv_kxk.0"), "32", in)
	}
	l.branch(base+"stem.0.conv_scale", "32", "3,1,1")
	l.norm(base+"stem.2.identity", "32")
	mlp := func(block string) {
		l.branch(block+"mlp.conv", "32", "1,7,7")
		l.layer(block+"mlp.fc1", "8,32,1,1", "8")
		l.layer(block+"mlp.fc2", "32,8,1,1", "32")
	}
	mix := base + "stages.0.blocks.0."
	l.branch(mix+"token_mixer.mixer.conv_kxk.0", "32", "1,3,3")
	l.branch(mix+"token_mixer.mixer.conv_scale", "32", "1,1,1")
	l.norm(mix+"token_mixer.mixer.identity", "32")
	l.norm(mix+"token_mixer.norm.identity", "32")
	l.add(mix+"token_mixer.layer_scale.gamma", "32,1,1")
	l.add(mix+"layer_scale.gamma", "32,1,1")
	mlp(mix)
	down := base + "stages.1.downsample.proj."
	l.branch(down+"0.large_conv", "32", "1,7,7")
	l.branch(down+"0.small_conv", "32", "1,3,3")
	l.layer(down+"0.se.fc1", "2,32,1,1", "2")
	l.layer(down+"0.se.fc2", "32,2,1,1", "32")
	l.branch(down+"1.conv_kxk.0", "32", "32,1,1")
	l.layer(base+"stages.1.pos_emb.pos_enc", "32,1,7,7", "32")
	look := base + "stages.1.blocks.0."
	l.norm(look+"norm", "32")
	l.add(look+"token_mixer.qkv.weight", "96,32")
	l.layer(look+"token_mixer.proj", "32,32", "32")
	l.add(look+"layer_scale_1.gamma", "32,1,1")
	l.add(look+"layer_scale_2.gamma", "32,1,1")
	mlp(look)
	l.layer(base+"final_conv.reparam_conv", "64,1,3,3", "64")
	l.layer(base+"head.fc", "4,64", "4")
	return l.String() + textLines("text.")
}

// stemmedLines is a vision transformer like MobileCLIP-B: patches from convolutions,
// and no position for the class token.
func stemmedLines() string {
	var l lines
	const base = "visual.trunk."
	l.branch(base+"patch_embed.backbone.0", "2", "3,4,4")
	l.layer(base+"patch_embed.backbone.1.conv", "4,2,2,2", "4")
	l.add(base+"cls_token", "1,1,4")
	l.add(base+"pos_embed", "1,16,4")
	l.layer(base+"blocks.0.norm1", "4", "4")
	l.layer(base+"blocks.0.attn.qkv", "12,4", "12")
	l.layer(base+"blocks.0.attn.proj", "4,4", "4")
	l.layer(base+"blocks.0.norm2", "4", "4")
	l.layer(base+"blocks.0.mlp.fc1", "8,4", "8")
	l.layer(base+"blocks.0.mlp.fc2", "4,8", "4")
	l.layer(base+"norm", "4", "4")
	l.layer(base+"head", "4,4", "4")
	return l.String() + textLines("text.")
}

// convolutional are the smallest checkpoints of each family of image towers that
// begins with convolutions.
var convolutional = []struct{ name, vision, tensors string }{
	{"resnet", `"image_size":32,"layers":[1,1,1,1],"width":2,"head_width":32`, resNetLines()},
	{"convnext", `"image_size":32,"timm_model_name":"convnext_base","timm_pool":"","timm_proj":"mlp"`, convNeXtLines()},
	{"fastvit", `"image_size":32,"timm_model_name":"fastvit_mci1","timm_pool":"avg","timm_proj":null`, fastViTLines()},
	{"stemmed vit", `"image_size":32,"timm_model_name":"vit_base_mci_224","timm_pool":"token","timm_proj":null`, stemmedLines()},
}

func convolutionalModel(vision, tensors string) fstest.MapFS {
	config := `{"model_cfg":{"embed_dim":4,"vision_cfg":{` + vision + `},"text_cfg":{"context_length":3,"vocab_size":5,"width":4,"heads":2,"layers":1}}}`
	return fstest.MapFS{"open_clip_config.json": file(config), "model.safetensors": {Data: checkpoint(tensors)}}
}

func TestBuildConvolutional(t *testing.T) {
	for _, c := range convolutional {
		m, err := ReadModelFS(convolutionalModel(c.vision, c.tensors), "")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		g, err := m.BuildGraph(ImageSide)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if out := g.Outputs[0].Shape; fmt.Sprint(out) != "[batch,4]" {
			t.Errorf("%s: features of %v", c.name, out)
		}
		if i := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return n.Op == "BatchNormalization" }); i >= 0 {
			t.Errorf("%s: a batch normalization is left: %s", c.name, g.Nodes[i].Name)
		}
	}
}

// Every tensor left out or of another shape, one after the other, and odd sizes of
// pictures: an error, or a graph that can be read again, and never a panic.
func TestBuildConvolutionalHostile(t *testing.T) {
	for _, c := range convolutional {
		for line := range strings.Lines(c.tensors) {
			name := strings.Fields(line)[0]
			if !strings.HasPrefix(name, "visual.") {
				continue
			}
			checkBuild(t, convolutionalModel(c.vision, strings.Replace(c.tensors, line, "", 1)))
			for _, shape := range []string{"[]", "[1]", "[4,4]", "[1,1,1,1]", "[4,3,2,2]", "[32,64,3,3]", "[2,1,9,3]", "[2,2,2,2,2]"} {
				checkBuild(t, convolutionalModel(c.vision, strings.Replace(c.tensors, line, name+" F32 "+shape+"\n", 1)))
			}
		}
		for _, size := range []string{"0", "1", "2", "31", "33", "1000000000", "9223372036854775807"} {
			checkBuild(t, convolutionalModel(strings.Replace(c.vision, `"image_size":32`, `"image_size":`+size, 1), c.tensors))
		}
	}
}
