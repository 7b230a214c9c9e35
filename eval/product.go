package eval

// Tiles of the product of two matrices: small enough that both sides and the
// scores stay in a core's cache.
const (
	tileTexts  = 16 * blockRows
	tileImages = 42 * blockCols
)

// A block of the product is computed at once: twelve independent sums keep a
// core's units busy where one sum would wait for itself, and need each number
// they load three or four times.
const (
	blockRows = 4
	blockCols = 3
)

type block struct {
	rows [blockRows][]float32
	cols [blockCols][]float32
	sums [blockRows * blockCols]float32 // column after column
}

// products writes the inner products of rows t..t+nt of texts with rows i..i+ni
// of images into out, those of a text tileImages apart from the next one's.
func products(out []float32, texts, images Matrix, t, nt, i, ni int) {
	var b block
	for y := 0; y < nt; y += blockRows {
		for j := range b.rows {
			b.rows[j] = texts.Row(t + min(y+j, nt-1)) // beyond the edge the last one again
		}
		for x := 0; x < ni; x += blockCols {
			for k := range b.cols {
				b.cols[k] = images.Row(i + min(x+k, ni-1))
			}
			b.multiply()
			for j := range min(blockRows, nt-y) {
				for k := range min(blockCols, ni-x) {
					out[(y+j)*tileImages+x+k] = b.sums[k*blockRows+j]
				}
			}
		}
	}
}

// scalar adds to the sums what the rows hold from number k on.
func (b *block) scalar(k int) {
	n := len(b.cols[0])
	p, q, r, s := b.rows[0][k:n], b.rows[1][k:n], b.rows[2][k:n], b.rows[3][k:n]
	for c := range b.cols {
		var ps, qs, rs, ss float32
		for i, x := range b.cols[c][k:n] {
			ps += p[i] * x
			qs += q[i] * x
			rs += r[i] * x
			ss += s[i] * x
		}
		sums := b.sums[c*blockRows:][:blockRows]
		sums[0] += ps
		sums[1] += qs
		sums[2] += rs
		sums[3] += ss
	}
}
