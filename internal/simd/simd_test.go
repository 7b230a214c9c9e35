package simd

import (
	"testing"
	"unsafe"
)

// A processor that errs is not trusted.
func TestChoose(t *testing.T) {
	now := using
	defer func() { using = now }()
	if got := choose(highest(), agrees); got != highest() {
		t.Errorf("choose(%d) = %d: the versions of a level compute something else than those in Go", highest(), got)
	}
	if got := choose(highest(), func() bool { return using < highest() }); got != max(inGo, highest()-1) {
		t.Errorf("choose(%d), where that level errs, = %d", highest(), got)
	}
	if got := choose(highest(), func() bool { return false }); got != inGo {
		t.Errorf("choose(%d), where all err, = %d", highest(), got)
	}
}

// What a kernel would read or write beyond a slice is refused before.
func TestRefuses(t *testing.T) {
	b, q, f, o := make([]byte, 128), make([]int8, 128), make([]float32, 128), make([]int32, 2)
	chunks, rows := []*byte{&b[0]}, []uint32{0, 1, 1}
	for name, call := range map[string]func(){
		"ScoreRun: too few codes":        func() { ScoreRun(o, b[:127], q[:64]) },
		"ScoreRun: no multiple":          func() { ScoreRun(o, b[:80], q[:40]) },
		"ScoreRows: no room":             func() { ScoreRows(o, chunks, 1, rows, q[:64]) },
		"ScoreRows: no chunk":            func() { ScoreRows(o, chunks, 0, rows[:2], q[:64]) },
		"CoarseRows: no chunk":           func() { CoarseRows(o, chunks, 0, rows[:2], q[:64]) },
		"ScoreRows: no multiple":         func() { ScoreRows(o, chunks, 1, rows[:1], q[:40]) },
		"ScoreQueries: too few numbers":  func() { ScoreQueries(o, b[:64], q[:127]) },
		"ScoreQueries: no multiple":      func() { ScoreQueries(o, b[:40], q[:80]) },
		"CoarseRun: too few codes":       func() { CoarseRun(o, b[:96], q) },
		"CoarseRun: no multiple":         func() { CoarseRun(o, b[:96], q[:96]) },
		"CoarseRows: no room":            func() { CoarseRows(o, chunks, 1, rows, q[:64]) },
		"CoarseRows: no multiple":        func() { CoarseRows(o, chunks, 1, rows[:1], q[:96]) },
		"CoarseQueries: too few numbers": func() { CoarseQueries(o, b[:32], q[:64]) },
		"CoarseQueries: no multiple":     func() { CoarseQueries(o, b[:16], q[:64]) },
		"Fold: too few":                  func() { Fold(q[:64], b[:64], f[:64], f[:32]) },
		"Fold: no multiple":              func() { Fold(q[:40], b[:40], f[:40], f[:40]) },
		"DotFine: too few":               func() { DotFine(b[:64], unsafe.Slice((*uint16)(unsafe.Pointer(&b[0])), 32), f[:64]) },
		"Dot: too few":                   func() { Dot(f[:64], f[:63]) },
		"Hadamard: no power of two":      func() { Hadamard(f[:96]) },
		"Hadamard: none":                 func() { Hadamard(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			call()
		}()
	}
	Prefetch(nil, 64)
	Prefetch(&b[0], 1<<20)
}
