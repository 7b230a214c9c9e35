//go:build !linux

package simd

import "testing"

func slab(_ testing.TB, n int) []byte { return make([]byte, n) }

func fenced(testing.TB) []*memory { return nil }
