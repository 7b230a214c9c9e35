package ann

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Load puts together what [Index.Save] wrote: get returns a part and may be called by
// two at once, doc gives a doc its number for this time. Links that are damaged cost
// the graph, which is then built anew; rows that are cost all.
func Load(ctx context.Context, o Options, saved []byte, doc func(Name) uint32, get func(Part) ([]byte, error)) (*Index, error) {
	m, err := parseManifest(saved, o)
	if err != nil {
		return nil, err
	}
	x, err := New(o)
	if err != nil {
		return nil, err
	}
	q := newQuantizer(m.Trained, m.Mean, m.Deviation)
	place, err := x.oldPlace(m)
	if err != nil {
		return nil, err
	}
	r := newRows(q, place)
	r.epoch = m.Epoch
	st := &state{rows: r}
	var twins []uint32
	var both errgroup.Group // a disk reads two things at once, and one is unpacked while the other comes
	if m.Graph != nil && m.Graph.M == x.options.M && m.Graph.Ef == x.options.EfConstruction {
		both.Go(func() (err error) {
			if st.graph, twins, err = loadGraph(ctx, m.Graph, get); err != nil {
				st.graph = nil
			}
			return ctx.Err()
		})
	}
	both.Go(func() error { return r.load(ctx, m, doc, get) })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	if st.graph != nil {
		for n, twin := range twins {
			r.info(uint32(n)).twin.Store(twin)
		}
		st.probe = &probe{found: m.Graph.Found, lean: m.Graph.Lean, deviation: m.Graph.Spread, far: m.Graph.Far}
	}
	x.state.Store(st)
	return x, nil
}

// oldPlace is where the whole numbers of m lie.
func (x *Index) oldPlace(m *manifest) (place, error) {
	if m.File == "" || x.options.Dir == "" || m.File != filepath.Base(m.File) {
		return nil, fmt.Errorf("whole numbers are not kept: %w", ErrStale)
	}
	return openFile(filepath.Join(x.options.Dir, m.File))
}

// load fills r with the rows of m.
func (r *rows) load(ctx context.Context, m *manifest, doc func(Name) uint32, get func(Part) ([]byte, error)) error {
	for c := 0; c < m.Rows; c += chunkRows {
		if err := r.grow(c); err != nil {
			return err
		}
	}
	size := len(Name{}) + 4 + r.quant.width/2
	for n, vector := range m.Clips {
		if int(n) >= m.Rows || len(vector) != m.Dim {
			return errors.New("a vector kept apart fits no row")
		}
	}
	for b := 0; b*blockRows < m.Rows; b++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, to := b*blockRows, min(m.Rows, (b+1)*blockRows)
		part, err := get(Part{Epoch: m.Epoch, N: b})
		if err == nil && len(part) < (to-from)*size {
			err = fmt.Errorf("%d bytes, not %d", len(part), (to-from)*size)
		}
		if err != nil {
			return fmt.Errorf("read rows %d to %d: %w", from, to, err)
		}
		for n := from; n < to; n++ {
			r.unpack(uint32(n), part[(n-from)*size:][:size], m, doc)
		}
	}
	return nil
}

// unpack shows row n, which part holds.
func (r *rows) unpack(n uint32, part []byte, m *manifest, doc func(Name) uint32) {
	in := r.info(n)
	dead := m.Dead[n>>6]&(1<<(n&63)) != 0
	in.lean = math.Float32frombits(binary.LittleEndian.Uint32(part[len(Name{}):]))
	copy(r.code(n), part[len(Name{})+4:])
	if dead || Name(part) == (Name{}) {
		in.doc = noDoc
		r.n.Store(n + 1)
		r.kill(n)
		return
	}
	in.doc = doc(Name(part))
	if v, ok := m.Clips[n]; ok {
		r.keep(clip{n, v})
	}
	r.publish(n)
}

// noDoc is whose a dead row is that was dead when it was loaded.
const noDoc = math.MaxUint32

// loadGraph returns the graph, and of each row that it is of the next with the same
// vector, one more.
func loadGraph(ctx context.Context, m *graphManifest, get func(Part) ([]byte, error)) (g *graph, twins []uint32, err error) {
	g = newGraph(m.M, m.Ef, m.Seed)
	if err := g.reserve(int(m.Linked)); err != nil {
		return nil, nil, err
	}
	twins = make([]uint32, m.Linked)
	eg, going := errgroup.WithContext(ctx)
	eg.SetLimit(2)
	for i := 0; i*partRows < int(m.Linked) && going.Err() == nil; i++ {
		part, err := get(Part{Links: true, Gen: m.Parts[i], N: i})
		eg.Go(func() error {
			if err != nil {
				return fmt.Errorf("read links from row %d on: %w", i*partRows, err)
			}
			return g.unpack(part, twins, uint32(i*partRows), min(m.Linked, uint32((i+1)*partRows)))
		})
	}
	if err := errors.Join(eg.Wait(), ctx.Err()); err != nil {
		return nil, nil, err
	}
	g.savedTo = int(m.Linked)
	g.linked.Store(m.Linked)
	g.entry.Store(m.Entry)
	if row, level, ok := g.top(); ok != (m.Linked > 0) || ok && g.height(row) < level {
		return nil, nil, errors.New("the graph begins where nothing is")
	}
	return g, twins, chained(twins)
}

// chained reports whether lists of twins end: no row is in two of them, or twice in
// one.
func chained(twins []uint32) error {
	second := make([]bool, len(twins)) // it is behind another
	rest := 0
	for _, twin := range twins {
		if twin == 0 {
			continue
		}
		if second[twin-1] {
			return errors.New("a row is the twin of two others")
		}
		second[twin-1] = true
		rest++
	}
	for n := range twins {
		if second[n] {
			continue
		}
		for at := twins[n]; at != 0; at = twins[at-1] {
			rest--
		}
	}
	if rest != 0 {
		return errors.New("a list of twins has no beginning")
	}
	return nil
}

var errShort = errors.New("a part of the graph is cut off, or none")

// unpack reads the links of rows from up to to, and their twins. Links to rows that
// came later are left out.
func (g *graph) unpack(b []byte, twins []uint32, from, to uint32) error {
	var ok bool
	linked := uint32(len(twins))
	for n := from; n < to; n++ {
		if b, ok = readLinks(b, g.list(n, 0), linked); !ok || len(b) == 0 || b[0] > maxLevel {
			return errShort
		}
		levels := int(b[0])
		b = b[1:]
		if err := g.raise(n, levels); err != nil {
			return err
		}
		for l := 1; l <= levels; l++ {
			if b, ok = readLinks(b, g.list(n, l), linked); !ok {
				return errShort
			}
		}
		if len(b) < 4 {
			return errShort
		}
		twin := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if twin <= linked {
			twins[n] = twin
		}
	}
	return nil
}

func readLinks(b []byte, list []uint32, linked uint32) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	count := int(b[0])
	b = b[1:]
	if count > len(list) || len(b) < 4*count {
		return nil, false
	}
	at := 0
	for i := range count {
		if link := binary.LittleEndian.Uint32(b[4*i:]); leads(link) < linked {
			list[at] = link
			at++
		}
	}
	return b[4*count:], true
}
