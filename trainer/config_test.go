package trainer

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func TestConfigRoundTrip(t *testing.T) {
	want := Defaults()
	want.Train.Image, want.Train.Text = Selection{"last:2"}, Selection{"*.mlp.*", "text_projection"}
	want.Optim.InGraph = true
	got, err := ParseConfig([]byte(asJSON(want)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a configuration that was printed and read (-want +got):\n%s", diff)
	}
	if list := want.differences(got); len(list) > 0 {
		t.Errorf("differences: %v", list)
	}
}

// TestKeys: every key is documented, and every default is allowed.
func TestKeys(t *testing.T) {
	for _, k := range Keys() {
		if k.Doc == "" {
			t.Errorf("key %s has no documentation", k.Name)
		}
	}
	c := Defaults()
	if err := c.Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{"optim":{"learning_rate":1}}`, `there is no key "optim.learning_rate"`},
		{`{"optim":{"weightdecay":1}}`, `did you mean "optim.weight_decay"`},
		{`{"optim":{"warm_up":1}}`, `did you mean "optim.warmup"`},
		{`{"optim":{"ingraph":true}}`, `did you mean "optim.in_graph"`},
		{`{"optim":{"in_graph":1}}`, `optim.in_graph is true or false, not 1`},
		{`{"steps":1}`, `did you mean "optim.steps"`},
		{`{"batch":1}`, `did you mean "data.batch"`},
		{`{"optm":{"steps":1}}`, `there is no key "optm"`},
		{`{"optim":{"steps":1.5}}`, `optim.steps is a whole number, not 1.5`},
		{`{"optim":{"steps":"1"}}`, `optim.steps is a whole number, not "1"`},
		{`{"optim":{"steps":null}}`, `optim.steps is a whole number, not null`},
		{`{"optim":{"steps":0}}`, `optim.steps 0 is not between 1 and 100000000`},
		{`{"optim":{"steps":1,"steps":2}}`, `"steps" is there twice`},
		{`{"optim":1}`, `optim is no JSON object`},
		{`{"optim":null}`, `optim is no JSON object`},
		{`null`, `it is no JSON object`},
		{`[]`, `it is no JSON object`},
		{`{`, `it is no JSON`},
		{`{} {}`, `it is no JSON`},
		{`{"loss":{"kind":"triplet"}}`, `loss.kind "triplet" is none of infonce, siglip, infoloob`},
		{`{"optim":{"beta2":1}}`, `optim.beta2 1 is not between`},
		{`{"augment":{"flip":-0.1}}`, `augment.flip -0.1 is not between 0 and 1`},
		{`{"model":{"image_size":100}}`, `model.image_size 100 is no multiple of model.patch 12`},
		{`{"model":{"text_heads":5}}`, `model.text_width 192 is no multiple of model.text_heads 5`},
		{`{"loss":{"logit_scale":200}}`, `loss.logit_scale 200 is more than`},
		{`{"train":{"lock_image":true}}`, `train.lock_image locks the image tower of a model`},
		{`{"train":{"image":3}}`, `train.image is a string such as`},
		{`{"train":{"image":[]}}`, `train.image: an empty list`},
		{`{"train":{"image":"last:0"}}`, `train.image: "last:0"`},
		{`{"train":{"text":["[a"]}}`, `train.text: "[a" is no pattern`},
		{`{"train":{"text":["all","x"]}}`, `train.text: "all" is no pattern`},
	} {
		c, err := ParseConfig([]byte(tt.text))
		if err == nil {
			err = c.Check()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("ParseConfig(%s): %v, want an invalid input that says %q", tt.text, err, tt.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(asJSON(Defaults())))
	f.Add([]byte(`{"optim":{"steps":5},"train":{"image":["*.mlp.*"]}}`))
	f.Add([]byte(`{"a":{"b":[{"c":1},{"c":2}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("ParseConfig(%q): %v is not the caller's mistake", text, err)
			}
			return
		}
		again, err := ParseConfig([]byte(asJSON(c)))
		if err != nil || len(c.differences(again)) > 0 {
			t.Errorf("ParseConfig(%q) does not survive being printed: %v %v", text, err, c.differences(again))
		}
	})
}

func TestEdits(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"lr", "lr", 0}, {"lr", "", 2}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := edits(tt.a, tt.b); got != tt.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
