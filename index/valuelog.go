package index

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A value log is a header and then entries, one after the other: meta, user meta,
// lengths of key and value, expiry, key, value, CRC-32C of all that. Badger reads one
// from its beginning when it is the newest and the store is opened, and when it gives
// back the room of what was deleted; it takes an entry that is damaged for the end, and
// what comes behind it is lost. So a gap is closed first.
const (
	logHeader  = 20
	logDeleted = 1 // meta: nothing is to be kept of this entry
	logMaxKey  = 1 << 16
)

// logDamage is from where to where a log cannot be read.
type logDamage struct{ from, to int }

// mendLog makes an entry of what lies between two that are whole, if the log in path
// cannot be read through. What was there stays damaged: it has a checksum of its own.
// The end of a log, which a crash may have torn, is left to Badger.
func mendLog(path string) error {
	whole, err := readsThrough(path)
	if err != nil || whole {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, d := range logDamages(b) {
		filler := fillerEntry(b[d.from:d.to])
		if filler == nil {
			return fmt.Errorf("value log %s is damaged from byte %d to %d", filepath.Base(path), d.from, d.to)
		}
		if _, err := f.WriteAt(filler, int64(d.from)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// readsThrough reports whether every entry of a log is whole, up to its end or to
// zeros.
func readsThrough(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Seek(logHeader, io.SeekStart); err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(f, 256<<10)
	var buf []byte
	for {
		head, err := r.Peek(2 + 3*binary.MaxVarintLen64)
		if len(head) == 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		size, ok := entrySizeOf(head)
		if !ok || size > maxEntry {
			return isZero(head), nil
		}
		buf = slices.Grow(buf[:0], size)[:size]
		if _, err := io.ReadFull(r, buf); err != nil || !entryWhole(buf) {
			return false, nil
		}
	}
}

// maxEntry is more than any entry has.
const maxEntry = 64 << 20

// entrySizeOf returns how many bytes the entry has that begins with head.
func entrySizeOf(head []byte) (size int, ok bool) {
	at := 2
	var lengths [3]uint64 // of key and value; and the expiry
	for i := range lengths {
		v, n := binary.Uvarint(head[min(at, len(head)):])
		if n <= 0 {
			return 0, false
		}
		lengths[i], at = v, at+n
	}
	if lengths[0] == 0 || lengths[0] > logMaxKey || lengths[1] > maxEntry {
		return 0, false
	}
	return at + int(lengths[0]) + int(lengths[1]) + crc32.Size, true
}

func entryWhole(b []byte) bool {
	n := len(b) - crc32.Size
	return binary.BigEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli)
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// logDamages returns what lies between entries that are whole in a log b.
func logDamages(b []byte) (list []logDamage) {
	for at := logHeader; at < len(b); {
		if n, ok := entryAt(b, at); ok {
			at += n
			continue
		}
		next := at + 1
		for ; next < len(b); next++ {
			if !ourKey(b[next:]) {
				continue
			}
			if _, ok := entryAt(b, next); ok {
				break
			}
		}
		if next >= len(b) {
			return list
		}
		list, at = append(list, logDamage{at, next}), next
	}
	return list
}

// ourKey reports whether the key of the entry that begins with b is one of the store's,
// or of a filler: any bytes might be an entry, and sums of all of them take long.
func ourKey(b []byte) bool {
	at := 2
	for range 3 {
		_, n := binary.Uvarint(b[min(at, len(b)):])
		at += max(n, 0)
	}
	return at+1 < len(b) && (b[at+1] == '/' && bytes.IndexByte([]byte("mvctpxsSCGg"), b[at]) >= 0 || b[at] == '-' && b[at+1] == 0)
}

// entryAt returns the size of the entry at a place, if one is there and whole.
func entryAt(b []byte, at int) (n int, ok bool) {
	n, ok = entrySizeOf(b[at:min(len(b), at+2+3*binary.MaxVarintLen64)])
	if !ok || n > len(b)-at {
		return 0, false
	}
	return n, entryWhole(b[at : at+n])
}

// fillerEntry returns gap with the frame of an entry of its size, that of nothing;
// nil where it is too small for one.
func fillerEntry(gap []byte) []byte {
	b := bytes.Clone(gap)
	for key := 9; key < 9+binary.MaxVarintLen64; key++ { // a byte, and a version
		head := []byte{logDeleted, 0}
		head = binary.AppendUvarint(head, uint64(key))
		for digits := 1; digits <= binary.MaxVarintLen32; digits++ {
			value := len(b) - len(head) - digits - 1 - key - crc32.Size
			if value < 0 || len(binary.AppendUvarint(nil, uint64(value))) != digits {
				continue
			}
			head = append(binary.AppendUvarint(head, uint64(value)), 0)
			copy(b, head)
			copy(b[len(head):], append([]byte{'-'}, make([]byte, key-1)...))
			n := len(b) - crc32.Size
			binary.BigEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
			return b
		}
	}
	return nil
}

// logPath is where the value log of a number lies.
func logPath(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("%06d.vlog", n)) }

// mendNewest mends the log that Badger reads when the store in dir is opened, and
// would cut.
func mendNewest(dir string) error {
	n, err := newest(dir, ".vlog")
	if err != nil || n == 0 {
		return err
	}
	return mendLog(logPath(dir, n))
}

// garbage is the share of a log that must be deleted before it is worth rewriting.
const garbage = 0.3

// worthwhile returns the value logs of which so much is deleted that Badger rewrites
// them, by the list that it keeps: a number and how many bytes, big-endian.
func (s *store) worthwhile() (logs []int, err error) {
	list, err := os.ReadFile(filepath.Join(s.dir, "DISCARD"))
	if err != nil {
		return nil, err
	}
	last, err := newest(s.dir, ".vlog")
	if err != nil {
		return nil, err
	}
	for ; len(list) >= 16; list = list[16:] {
		n, deleted := int(binary.BigEndian.Uint64(list)), binary.BigEndian.Uint64(list[8:])
		info, err := os.Stat(logPath(s.dir, n))
		if n > 0 && n < last && err == nil && float64(deleted) >= garbage*float64(info.Size()) {
			logs = append(logs, n)
		}
	}
	return logs, nil
}
