package npy

import "io"

// Rows reads single rows of an array of two dimensions, so that one that is larger
// than memory can be worked through. Its methods may be called concurrently.
type Rows struct {
	N, Dim int
	r      io.ReaderAt
	start  int64 // of the first row
	size   int   // of a number
	float  func([]byte) float64
}

// OpenRows reads the header of size bytes of r: floating point numbers, rows first.
func OpenRows(r io.ReaderAt, size int64) (*Rows, error) {
	head := io.NewSectionReader(r, 0, size)
	l, err := readHeader(head)
	if err != nil {
		return nil, err
	}
	start, err := head.Seek(0, io.SeekCurrent)
	switch {
	case err != nil:
		return nil, err
	case len(l.shape) != 2:
		return nil, invalid("npy shape %v is not [rows, dim]", l.shape)
	case l.kind != 'f':
		return nil, invalid("npy dtype %c%d is no floating point number: save it with astype('float32')", l.kind, l.size)
	case l.columnsFirst && l.shape[0] > 1 && l.shape[1] > 1:
		return nil, invalid("npy array has its columns first: save it with np.ascontiguousarray")
	case (size-start)/int64(l.size) < int64(l.n):
		return nil, invalid("npy file ends too soon: %d numbers of %d", (size-start)/int64(l.size), l.n)
	}
	return &Rows{N: l.shape[0], Dim: l.shape[1], r: r, start: start, size: l.size, float: l.float()}, nil
}

// Row returns row i, as float32.
func (r *Rows) Row(i int) ([]float32, error) {
	if i < 0 || i >= r.N {
		return nil, invalid("row %d of %d", i, r.N)
	}
	b := make([]byte, r.Dim*r.size)
	if n, err := r.r.ReadAt(b, r.start+int64(i)*int64(len(b))); n < len(b) {
		return nil, short(err)
	}
	row := make([]float32, r.Dim)
	for k := range row {
		row[k] = float32(r.float(b[k*r.size:]))
	}
	return row, nil
}
