package ann

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// manifest is what a saved index is put together by.
type manifest struct {
	Version   int                  `cbor:"1,keyasint"`
	Dim       int                  `cbor:"2,keyasint"`
	Epoch     int64                `cbor:"3,keyasint"`
	Rows      int                  `cbor:"4,keyasint"`
	Dead      []uint64             `cbor:"5,keyasint"`
	Trained   int                  `cbor:"6,keyasint"`
	Mean      []float32            `cbor:"7,keyasint"`
	Deviation []float32            `cbor:"8,keyasint"`
	File      string               `cbor:"9,keyasint,omitempty"`
	Clips     map[uint32][]float32 `cbor:"10,keyasint,omitempty"`
	Graph     *graphManifest       `cbor:"11,keyasint,omitempty"`
}

// graphManifest is the part of the graph.
type graphManifest struct {
	M      int            `cbor:"1,keyasint"`
	Ef     int            `cbor:"2,keyasint"`
	Seed   uint64         `cbor:"3,keyasint"`
	Entry  uint64         `cbor:"4,keyasint"`
	Linked uint32         `cbor:"5,keyasint"`
	Parts  map[int]uint64 `cbor:"6,keyasint"` // generation of each
	Found  float64        `cbor:"7,keyasint"` // what the probe learned
	Lean   float64        `cbor:"8,keyasint"`
	Spread float64        `cbor:"9,keyasint"`
	Far    float64        `cbor:"10,keyasint,omitempty"`
}

// savedVersion is what the parts look like.
const savedVersion = 1

func (f *frozen) manifest(kept Kept) []byte {
	r, g := f.st.rows, f.st.graph
	m := manifest{
		Version: savedVersion, Dim: r.quant.dim, Epoch: r.epoch, Rows: f.rows, Dead: f.dead, File: kept.File,
		Trained: r.quant.trained, Mean: r.quant.mean, Deviation: r.quant.deviation, Clips: map[uint32][]float32{},
	}
	for _, c := range r.clips() {
		if int(c.row) < f.rows {
			m.Clips[c.row] = c.vector
		}
	}
	if g != nil {
		m.Graph = &graphManifest{M: g.m, Ef: g.ef, Seed: g.seed, Entry: g.entry.Load(), Linked: g.linked.Load(), Parts: kept.Graph}
		if p := f.st.probe; p != nil {
			m.Graph.Found, m.Graph.Lean, m.Graph.Spread, m.Graph.Far = p.found, p.lean, p.deviation, p.far
		}
	}
	b, err := cbor.Marshal(m)
	if err != nil {
		panic("ann: a manifest cannot be encoded: " + err.Error())
	}
	return b
}

// ErrStale says that what is saved cannot be used, though nothing of it is damaged:
// it was made by another version, or with other options.
var ErrStale = errors.New("the saved index is of another kind")

func parseManifest(b []byte, o Options) (*manifest, error) {
	m := &manifest{}
	if err := cbor.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if m.Version != savedVersion || m.Dim != o.Dim {
		return nil, fmt.Errorf("version %d of %d dimensions: %w", m.Version, m.Dim, ErrStale)
	}
	if len(m.Mean) != m.Dim || len(m.Deviation) != m.Dim || m.Rows < 0 || m.Rows > maxDocs || len(m.Dead) != (m.Rows+63)/64 {
		return nil, errors.New("read manifest: its numbers do not fit each other")
	}
	g := m.Graph
	if g != nil && (g.M < 2 || g.M > 64 || g.Linked > uint32(m.Rows) || g.Entry != 0 && uint32(g.Entry-1) >= g.Linked || g.Entry>>32 > maxLevel) {
		return nil, errors.New("read manifest: its graph is none")
	}
	return m, nil
}

// Keeps returns which parts a manifest refers to.
func Keeps(b []byte) (Kept, error) {
	m := &manifest{}
	if err := cbor.Unmarshal(b, m); err != nil {
		return Kept{}, fmt.Errorf("read manifest: %w", err)
	}
	k := Kept{Epoch: m.Epoch, Rows: m.Rows, File: m.File}
	if m.Graph != nil {
		k.Graph = m.Graph.Parts
	}
	return k, nil
}

// Parts lists the parts that are kept.
func (k Kept) Parts() (list []Part) {
	for b := 0; b*blockRows < k.Rows; b++ {
		list = append(list, Part{Epoch: k.Epoch, N: b})
	}
	for i, gen := range k.Graph {
		list = append(list, Part{Links: true, Gen: gen, N: i})
	}
	return list
}

// Keepable reports whether Save can write what Load finds: whole numbers that lie in
// memory alone it cannot.
func (x *Index) Keepable() bool { return x.state.Load().rows.place.name() != "" }

// Current reports whether kept is of what there is now, but for what came and went.
func (x *Index) Current(kept Kept) bool {
	st := x.state.Load()
	return kept.Epoch == st.rows.epoch && (st.graph != nil) == (len(kept.Graph) > 0)
}
