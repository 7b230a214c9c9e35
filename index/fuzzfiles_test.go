package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzFiles opens an index whose small files hold anything, with the right checksum
// where they have one. Nothing may panic, nor be written outside of the index.
func FuzzFiles(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "index")
	x := open(f, dir)
	put(f, x, testEntry(1))
	closeIndex(f, x)
	for _, name := range fuzzedFiles {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, b)
	}
	f.Add("store.seal", encode(seal{Files: map[string]sealed{"../../outside": {Content: []byte("x")}, "../clipsearch.json": {}}}))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if !slices.Contains(fuzzedFiles, name) {
			return
		}
		top := t.TempDir()
		copied := filepath.Join(top, "index")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if part, _ := filepath.Split(name); part != "" { // else its seal would bring it back
			if err := os.Remove(filepath.Join(copied, filepath.Clean(part)+".seal")); err != nil {
				t.Fatal(err)
			}
		} else if filepath.Ext(name) == ".seal" {
			b = binary.LittleEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, castagnoli))
		}
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if x, err := Open(copied, Options{}); err == nil {
			_, err = x.Check(context.Background(), true)
			if err != nil {
				t.Errorf("Check: %v", err)
			}
			if m, err := x.Image(context.Background(), testID(1)); err == nil && m.Width != testEntry(1).Width {
				t.Errorf("Image = %+v", m)
			}
			closeIndex(t, x)
		}
		if list, err := os.ReadDir(top); err != nil || len(list) != 1 {
			t.Errorf("beside the index: %v, %v", list, err)
		}
	})
}

var fuzzedFiles = []string{metaFile, backupFile, "store.seal", "text.seal", "store/MANIFEST", "store/KEYREGISTRY", "store/DISCARD", "text/index_meta.json"}

// FuzzParts gives the bytes of files to those who read them before Badger and Bleve
// do: no panic, and no more memory than the bytes are worth.
func FuzzParts(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "index")
	x := open(f, dir)
	put(f, x, testEntry(1))
	closeIndex(f, x)
	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		f.Fatal("no table", err)
	}
	for _, name := range []string{metaFile, "store.seal", "text.seal", "store/MANIFEST", "store/" + filepath.Base(tables[0])} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-crcLen])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		write := func(name string, b []byte) string {
			t.Helper()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		if m, err := readMetaFile(write(metaFile, b)); err == nil {
			if again, err := readMetaFile(write(metaFile, m.encode())); err != nil || again != m {
				t.Errorf("%+v, written and read again: %+v, %v", m, again, err)
			}
		}
		write("text.seal", binary.LittleEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, castagnoli)))
		_ = unsealText(filepath.Join(dir, "text"))
		_ = checkTable(write("000001.sst", b))
		write("MANIFEST", b)
		_, _ = listedTables(dir)
		_ = segmentDamage(write("a.zap", b))
	})
}
