package vocab

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
)

const flickr8k = "../../../shared/data/flickr8k/karpathy.json"

func readFlickr8k(t *testing.T) []string {
	text, err := os.ReadFile(flickr8k)
	if err != nil {
		t.Skipf("Flickr8k is not there: %v", err)
	}
	var file struct {
		Images []struct {
			Split     string
			Sentences []struct{ Raw string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range file.Images {
		for _, s := range m.Sentences {
			if m.Split == "train" {
				all = append(all, s.Raw)
			}
		}
	}
	return all
}

func TestFlickr8k(t *testing.T) {
	texts := readFlickr8k(t)
	v, err := Train(slices.Values(texts), Options{Size: 8192, MinCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := v.Write(dir, 32); err != nil {
		t.Fatal(err)
	}
	c, err := Cover(os.DirFS(dir), clip.TokenizerOptions{ContextLength: 32}, slices.Values(texts))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Tokens) != 8192 || c.Texts != 30000 || c.Share() > .01 {
		t.Errorf("%d tokens, and %+v of the captions fit into 32: want 8192 tokens and at least 99 %% of 30000", len(v.Tokens), c)
	}
	t.Logf("%d tokens, %d merges, %+v, share cut %.4f", len(v.Tokens), len(v.Merges), c, c.Share())
}
