// Package quantize makes int8 of float32 models: see docs/adr/0015-int8-rows.md.
package quantize
