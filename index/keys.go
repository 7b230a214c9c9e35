package index

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/clipsearch/clipsearch"
)

// The first byte of a key says what its value is; see the package comment.
const (
	recordPrefix   = "m/"
	vectorPrefix   = "v/"
	captionPrefix  = "c/"
	thumbPrefix    = "t/"
	pathPrefix     = "p/"
	dirtyPrefix    = "x/"
	spacePrefix    = "s/"
	codesPrefix    = "C/"
	graphPrefix    = "G/"
	journalPrefix  = "g/"
	manifestPrefix = "S/"
	countsKey      = "n"
	metaKey        = "M"
	rebuildKey     = "R"
	intentKey      = "W"
)

// maxVectors is how many vectors of one kind a picture may have in a space: what
// the two bytes of a key can number, and far more than a video has frames worth
// looking at.
const maxVectors = 1 << 16

func idKey(prefix string, id clipsearch.ID) []byte { return append([]byte(prefix), id[:]...) }

// spaceKey is the prefix of everything that space has under prefix.
func spaceKey(prefix string, space clipsearch.Space) []byte {
	return append([]byte(prefix), space[:]...)
}

// vectorsKey is the prefix of the vectors of id.
func vectorsKey(prefix string, space clipsearch.Space, id clipsearch.ID) []byte {
	return append(append(spaceKey(prefix, space), '/'), append(id[:], '/')...)
}

func vectorKey(prefix string, space clipsearch.Space, id clipsearch.ID, n int) []byte {
	return binary.BigEndian.AppendUint16(vectorsKey(prefix, space, id), uint16(n))
}

const (
	idKeyLen     = 2 + len(clipsearch.ID{})
	vectorKeyLen = 2 + len(clipsearch.Space{}) + 1 + len(clipsearch.ID{}) + 1 + 2
)

// parseIDKey is the inverse of idKey.
func parseIDKey(key []byte) (id clipsearch.ID, ok bool) {
	if len(key) != idKeyLen {
		return id, false
	}
	return clipsearch.ID(key[2:]), true
}

// parseVectorKey is the inverse of vectorKey.
func parseVectorKey(key []byte) (space clipsearch.Space, id clipsearch.ID, n int, ok bool) {
	if len(key) != vectorKeyLen {
		return space, id, 0, false
	}
	rest := key[2:]
	space, rest = clipsearch.Space(rest[:len(space)]), rest[len(space)+1:]
	id, rest = clipsearch.ID(rest[:len(id)]), rest[len(id)+1:]
	return space, id, int(binary.BigEndian.Uint16(rest)), true
}

func pathKey(path string) []byte {
	sum := sha256.Sum256([]byte(path))
	return append([]byte(pathPrefix), sum[:16]...)
}
