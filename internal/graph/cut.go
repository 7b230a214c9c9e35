package graph

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxCut is how much of a model Cut copies at most: protobuf itself ends there,
// and larger models keep their weights in files beside them.
const maxCut = 2 << 30

// CutFile returns the model in a file less all that its outputs of these names do
// not need: the other outputs, the nodes and weights that only these take, and the
// inputs that nothing is left to read. A weight in a file beside the model stays there.
func CutFile(path string, outputs ...string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return cut(f, st.Size(), outputs)
}

// Cut is CutFile for a model that is in memory.
func Cut(model []byte, outputs ...string) ([]byte, error) {
	return cut(bytes.NewReader(model), int64(len(model)), outputs)
}

func cut(r io.ReaderAt, size int64, outputs []string) ([]byte, error) {
	if size > maxCut {
		return nil, fmt.Errorf("a model of %d bytes cannot be cut", size)
	}
	c := cutter{grapher: grapher{skimmer: skimmer{r: r}}, makers: map[string]int{}, needed: map[string]bool{}}
	var whole []byte
	err := c.each(span{0, size}, func(f field) (err error) {
		if f.number != 7 {
			whole, err = c.copy(whole, f)
			return err
		}
		if err := c.read(f.body); err != nil {
			return err
		}
		for _, name := range outputs {
			c.need(name)
		}
		inner, err := c.rest(f.body, outputs)
		whole = protowire.AppendBytes(protowire.AppendTag(whole, 7, protowire.BytesType), inner)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cut the model down to %v: %w", outputs, err)
	}
	return whole, nil
}

// cutter knows which node makes which value.
type cutter struct {
	grapher
	nodes  []cutNode
	makers map[string]int // of a value: its node
	needed map[string]bool
}

type cutNode struct {
	takes, makes []string // the values that graphs within it take from outside among them
	needed       bool
}

// read notes the nodes of a GraphProto.
func (c *cutter) read(m span) error {
	return c.each(m, func(f field) error {
		if f.number != 1 {
			return nil
		}
		var n cutNode
		if err := c.ports(&n, f.body, 1); err != nil {
			return err
		}
		for _, name := range n.makes {
			c.makers[name] = len(c.nodes)
		}
		c.nodes = append(c.nodes, n)
		return nil
	})
}

// ports notes what a NodeProto takes and makes. What nodes of inner graphs take
// counts as taken, whether they make it themselves or not: one name too many keeps
// a node that could have gone, and no more.
func (c *cutter) ports(n *cutNode, m span, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	return c.each(m, func(f field) error {
		switch f.number {
		case 1, 2:
			name, err := c.text(f.body)
			if f.number == 1 {
				n.takes = append(n.takes, name)
			} else if depth == 1 {
				n.makes = append(n.makes, name)
			}
			return err
		case 5:
			return c.each(f.body, func(f field) error { // AttributeProto
				if f.number != 6 && f.number != 11 {
					return nil
				}
				return c.each(f.body, func(f field) error { // GraphProto
					switch f.number {
					case 1:
						return c.ports(n, f.body, depth+1)
					case 12: // an output may be a value from outside as it is
						p, err := c.port(f.body)
						n.takes = append(n.takes, p.Name)
						return err
					}
					return nil
				})
			})
		}
		return nil
	})
}

// need marks a value and all that it is made of.
func (c *cutter) need(name string) {
	queue := []string{name}
	for len(queue) > 0 {
		name, queue = queue[len(queue)-1], queue[:len(queue)-1]
		if name == "" || c.needed[name] {
			continue
		}
		c.needed[name] = true
		if i, ok := c.makers[name]; ok && !c.nodes[i].needed {
			c.nodes[i].needed = true
			queue = append(queue, c.nodes[i].takes...)
		}
	}
}

// rest copies a GraphProto without what is not needed.
func (c *cutter) rest(m span, outputs []string) ([]byte, error) {
	var left []byte
	node := 0
	err := c.each(m, func(f field) (err error) {
		keep := true
		switch f.number {
		case 1:
			keep = c.nodes[node].needed
			node++
		case 5: // a weight
			keep, err = c.named(f.body, 8, c.needed)
		case 11: // an input
			keep, err = c.named(f.body, 1, c.needed)
		case 12:
			var p Port
			p, err = c.port(f.body)
			keep = slices.Contains(outputs, p.Name)
		case 13: // the shape of a value in between
			keep, err = c.named(f.body, 1, c.needed)
		}
		if err != nil || !keep {
			return err
		}
		left, err = c.copy(left, f)
		return err
	})
	return left, err
}

// named reports whether the message's name is one of names.
func (c *cutter) named(m span, number protowire.Number, names map[string]bool) (is bool, err error) {
	err = c.each(m, func(f field) error {
		if f.number != number {
			return nil
		}
		name, err := c.text(f.body)
		is = names[name]
		return err
	})
	return is, err
}

// copy appends a field as it is. Fields of fixed width are none that ONNX has here.
func (c *cutter) copy(to []byte, f field) ([]byte, error) {
	if !f.bytes {
		return protowire.AppendVarint(protowire.AppendTag(to, f.number, protowire.VarintType), f.value), nil
	}
	to = protowire.AppendTag(to, f.number, protowire.BytesType)
	to = protowire.AppendVarint(to, uint64(f.body.to-f.body.from))
	at := len(to)
	to = slices.Grow(to, int(f.body.to-f.body.from))[:at+int(f.body.to-f.body.from)]
	if n, err := c.r.ReadAt(to[at:], f.body.from); n < len(to)-at {
		return nil, err
	}
	return to, nil
}
