package ann

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
)

// Check looks for what cannot be, and reports it with the doc that it concerns. It
// waits for [Index.Work] and holds it up; searches and changes go on. Its error is
// that of ctx.
func (x *Index) Check(ctx context.Context, report func(doc uint32, what string)) error {
	x.working.Lock()
	defer x.working.Unlock()
	c := &checker{x: x, st: x.state.Load(), report: report}
	if err := c.eachRow(ctx, c.row); err != nil || c.st.graph == nil {
		return err
	}
	return c.graph(ctx)
}

// checker is one check under way.
type checker struct {
	x      *Index
	st     *state
	report func(doc uint32, what string)
	v      []float32
	code   []byte
	twins  []bool // of each row, whether it is the twin of another
}

func (c *checker) say(row uint32, format string, args ...any) {
	c.report(c.st.rows.info(row).doc, fmt.Sprintf("row %d: ", row)+fmt.Sprintf(format, args...))
}

// eachRow calls check with the rows there are now.
func (c *checker) eachRow(ctx context.Context, check func(n uint32)) error {
	for n := range c.st.rows.n.Load() {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		check(n)
	}
	return nil
}

// row checks what is known of a row against its numbers.
func (c *checker) row(n uint32) {
	r := c.st.rows
	if r.isDead(n) {
		return
	}
	if !r.sound(n) {
		c.say(n, "its numbers in the file are not those that were written")
		return
	}
	if c.v == nil {
		c.v, c.code = make([]float32, r.quant.dim), make([]byte, r.quant.width/2)
	}
	r.whole(c.v, n)
	r.quant.encodeCoarse(c.v, c.code)
	if far := distance(c.code, r.code(n)); far > 1 { // next to a border, 24 bits may choose the other side
		c.say(n, "a coarse code is %d levels from its number", far)
	}
	found := false
	r.rowsOf(r.info(n).doc, func(o uint32) { found = found || o == n })
	if !found && !r.isDead(n) {
		c.say(n, "its doc does not know it")
	}
}

// distance returns how far two rows of coarse codes are apart where most.
func distance(a, b []byte) (most int) {
	if bytes.Equal(a, b) {
		return 0
	}
	for i := range a {
		low, high := int(a[i]&15)-int(b[i]&15), int(a[i]>>4)-int(b[i]>>4)
		most = max(most, low, -low, high, -high)
	}
	return most
}

// graph checks the links, and that they lead everywhere.
func (c *checker) graph(ctx context.Context) error {
	g, r := c.st.graph, c.st.rows
	linked := g.linked.Load()
	top, level, ok := g.top()
	if !ok || linked == 0 {
		return nil
	}
	if top >= linked || level > 0 && g.list(top, level) == nil {
		c.say(top, "walks begin here on level %d, where it is not", level)
	}
	c.twins = make([]bool, r.len())
	if err := c.eachRow(ctx, c.chain); err != nil {
		return err
	}
	if err := c.eachRow(ctx, c.links); err != nil {
		return err
	}
	if g.mended.Load() == linked {
		for _, n := range g.lost() {
			c.say(n, "no walk reaches it")
		}
	}
	return nil
}

// chain notes the twins of row n.
func (c *checker) chain(n uint32) {
	r := c.st.rows
	next := r.info(n).twin.Load()
	if next == 0 {
		return
	}
	next--
	switch {
	case next >= c.st.graph.linked.Load():
		c.say(n, "row %d is its twin and not in the graph", next)
	case c.twins[next]:
		c.say(n, "row %d is its twin and that of another", next)
	case !bytes.Equal(r.code(n), r.code(next)):
		c.say(n, "row %d is its twin and differs", next)
	default:
		c.twins[next] = true
	}
}

// links checks the lists of row n on all levels.
func (c *checker) links(n uint32) {
	g, r := c.st.graph, c.st.rows
	if n >= g.linked.Load() {
		return
	}
	if c.twins[n] {
		if g.has(n) {
			c.say(n, "it is a twin and has links")
		}
		return
	}
	if !g.has(n) {
		if !r.isDead(n) {
			c.say(n, "it is not in the graph")
		}
		return
	}
	for level := 0; ; level++ {
		list := g.list(n, level)
		if list == nil {
			return
		}
		c.list(n, level, list)
	}
}

// list checks one list.
func (c *checker) list(n uint32, level int, list []uint32) {
	g := c.st.graph
	seen := make(map[uint32]bool, len(list))
	ended := false
	for i := range list {
		to := atomic.LoadUint32(&list[i])
		if to == 0 {
			ended = true
			continue
		}
		to = leads(to)
		switch {
		case ended:
			c.say(n, "its links on level %d go on behind their end", level)
		case to >= g.linked.Load():
			c.say(n, "on level %d it links to row %d, which is not in the graph", level, to)
		case to == n:
			c.say(n, "on level %d it links to itself", level)
		case seen[to]:
			c.say(n, "on level %d it links to row %d twice", level, to)
		case g.list(to, level) == nil || !g.has(to):
			c.say(n, "it links to row %d, which is not on level %d", to, level)
		}
		seen[to] = true
	}
}

// Holds reports whether doc has a row that is v, to what coarse codes and whole
// numbers can tell. It looks at what is there now.
func (x *Index) Holds(doc uint32, v []float32) (holds bool) {
	r := x.state.Load().rows
	turned, mine := make([]float32, x.options.Dim), make([]float32, x.options.Dim)
	x.turn.turn(turned, v)
	code := make([]byte, r.quant.width/2)
	r.quant.encodeCoarse(turned, code)
	r.rowsOf(doc, func(n uint32) {
		if alike(code, r.code(n)) {
			x.whole(r, mine, n)
			holds = holds || dot(turned, mine) > .9999*dot(turned, turned)
		}
	})
	return holds
}

// alike reports whether coarse codes can be those of one vector, of which one was
// coded from its whole numbers: where a number lies between two codes, that may
// have brought it over.
func alike(a, b []byte) bool {
	differ := 0
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
	}
	return differ <= 2+len(a)/32
}
