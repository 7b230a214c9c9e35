package clip

import (
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestNamed(t *testing.T) {
	m := Named("ViT-X", 512)
	// The digest is written into indexes: it must never be another.
	const want = "02b42edcdee77454010bf3d2ef0b7cbcd19a99b1c4316781e884b55a6db7b72a"
	if got := m.Space().String(); got != want {
		t.Errorf("Named(ViT-X, 512).Space() = %s, want %s", got, want)
	}
	seen := map[clipsearch.Space]bool{m.Space(): true, Model{}.Space(): true}
	for _, other := range []Model{Named("ViT-X", 51), Named("2\nViT-X", 51), Named("ViT-Y", 512), Named("", 512)} {
		if seen[other.Space()] {
			t.Errorf("Named(%q, %d) shares its space", other.Name, other.Dim)
		}
		seen[other.Space()] = true
	}
	if m.Runs() {
		t.Error("a model without files runs")
	}
}
