package index

import "math"

// dictionary numbers strings, and forgets those that nobody uses any more.
type dictionary struct {
	ids   map[string]uint32
	names []string
	uses  []uint32
	free  []uint32
}

// fits reports whether name has a number up to most, or can have one.
func (t *dictionary) fits(name string, most int) bool {
	_, known := t.ids[name]
	return known || len(t.free) > 0 || len(t.names) <= most
}

// add returns name's number, for one more use.
func (t *dictionary) add(name string) uint32 {
	id, known := t.ids[name]
	if !known {
		if t.ids == nil {
			t.ids = map[string]uint32{}
		}
		if n := len(t.free); n > 0 {
			id, t.free = t.free[n-1], t.free[:n-1]
		} else {
			id = uint32(len(t.names))
			t.names, t.uses = append(t.names, ""), append(t.uses, 0)
		}
		t.ids[name], t.names[id] = id, name
	}
	t.uses[id]++
	return id
}

// release ends one use of a number.
func (t *dictionary) release(id uint32) {
	if t.uses[id]--; t.uses[id] == 0 {
		delete(t.ids, t.names[id])
		t.names[id] = ""
		t.free = append(t.free, id)
	}
}

// members says of each number of a dictionary whether it is one of some: 1 or 0.
type members []uint8

func (m members) has(id uint32) bool { return int(id) < len(m) && m[id] == 1 }

// which returns the numbers of what is wanted.
func (t *dictionary) which(wanted func(name string) bool) members {
	m := make(members, len(t.names))
	for id, name := range t.names {
		if t.uses[id] > 0 && wanted(name) {
			m[id] = 1
		}
	}
	return m
}

func (t *dictionary) bytes() int64 {
	n := 20*int64(cap(t.names)) + 4*int64(cap(t.free)) + 48*int64(len(t.ids)) // a map's slot is about 1.7 of (string, uint32)
	for _, name := range t.names {
		n += int64(len(name))
	}
	return n
}

// texts packs lists of strings, each list a doc's. The strings are valid UTF-8, as
// strings.ToLower leaves them, so the byte that ends each of them is in none.
type texts struct {
	parts []*textPart
	open  int   // the part that takes what comes
	empty []int // parts that hold nothing
}

const (
	endOfText   = 0xff
	partEntries = 1 << 12 // of a part at most
	partBytes   = 1 << 20 // and a part that has so many is full
)

// textPart holds some of the lists, one after the other.
type textPart struct {
	text []byte
	ends []uint32 // of each list
	docs []doc    // whose each list is, or noDoc
	live int      // lists that are somebody's
	dead int      // bytes of lists that are nobody's
}

const noDoc = doc(math.MaxUint32)

// place is where a list is: its part and its number there, plus one. An empty list
// is nowhere.
type place uint32

const nowhere = place(0)

func (t *texts) add(d doc, list []string) place {
	if len(list) == 0 {
		return nowhere
	}
	p := t.room()
	for _, s := range list {
		p.text = append(append(p.text, s...), endOfText)
	}
	p.ends, p.docs = append(p.ends, uint32(len(p.text))), append(p.docs, d)
	p.live++
	return place(t.open*partEntries+len(p.ends)-1) + 1
}

// room returns the part that takes the next list.
func (t *texts) room() *textPart {
	if len(t.parts) > 0 {
		p := t.parts[t.open]
		if len(p.ends) < partEntries && len(p.text) < partBytes {
			return p
		}
		p.pack()
		if p.live == 0 {
			t.empty = append(t.empty, t.open)
		}
	}
	if n := len(t.empty); n > 0 {
		t.open, t.empty = t.empty[n-1], t.empty[:n-1]
		*t.parts[t.open] = textPart{}
	} else {
		t.open = len(t.parts)
		t.parts = append(t.parts, &textPart{})
	}
	return t.parts[t.open]
}

// drop forgets the list at w.
func (t *texts) drop(w place) {
	if w == nowhere {
		return
	}
	n := int(w-1) / partEntries
	p, i := t.parts[n], int(w-1)%partEntries
	p.docs[i] = noDoc
	p.live--
	p.dead += int(p.ends[i] - p.start(i))
	switch {
	case n == t.open:
	case p.live == 0:
		*p = textPart{}
		t.empty = append(t.empty, n)
	case 2*p.dead > len(p.text):
		p.pack()
	}
}

// list returns the list at w, each of its strings with endOfText after it.
func (t *texts) list(w place) []byte {
	if w == nowhere {
		return nil
	}
	p, i := t.parts[int(w-1)/partEntries], int(w-1)%partEntries
	return p.text[p.start(i):p.ends[i]]
}

func (p *textPart) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return p.ends[i-1]
}

// pack takes no more room than is needed. The lists keep their numbers.
func (p *textPart) pack() {
	text := make([]byte, 0, len(p.text)-p.dead)
	ends := make([]uint32, len(p.ends))
	for i, d := range p.docs {
		if d != noDoc {
			text = append(text, p.text[p.start(i):p.ends[i]]...)
		}
		ends[i] = uint32(len(text))
	}
	p.text, p.ends, p.docs, p.dead = text, ends, append([]doc(nil), p.docs...), 0
}

func (t *texts) bytes() int64 {
	n := 8 * int64(cap(t.parts)+cap(t.empty))
	for _, p := range t.parts {
		n += 96 + int64(cap(p.text)) + 4*int64(cap(p.ends)+cap(p.docs))
	}
	return n
}
