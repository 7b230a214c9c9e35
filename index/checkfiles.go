package index

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// checkFiles checks what lies beside the store.
func (c *check) checkFiles() {
	for _, name := range []string{metaFile, backupFile} {
		m, err := readMetaFile(filepath.Join(c.x.dir, name))
		if err == nil && m != readBack(c.x.meta()) {
			err = fmt.Errorf("%s says something else than the index", name)
		}
		if err != nil {
			c.wrong(name, oneLine(err), func(r *repair) { r.meta = true })
		}
	}
	c.x.writing.Lock()
	defer c.x.writing.Unlock()
	for _, name := range c.x.store.healed {
		c.wrong(name, "it was damaged, and put back as it was when the index was closed", func(*repair) {})
	}
	c.x.store.healed = nil
}

// readBack is m as it is after it was written and read.
func readBack(m Meta) Meta {
	m.Check = m.sum()
	return m
}

// segmentDamage compares a segment's last four bytes, the CRC-32 of all before
// them, with the rest.
func segmentDamage(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < crcLen {
		return fmt.Errorf("it has %d bytes", info.Size())
	}
	var h hash.Hash32 = crc32.NewIEEE()
	if _, err := io.CopyN(h, f, info.Size()-crcLen); err != nil {
		return err
	}
	var last [crcLen]byte
	if _, err := io.ReadFull(f, last[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(last[:]) != h.Sum32() {
		return errDamaged
	}
	return nil
}
