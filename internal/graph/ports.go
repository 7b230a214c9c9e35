package graph

import (
	"fmt"
	"slices"
)

// Names by which the inputs of towers are called, the best first.
var (
	pictureNames = []string{"pixel_values", "image", "images", "input", "pixel_value"}
	idNames      = []string{"input_ids", "text", "texts", "input", "tokens", "ids"}
)

// Picture returns the input that takes pictures: the one of four dimensions, or
// without a shape one with such a name.
func (g Graph) Picture() (Port, bool) {
	for _, p := range g.Inputs {
		if len(p.Shape) == 4 && (p.Type == "float32" || p.Type == "uint8" || p.Type == "float16") {
			return p, true
		}
	}
	return named(g.Inputs, pictureNames, func(p Port) bool { return p.Shape == nil && p.Type != "int64" && p.Type != "int32" })
}

// IDs returns the input that takes a text's token ids.
func (g Graph) IDs() (Port, bool) {
	return named(g.Inputs, idNames, func(p Port) bool {
		return (len(p.Shape) == 2 || p.Shape == nil) && (p.Type == "int64" || p.Type == "int32")
	})
}

// Input returns the input of that name.
func (g Graph) Input(name string) (Port, bool) {
	return named(g.Inputs, []string{name}, func(Port) bool { return true })
}

// Dim returns the i-th dimension, -1 where it is free or not told.
func (p Port) Dim(i int) int {
	if i >= len(p.Shape) {
		return -1
	}
	return int(p.Shape[i])
}

func named(ports []Port, names []string, fits func(Port) bool) (Port, bool) {
	for _, name := range names {
		if i := slices.IndexFunc(ports, func(p Port) bool { return p.Name == name && fits(p) }); i >= 0 {
			return ports[i], true
		}
	}
	return Port{}, false
}

// port reads a ValueInfoProto.
func (g *grapher) port(m span) (Port, error) {
	var p Port
	err := g.each(m, func(f field) (err error) {
		switch f.number {
		case 1:
			p.Name, err = g.text(f.body)
		case 2:
			err = g.each(f.body, func(f field) error { // TypeProto
				if f.number == 1 {
					return g.tensorType(&p, f.body)
				}
				p.Type = "no tensor"
				return nil
			})
		}
		return err
	})
	return p, err
}

func (g *grapher) tensorType(p *Port, m span) error {
	return g.each(m, func(f field) error {
		switch f.number {
		case 1:
			p.Type = elementType(f.value)
		case 2: // TensorShapeProto
			return g.each(f.body, func(dim field) error {
				n := int64(-1)
				err := g.each(dim.body, func(f field) error {
					if f.number == 1 && int64(f.value) > 0 { // dim_value; a free dimension has a name instead
						n = int64(f.value)
					}
					return nil
				})
				if p.Shape = append(p.Shape, n); len(p.Shape) > maxRank {
					return fmt.Errorf("more than %d dimensions", maxRank)
				}
				return err
			})
		}
		return nil
	})
}

// elementType names a TensorProto.DataType.
func elementType(n uint64) string {
	names := [...]string{1: "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64", "uint32", "uint64", 16: "bfloat16"}
	if n < uint64(len(names)) && names[n] != "" {
		return names[n]
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("type %d", n)
}
