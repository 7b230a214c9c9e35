package data

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPipe: a pipe in the place of a picture is damage, and nobody waits for what it says.
func TestPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cat.jpg")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := NewItem(name, "a cat").Read(); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a pipe: %v", err)
	}
}
