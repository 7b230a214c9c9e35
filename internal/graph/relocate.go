package graph

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Relocate returns the model with the files that hold its weights named anew: names
// maps the old names to the new ones, and what it lacks stays.
func Relocate(model []byte, names map[string]string) ([]byte, error) {
	c := cutter{grapher: grapher{skimmer: skimmer{r: bytes.NewReader(model)}}}
	all := span{0, int64(len(model))}
	moved, err := c.within(all, []protowire.Number{7, 5, 13}, func(entry span) ([]byte, error) { // graph, weights, their entries
		key, value, err := c.entry(entry)
		if to, ok := names[value]; err == nil && ok && key == "location" {
			value = to
		}
		b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), value), err
	})
	if err != nil {
		return nil, fmt.Errorf("name the model's files anew: %w", err)
	}
	return moved, nil
}

// within copies a message, with change made to the bodies that lie along path in it.
func (c *cutter) within(m span, path []protowire.Number, change func(span) ([]byte, error)) ([]byte, error) {
	if len(path) == 0 {
		return change(m)
	}
	var whole []byte
	err := c.each(m, func(f field) (err error) {
		if f.number != path[0] || !f.bytes {
			whole, err = c.copy(whole, f)
			return err
		}
		inner, err := c.within(f.body, path[1:], change)
		whole = protowire.AppendBytes(protowire.AppendTag(whole, f.number, protowire.BytesType), inner)
		return err
	})
	return whole, err
}
