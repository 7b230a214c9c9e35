package eval

// Published are figures that others printed for a model, by direction and figure.
type Published map[string]any
