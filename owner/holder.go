package owner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files of an owner, beside those of the index.
const (
	lockName   = "owner.lock"
	holderName = "owner.json"
	socketName = "owner.sock"
)

// Holder says which process owns an index.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // such as "clipsearch serve"
	Version string    `json:"version,omitempty"`
	Since   time.Time `json:"since"`
}

// String names the process for a person.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d (%s)", h.PID, cmp.Or(h.Command, "unknown"))
}

// holderFile is owner.json. Network is empty until the owner listens.
type holderFile struct {
	Holder
	Network string `json:"network,omitempty"` // "unix" (then the address is owner.sock of the directory) or "tcp"
	Address string `json:"address,omitempty"`
	Token   string `json:"token"` // the secret; new for every owner
}

// readHolderFile reads owner.json, which may be a dead owner's.
func readHolderFile(dir string) (holderFile, error) {
	var f holderFile
	data, err := os.ReadFile(filepath.Join(dir, holderName))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("read %s: %w", holderName, err)
	}
	if f.Token == "" {
		return f, errors.New("read " + holderName + ": no token") // anyone could prove to know it
	}
	return f, nil
}

// write puts f in place at once: a reader sees the old file or the new one. Only
// the holder of the lock calls it.
func (f holderFile) write(dir string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, holderName)
	if err := os.Remove(name + ".tmp"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // what a dead owner left might not have our mode
	}
	if err := os.WriteFile(name+".tmp", data, 0o600); err != nil {
		return err
	}
	return replace(name+".tmp", name)
}

// replace renames a file. Where a file that someone reads cannot be replaced
// (Windows), the reader is done within moments.
func replace(from, to string) error {
	var err error
	for range 20 {
		if err = os.Rename(from, to); err == nil || !errors.Is(err, os.ErrPermission) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// remove takes away what f's owner has left in the directory, unless another
// owner's files are there: the directory may have been removed and made again.
func (f holderFile) remove(dir string) {
	if now, err := readHolderFile(dir); err != nil || now.Token != f.Token {
		return
	}
	if f.Network == "unix" {
		_ = os.Remove(filepath.Join(dir, socketName)) // a stale one does no harm
	}
	_ = os.Remove(filepath.Join(dir, holderName))
}

// commandName is the program and its subcommand. The words after it are the
// user's own, and nobody else's to read.
func commandName(args []string) string {
	if len(args) == 0 {
		return ""
	}
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		name += " " + args[1]
	}
	return name
}
