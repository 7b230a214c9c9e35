package graph

import "slices"

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
