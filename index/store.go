package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/clipsearch/clipsearch/internal/disk"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcLen = 4

// What reading one key can come to besides a value.
var (
	errMissing = errors.New("it is missing")
	errDamaged = errors.New("its checksum is wrong")
)

var errClosed = errors.New("the index is closed")

// store is Badger with checksums and with room on the disk for what it writes.
// One goroutine writes at a time; any number read.
type store struct {
	life   sync.RWMutex // held for writing by close alone: Badger unmaps what readers read
	closed bool
	db     *badger.DB
	dir    string
	sizes  sizes
	healed []string               // files that were put back when it was opened, until Check has told
	wrote  bool                   // something since it was opened
	looked sync.Once              // by look
	broken atomic.Pointer[string] // what verify found when it last found something
	ready  bool                   // every file that the next write may touch has its blocks
	mem    int                    // the newest log of a memtable that has its blocks
	values int                    // the newest value log that has
}

// sizes of what Badger maps and writes. It takes twice as much address space.
type sizes struct {
	memtable int64
	valueLog int64
}

// slack is what a transaction may take beyond the size at which Badger begins a
// new file.
func (z sizes) slack() int64 { return z.memtable / 4 }

// room is how much Badger takes to begin with: two logs of memtables, a value log,
// the list of discards; and a table that a memtable becomes.
func (z sizes) room() int64 { return 3*(z.memtable+z.slack()) + z.valueLog + maxThumbs + 2<<20 }

// sizesFor returns small files for a small disk.
func sizesFor(free int64) sizes {
	if free < 2<<30 {
		return sizes{memtable: 8 << 20, valueLog: 6 << 20}
	}
	return sizes{memtable: 16 << 20, valueLog: 64 << 20}
}

// inline is the largest value that lies beside its key. Vectors do, so that they
// are read in one sweep; thumbnails do not, so that compaction leaves them alone.
const inline = 8 << 10

// openStore opens the store in dir, or makes one.
func openStore(dir string, z sizes) (s *store, err error) {
	if err := removeUnused(dir); err != nil {
		return nil, err
	}
	healed, err := unsealStore(dir)
	if err != nil {
		return nil, err
	}
	o := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one goroutine writes
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(z.memtable).
		WithNumMemtables(2).
		WithBaseTableSize(4 << 20).
		WithValueThreshold(inline).
		WithValueLogFileSize(z.valueLog).
		WithNumCompactors(0).      // see settle
		WithNumLevelZeroTables(1). // more are worth merging, when Flatten is called.
		WithNumLevelZeroTablesStall(math.MaxInt32)
	if err := mendNewest(dir); err != nil {
		return nil, openError(dir, err)
	}
	defer recoverInto(&err, "open store")
	db, err := badger.Open(o)
	if err != nil {
		return nil, openError(dir, err)
	}
	return &store{db: db, dir: dir, sizes: z, healed: healed}, nil
}

// anew is what helps where a store cannot be opened at all.
const anew = "leave it aside, and make a new index of an export (`clipsearch import FILE --index ELSEWHERE`) or of the folders (`clipsearch ingest FOLDER --index ELSEWHERE`)"

func openError(dir string, err error) error {
	text := oneLine(err)
	if strings.Contains(text, "Cannot acquire directory lock") {
		return fmt.Errorf("store %s is in use by another process: end it and try again", dir)
	}
	if _, rest, ok := strings.Cut(text, "Opening table: "); ok {
		name, _, _ := strings.Cut(rest, " err: ")
		text = fmt.Sprintf("table %s is damaged: its index cannot be read", filepath.Base(strings.Trim(name, `"`)))
	}
	return fmt.Errorf("open store %s: %s: %s", dir, text, anew)
}

