// Package quantize makes an int8 model of a float32 one whose towers are ONNX files:
// docs/adr/0015-int8-rows.md says how, and what it costs. Towers that are built from
// weights are built in int8 at once (package clip).
package quantize
