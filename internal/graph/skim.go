package graph

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// skimmer reads protobuf messages in place: what is not asked for is passed
// over, not read.
type skimmer struct {
	r      io.ReaderAt
	window []byte // what was last read,
	at     int64  // and where it lies
	fields int    // that were read
}

// span is where a message lies.
type span struct{ from, to int64 }

// field is one field of a message: a body of bytes, or else a number.
type field struct {
	number protowire.Number
	bytes  bool // it is a body
	value  uint64
	body   span
}

const (
	windowSize = 32 << 10
	maxText    = 4 << 10
	maxHead    = 20 // bytes of a tag and of the varint after it
)

// bytes returns those of s, which last until the next call.
func (k *skimmer) bytes(s span) ([]byte, error) {
	n := s.to - s.from
	if n == 0 {
		return nil, nil
	}
	if from := s.from - k.at; from >= 0 && from+n <= int64(len(k.window)) {
		return k.window[from : from+n], nil
	}
	k.window = k.window[:cap(k.window)]
	if int64(len(k.window)) < max(n, windowSize) {
		k.window = make([]byte, max(n, windowSize))
	}
	read, err := k.r.ReadAt(k.window, s.from)
	k.window, k.at = k.window[:read], s.from
	if int64(read) >= n {
		return k.window[:n], nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// text reads a string.
func (k *skimmer) text(s span) (string, error) {
	if n := s.to - s.from; n > maxText {
		return "", fmt.Errorf("a name of %d bytes", n)
	}
	b, err := k.bytes(s)
	return string(b), err
}

// each calls f for the fields of a message, in their order.
func (k *skimmer) each(m span, f func(field) error) error {
	for at := m.from; at < m.to; {
		if k.fields++; k.fields > maxFields {
			return fmt.Errorf("more than %d fields", maxFields)
		}
		one, next, err := k.field(span{at, m.to})
		if err != nil {
			return err
		}
		if err := f(one); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// field reads the first field of m, and says where the next one begins.
func (k *skimmer) field(m span) (one field, next int64, err error) {
	head, err := k.bytes(span{m.from, min(m.to, m.from+maxHead)})
	if err != nil {
		return one, 0, err
	}
	number, kind, n := protowire.ConsumeTag(head)
	if n < 0 {
		return one, 0, protowire.ParseError(n)
	}
	one.number = number
	next = m.from + int64(n)
	switch kind {
	case protowire.VarintType, protowire.BytesType:
		v, n := protowire.ConsumeVarint(head[n:])
		if n < 0 {
			return one, 0, protowire.ParseError(n)
		}
		next += int64(n)
		if kind == protowire.VarintType {
			one.value = v
			return one, next, nil
		}
		if v > uint64(m.to-next) {
			return one, 0, io.ErrUnexpectedEOF
		}
		one.bytes, one.body = true, span{next, next + int64(v)}
		next = one.body.to
	case protowire.Fixed32Type:
		next += 4
	case protowire.Fixed64Type:
		next += 8
	default:
		return one, 0, fmt.Errorf("field %d has the wire type %d", number, kind)
	}
	if next > m.to {
		return one, 0, io.ErrUnexpectedEOF
	}
	return one, next, nil
}