// removeUnused removes the empty logs that reserve made and Badger had no time to
// use, or that it was killed over: it takes them for damage.
func removeUnused(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if ext != ".mem" && ext != ".vlog" {
			continue
		}
		if info, err := f.Info(); err == nil && info.Size() == 0 {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// recoverInto makes an error of a panic: Badger panics on some damages.
func recoverInto(err *error, what string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: the store is damaged: %s", what, oneLine(r))
	}
}

// oneLine is the first line of what v prints.
func oneLine(v any) string {
	line, _, _ := strings.Cut(strings.TrimSpace(fmt.Sprint(v)), "\n")
	return line
}

// close closes the store. Where the disk has no room for what Badger writes on
// closing, it leaves that in the log, from which the next open has it again; the
// directory then stays locked until this process ends.
func (s *store) close() (err error) {
	defer recoverInto(&err, "close store")
	s.life.Lock()
	defer s.life.Unlock()
	s.closed = true
	if s.wrote && !s.canFlush() {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %s", oneLine(err))
	}
	sealStore(s.dir)
	return removeUnused(s.dir)
}

// canFlush reports whether Badger can write a memtable out.
func (s *store) canFlush() bool {
	free, err := disk.Free(s.dir)
	return err == nil && free >= 2*s.sizes.memtable
}

// tx is a transaction: all reads see one state.
type tx struct{ txn *badger.Txn }

// view runs fn over the state of now.
func (s *store) view(fn func(tx) error) (err error) {
	defer recoverInto(&err, "read")
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return errClosed
	}
	return s.db.View(func(t *badger.Txn) error { return fn(tx{t}) })
}

// update runs fn and writes what it sets, all or nothing, through to the disk.
func (s *store) update(fn func(tx) error) (err error) {
	defer recoverInto(&err, "write")
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := checkSpace(s.dir, margin); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	s.wrote = true
	if err := s.db.Update(func(t *badger.Txn) error { return fn(tx{t}) }); err != nil {
		return err
	}
	_ = s.reserve() // what is written is written; the next update tries again and tells
	return nil
}

// errTooBig says that a transaction holds all that it can.
var errTooBig = badger.ErrTxnTooBig

// get returns the value of key, or errMissing or errDamaged. The caller may keep it.
func (t tx) get(key []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, errMissing
	}
	if err != nil {
		return nil, fmt.Errorf("read: %s", oneLine(err))
	}
	b, err := item.ValueCopy(nil)
	if err != nil {
		return nil, errDamaged
	}
	return checked(key, b)
}

// has reports whether there is a value of key, whatever its state.
func (t tx) has(key []byte) (bool, error) {
	_, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// checked returns b without its checksum.
func checked(key, b []byte) ([]byte, error) {
	n := len(b) - crcLen
	if n < 0 || binary.LittleEndian.Uint32(b[n:]) != sum(key, b[:n]) {
		return nil, errDamaged
	}
	return b[:n:n], nil
}

func sum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func (t tx) set(key, value []byte) error {
	value = binary.LittleEndian.AppendUint32(value[:len(value):len(value)], sum(key, value))
	return t.txn.Set(key, value)
}

func (t tx) delete(key []byte) error { return t.txn.Delete(key) }

// scan calls fn for every key that begins with prefix, in order. value is nil
// unless values; err is errDamaged where its checksum is wrong. Neither key nor
// value may be kept.
func (t tx) scan(prefix []byte, values bool, fn func(key, value []byte, err error) error) error {
	return t.scanFrom(prefix, prefix, values, fn)
}

// scanFrom is scan from the key start on.
func (t tx) scanFrom(prefix, start []byte, values bool, fn func(key, value []byte, err error) error) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues, o.Prefix = false, prefix
	it := t.txn.NewIterator(o)
	defer it.Close()
	var buf []byte
	for it.Seek(start); it.Valid(); it.Next() {
		item := it.Item()
		var value []byte
		var err error
		if values {
			if buf, err = item.ValueCopy(buf); err == nil {
				value, err = checked(item.Key(), buf)
			} else {
				err = errDamaged
			}
		}
		if err := fn(item.Key(), value, err); err != nil {
			return err
		}
	}
	return nil
}

// keys returns a copy of every key that begins with prefix.
func (t tx) keys(prefix []byte) (keys [][]byte, err error) {
	err = t.scan(prefix, false, func(key, _ []byte, _ error) error {
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	return keys, err
}

// flushed waits until no memtable is being written out.
func (s *store) flushed(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem")); err != nil || len(used(logs)) <= 1 {
			return
		}
	}
}

// used returns those of the files that have a size.
func used(files []string) []string {
	return slices.DeleteFunc(files, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || info.Size() == 0
	})
}

// limit is how much a transaction may hold beside the thumbnails.
func (s *store) limit() int64 { return s.db.MaxBatchSize() * 4 / 5 }
