package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// A seal is written when a part of the index is closed in good order, and removed
// when it is opened: it tells the next open that files have come to harm
// meanwhile, before Badger or Bleve trip over them.
type seal struct {
	Files map[string]sealed `cbor:"1,keyasint"`
}

// sealed is a file as it was.
type sealed struct {
	Size    int64  `cbor:"1,keyasint"`
	Sum     uint32 `cbor:"2,keyasint,omitempty"` // CRC-32C
	Content []byte `cbor:"3,keyasint,omitempty"` // of a small one that all depends on
}

// storeKept are the files of the store that the seal keeps: without the first
// Badger takes its tables for rubbish and removes them.
var storeKept = []string{"MANIFEST", "KEYREGISTRY"}

// sealStore seals the store in dir.
func sealStore(dir string) {
	s := seal{Files: map[string]sealed{}}
	for _, name := range storeKept {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return // there is no seal then
		}
		s.Files[name] = sealed{Size: int64(len(b)), Content: b}
	}
	s.write(dir + ".seal")
}

// unsealStore puts back the files that have come to harm since the store in dir
// was sealed, and says which. It returns an error where a table cannot be opened
// without harm. The seal is gone for good before anybody writes: one that a power cut
// brought back would put an old list in the place of a newer one.
func unsealStore(dir string) (healed []string, err error) {
	s, _ := readSeal(dir + ".seal")
	for _, name := range storeKept {
		want, ok := s.Files[name]
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		if b, err := os.ReadFile(path); err == nil && (bytes.Equal(b, want.Content) || name == "MANIFEST" && goesOn(dir, b, want.Content)) {
			continue
		}
		if err := writeFile(path, want.Content); err != nil {
			return nil, err
		}
		healed = append(healed, name)
	}
	return healed, errors.Join(checkTables(dir), mendValueLogs(dir), removeSeal(dir+".seal"))
}

// goesOn reports whether b is Badger's list in dir, longer than it was and whole.
// Badger appends to it, so it is the seal that is old then.
func goesOn(dir string, b, was []byte) bool {
	if len(b) <= len(was) || !bytes.HasPrefix(b, was) {
		return false
	}
	_, err := listedTables(dir)
	return err == nil
}

// checkTables returns an error where Badger would trip over a table, or take all
// of them for rubbish. Tables that its list does not name are what a kill has left
// half-written, or not yet removed: Badger takes no notice of them.
func checkTables(dir string) error {
	tables, err := listedTables(dir)
	if err != nil {
		return fmt.Errorf("store %s is damaged: %v: %s", dir, err, anew)
	}
	var eg errgroup.Group
	eg.SetLimit(atOnce)
	for _, path := range tables {
		eg.Go(func() error {
			if err := checkTable(path); err != nil {
				return fmt.Errorf("store %s is damaged: table %s: %v: %s", dir, filepath.Base(path), err, anew)
			}
			return nil
		})
	}
	return eg.Wait()
}

// atOnce is how many tables are read at once, for a disk to have enough to do.
const atOnce = 16

// mendValueLogs zeroes the number of the encryption key in every value log: there is
// no encryption, and a flipped bit there would keep the whole store from opening.
func mendValueLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		if err := zeroStart(path, 8); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// zeroStart zeroes the first n bytes of a file, unless they are zero.
func zeroStart(path string, n int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil || bytes.Equal(b, make([]byte, n)) {
		return err
	}
	_, err = f.WriteAt(make([]byte, n), 0)
	return err
}

// tableEnd is about which part of a table Badger reads when it opens it: its index,
// and the block before that.
const tableEnd = 8

// checkTable checks what the end of a table says of its parts, which Badger
// believes: index, length of the index, checksum, length of the checksum. It has the
// system read that end, for Badger waits for one table after the other.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := info.Size()
	ahead(f, at-at/tableEnd, at/tableEnd)
	for _, part := range []struct{ least, most int64 }{
		{1, 64},          // the checksum
		{8, info.Size()}, // the index
	} {
		var b [4]byte
		if at -= int64(len(b)); at < 0 {
			return errors.New("it is cut off")
		}
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		n := int64(binary.BigEndian.Uint32(b[:]))
		if at -= n; n < part.least || n > part.most || at < 0 {
			return errors.New("its end is damaged")
		}
	}
	return nil
}

// sealText seals the text index in dir.
func sealText(dir string) {
	s := seal{Files: map[string]sealed{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := describeFile(path)
		s.Files[filepath.ToSlash(name)] = f
		return err
	})
	if err == nil {
		s.write(dir + ".seal")
	}
}

// errHarmed says that a file was changed since it was closed in good order.
var errHarmed = errors.New("it has come to harm")

// unsealText returns an error wrapping errTextGone and errHarmed if the text index
// in dir has come to harm since it was sealed.
func unsealText(dir string) error {
	s, ok := readSeal(dir + ".seal")
	for name, want := range s.Files {
		got, err := describeFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || got.Size != want.Size || got.Sum != want.Sum {
			return fmt.Errorf("%w: %w: %s is damaged", errTextGone, errHarmed, name)
		}
	}
	if !ok {
		return nil
	}
	return removeSeal(dir + ".seal")
}

// describeFile returns size and checksum of a file. Segments have one of their own,
// at their end; a large text index is left to Check.
func describeFile(path string) (sealed, error) {
	f, err := os.Open(path)
	if err != nil {
		return sealed{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sealed{}, err
	}
	const large = 64 << 20
	s := sealed{Size: info.Size()}
	if strings.HasSuffix(path, ".zap") && s.Size > large {
		return s, nil
	}
	h := crc32.New(castagnoli)
	_, err = io.Copy(h, f)
	s.Sum = h.Sum32()
	return s, err
}

// write writes s, or nothing: an index without a seal is as good, but for what a
// seal is for.
func (s seal) write(path string) {
	b := encode(s)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	tmp := path + ".tmp"
	if os.WriteFile(tmp, b, 0o600) != nil || os.Rename(tmp, path) != nil {
		os.Remove(tmp)
	}
}

func readSeal(path string) (s seal, ok bool) {
	b, err := os.ReadFile(path)
	n := len(b) - crcLen
	if err != nil || n < 0 || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return seal{}, false
	}
	return s, decode(b[:n], &s) == nil
}

// removeSeal removes a seal, so that it does not come back with a power cut.
func removeSeal(path string) error {
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return syncDir(filepath.Dir(path))
}
