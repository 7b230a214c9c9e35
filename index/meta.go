package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/clipsearch/clipsearch"
)

// Format is the version of the directory that this program writes. It opens older
// ones, and makes them of this version before it first writes to them. Format 2
// may hold several spaces of which a record has vectors, and the key W.
const Format = 2

const (
	metaFile   = "clipsearch.json"
	backupFile = "clipsearch.backup.json"
)

// Meta says which vectors an index answers with.
type Meta struct {
	Format   int              `json:"format"`
	Space    clipsearch.Space `json:"space"`
	Model    string           `json:"model"`
	Dim      int              `json:"dim"`
	Previous clipsearch.Space `json:"previous,omitzero"` // what answered before, and a rollback goes back to

	// Language is that of the words: one of Languages, DefaultLanguage if empty.
	Language string `json:"language,omitempty" cbor:",omitempty"`

	Check string `json:"check"` // CRC-32C of the other fields
}

// ModelDir is where the index in dir keeps the model of a space.
func ModelDir(dir string, space clipsearch.Space) string {
	return filepath.Join(dir, "models", space.String())
}

// ReadMeta reads what an index says of itself. It takes no lock and changes
// nothing. The error wraps [clipsearch.ErrNotFound] where dir holds no index.
func ReadMeta(dir string) (Meta, error) {
	m, err := readMetaFile(filepath.Join(dir, metaFile))
	if err == nil || errors.Is(err, clipsearch.ErrInvalid) {
		return m, err
	}
	if second, err2 := readMetaFile(filepath.Join(dir, backupFile)); err2 == nil {
		return second, nil
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return m, err
	case isFile(dir):
		return m, fmt.Errorf("index %s is a file: name a folder with --index: %w", dir, clipsearch.ErrInvalid)
	}
	return m, noIndex(dir)
}

func noIndex(dir string) error {
	return fmt.Errorf("there is no index in %s: make one with `clipsearch ingest FOLDER --index %s`: %w", dir, dir, clipsearch.ErrNotFound)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func readMetaFile(path string) (Meta, error) {
	var m Meta
	b, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("read index: %w", err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read index: %s is damaged: %v", path, err)
	}
	if m.Check == m.sum() && m.Format > Format {
		return m, fmt.Errorf("index %s has format %d and this program knows %d: update clipsearch: %w", filepath.Dir(path), m.Format, Format, clipsearch.ErrInvalid)
	}
	if m.Check != m.sum() || m.Format < 1 || m.Dim < 1 {
		return m, fmt.Errorf("read index: %s is damaged: its checksum is wrong", path)
	}
	return m, nil
}

// sum is what m.Check should be.
func (m Meta) sum() string {
	m.Check = ""
	b, err := json.Marshal(m)
	if err != nil {
		panic("index: meta cannot be encoded: " + err.Error())
	}
	return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli))
}

func (m Meta) encode() []byte {
	m.Check = m.sum()
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic("index: meta cannot be encoded: " + err.Error())
	}
	return append(b, '\n')
}

// writeMeta writes both copies, one after the other, so that one is always whole.
func writeMeta(dir string, m Meta) error {
	for _, name := range []string{backupFile, metaFile} {
		if err := writeFile(filepath.Join(dir, name), m.encode()); err != nil {
			return err
		}
	}
	return nil
}

// writeFile puts b into the file at path, which has the old content or the new
// one at any moment, also of a power cut.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
