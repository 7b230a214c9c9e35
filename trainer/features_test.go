package trainer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestDamagedFeatures: features that are kept, and are no longer what they were, are
// noticed and made again, and only those.
func TestDamagedFeatures(t *testing.T) {
	dir := t.TempDir()
	backbones(t, dir)
	c := composed(dir, 2)
	want, _ := learn(t, dir, filepath.Join(dir, "whole"), c, false, 0)
	files, err := filepath.Glob(filepath.Join(dir, "features", "*.features.safetensors"))
	if err != nil || len(files) != 2 {
		t.Fatalf("features %v, %v, want those of two views", files, err)
	}
	whole, err := os.ReadFile(files[0])
	must(t, err)
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	for says, file := range map[string][]byte{
		"its checksum is": flip(len(whole) / 2),
		"checksum is":     flip(len(whole) - 6), // which pictures are good
		"not ":            flip(len(whole) - 1), // the checksum
		"safetensors":     whole[:len(whole)-5],
		"features of":     nil,
		"no checksum":     bytes.Replace(whole, []byte(`"crc32c"`), []byte(`"crc32d"`), 1),
	} {
		must(t, os.WriteFile(files[0], file, 0o644))
		var told []string
		got, decoded := learnTold(t, dir, filepath.Join(t.TempDir(), "out"), c, false, 0, func(s string) { told = append(told, s) })
		if diff := gocmp.Diff(want, got); diff != "" || decoded != 12 {
			t.Errorf("%s: %d pictures were decoded, want 12; losses (-want +got):\n%s", says, decoded, diff)
		}
		if all := strings.Join(told, "\n"); strings.Count(all, "features of pictures are made again: ") != 1 || !strings.Contains(all, says) {
			t.Errorf("%s: the user is told %q", says, told)
		}
		if again, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(again, whole) {
			t.Errorf("%s: what was made again is not what was there: %v", says, err)
		}
	}
	if got, decoded := learn(t, dir, filepath.Join(dir, "again"), c, false, 0); decoded != 0 || !gocmp.Equal(want, got) {
		t.Errorf("whole features are not taken: %d pictures were decoded", decoded)
	}
}
