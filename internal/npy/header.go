package npy

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

const magic = "\x93NUMPY"

// layout is what a header says of the numbers behind it.
type layout struct {
	kind         byte // 'f', 'i', 'u' or 'b'
	size         int  // bytes of a number
	bigEndian    bool
	columnsFirst bool
	shape        []int
	n            int // numbers
}

// The header is a Python dictionary with three keys in any order.
var (
	descrKey = regexp.MustCompile(`'descr'\s*:\s*'([<>|=])([a-zA-Z])(\d{1,2})'`)
	orderKey = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	shapeKey = regexp.MustCompile(`'shape'\s*:\s*\(([0-9,\sL]*)\)`)
	dtypeKey = regexp.MustCompile(`'descr'\s*:\s*([^,]{1,40})`)
)

func readHeader(r io.Reader) (layout, error) {
	const longest = 1 << 16 // a plain array's is about a hundred bytes
	var start [8]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[:6]) != magic {
		return layout{}, notNPY(err)
	}
	var length int
	switch start[6] {
	case 1:
		var n uint16
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return layout{}, short(err)
		}
		length = int(n)
	case 2, 3:
		var n uint32
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return layout{}, short(err)
		}
		if n > longest {
			return layout{}, invalid("npy header of %d bytes is no plain array's", n)
		}
		length = int(n)
	default:
		return layout{}, invalid("npy version %d.%d is none of 1, 2 and 3", start[6], start[7])
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return layout{}, short(err)
	}
	return parseHeader(string(text))
}

func notNPY(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("this is no .npy file: it does not begin with %q", magic)
	}
	return err
}

// short tells a file that ends too soon from one that cannot be read.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("npy file ends too soon")
	}
	return err
}

func parseHeader(text string) (layout, error) {
	descr, order, shape := descrKey.FindStringSubmatch(text), orderKey.FindStringSubmatch(text), shapeKey.FindStringSubmatch(text)
	if descr == nil {
		dtype := "nothing"
		if m := dtypeKey.FindStringSubmatch(text); m != nil {
			dtype = m[1]
		}
		return layout{}, invalid("npy dtype %s is no plain number", dtype)
	}
	if order == nil || shape == nil {
		return layout{}, invalid("npy header %.80q has no order or shape", text)
	}
	l := layout{kind: descr[2][0], bigEndian: descr[1] == ">", columnsFirst: order[1] == "True"}
	l.size, _ = strconv.Atoi(descr[3]) // two digits at most
	if !strings.Contains("f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1", descr[2]+descr[3]) {
		return layout{}, invalid("npy dtype %s%s is none of float16 to float64, int8 to int64, uint8 to uint64 and bool", descr[2], descr[3])
	}
	for d := range strings.FieldsFuncSeq(shape[1], func(r rune) bool { return r < '0' || r > '9' }) {
		x, err := strconv.Atoi(d)
		if err != nil {
			return layout{}, invalid("npy shape (%s) is too large", shape[1])
		}
		l.shape = append(l.shape, x)
	}
	var err error
	l.n, err = elements(l.shape)
	return l, err
}

// elements is the product of shape, refused where it is more than memory has.
func elements(shape []int) (int, error) {
	const most = math.MaxInt / 8
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > most/d {
			return 0, invalid("npy shape %v is impossible", shape)
		}
		n *= d
	}
	return n, nil
}
