//go:build !nomodel

package builtin_test

import (
	"testing"

	"github.com/clipsearch/clipsearch/embed/builtin"
)

// TestModel proves that the embedded files are those that the manifest names:
// nobody hashes them again when the program starts.
func TestModel(t *testing.T) {
	m, err := builtin.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range m.Verify() {
		t.Error(wrong)
	}
	for _, need := range []string{"LICENSE.model", "LICENSE.Apache-2.0", "NOTICE", "MODEL_CARD.md"} {
		if _, err := m.FS().Open(need); err != nil {
			t.Errorf("the model lacks %s", need)
		}
	}
}
