package features

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func number(item, view, i int) float32 { return float32(item*100+view*10+i) / 7 }

// options are those of a store of five pictures, of which the fourth is damaged in the
// second view; calls counts the views that are made.
func options(dir string, half bool, calls *int) Options {
	return Options{Dir: dir, Key: "key", Items: 5, Views: 2, Width: 3, Half: half, Make: func(_ context.Context, view int, put func(int, []float32) error) error {
		*calls++
		for item := 4; item >= 0; item-- {
			if item == 3 && view == 1 {
				continue
			}
			if err := put(item, []float32{number(item, view, 0), number(item, view, 1), number(item, view, 2)}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func TestStore(t *testing.T) {
	for _, half := range []bool{false, true} {
		dir, calls := t.TempDir(), 0
		for range 2 { // the second time everything is there
			s, err := Open(t.Context(), options(dir, half, &calls))
			if err != nil {
				t.Fatal(err)
			}
			for item := range 5 {
				if s.Has(item) == (item == 3) {
					t.Errorf("Has(%d) = %v", item, s.Has(item))
				}
				for view := range 2 {
					row := make([]float32, 3)
					if err := s.Row(row, item, view); err != nil {
						t.Fatal(err)
					}
					for i, got := range row {
						want := float64(number(item, view, i))
						if s.Has(item) && math.Abs(float64(got)-want) > want/1024 || !half && s.Has(item) && float64(got) != want {
							t.Errorf("half %v: number %d of view %d of picture %d is %v, want %v", half, i, view, item, got, want)
						}
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if calls != 2 {
			t.Errorf("%d views were made, want 2", calls)
		}
	}
}

// TestDamaged: what is cut off or of another set is made again, and what could not be
// made leaves nothing.
func TestDamaged(t *testing.T) {
	dir, calls := t.TempDir(), 0
	s, err := Open(t.Context(), options(dir, false, &calls))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	name := filepath.Join(dir, "key.1.features")
	if err := os.Truncate(name, 50); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), options(dir, false, &calls)); err != nil || calls != 3 {
		t.Fatalf("%d views were made, want one more than 2: %v", calls, err)
	}
	s.Close()
	o, stop := options(dir, true, &calls), errors.New("stop")
	o.Make = func(_ context.Context, _ int, put func(int, []float32) error) error {
		return errors.Join(put(0, []float32{1, 2, 3}), stop)
	}
	if _, err = Open(t.Context(), o); !errors.Is(err, stop) {
		t.Fatalf("a view that cannot be made: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	o.Make = func(_ context.Context, _ int, put func(int, []float32) error) error { return put(0, []float32{1}) }
	if _, err = Open(t.Context(), o); err == nil {
		t.Error("features of another width: no error")
	}
}

func TestHalf(t *testing.T) {
	for bits := range uint32(1 << 16) {
		h := uint16(bits)
		v := fromHalf(h)
		switch {
		case h&0x7fff > 0x7c00:
			if v == v {
				t.Fatalf("%#x is %v, not NaN", h, v)
			}
		case h&0x7fff == 0x7c00:
			if back := toHalf(v); back&0x7fff != 0x7bff {
				t.Fatalf("infinity becomes %#x", back)
			}
		case toHalf(v) != h:
			t.Fatalf("%#x is %v and becomes %#x", h, v, toHalf(v))
		}
	}
	for v, want := range map[float32]uint16{1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, 65520: 0x7bff, 1e30: 0x7bff, 6e-8: 1, 2e-8: 0} { // halves go to even
		if got := toHalf(v); got != want {
			t.Errorf("toHalf(%v) = %#x, want %#x", v, got, want)
		}
	}
}
