package ann

// cold returns a chunk whose whole numbers are to be copied from the file into
// memory, -1 if there is none: chunks that are full, while all of them are to be.
func (x *Index) cold(st *state) int {
	r := st.rows
	if r.len() > x.options.InMemory {
		return -1
	}
	for c := range r.len() >> chunkShift {
		if r.wholes[c].Load().summed {
			return c
		}
	}
	return -1
}

// warm copies the whole numbers of a full chunk into memory, where they need no
// checksums. What is damaged is made anew.
func (x *Index) warm(r *rows, c int) error {
	from := r.wholes[c].Load()
	to, err := newWholes(inMemory{}, c, from.width, r.slabs)
	if err != nil {
		return err
	}
	v := make([]float32, x.options.Dim)
	for i := range uint32(chunkRows) {
		n := uint32(c)<<chunkShift + i
		if r.isDead(n) || from.sound(i, r.code(n)) {
			copy(to.row(i), from.row(i))
			continue
		}
		x.whole(r, v, n)
		codes, fine := to.numbers(i)
		r.quant.encodeWhole(v, codes, fine)
	}
	r.wholes[c].Store(to)
	release(from.bytes)
	return nil
}
