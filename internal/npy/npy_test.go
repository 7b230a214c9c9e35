package npy_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/npy"
)

//go:generate python3 testdata/make_golden.py

func open(t *testing.T, name string) *bytes.Reader {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

func TestReadNumPy(t *testing.T) {
	want := npy.Array[float32]{Shape: []int{2, 3}, Data: []float32{0, 1, 2, 3, 4, 5}}
	whole := npy.Array[int64]{Shape: []int{2, 3}, Data: []int64{0, 1, 2, 3, 4, 5}}
	for _, name := range []string{"f2", "f4", "f8", "big_f4", "big_f8", "v2", "v3", "i1", "i2", "i4", "i8", "big_i2", "u1", "u2", "u4", "u8", "b1"} {
		want, whole := want, whole
		if name == "b1" {
			want.Data, whole.Data = []float32{0, 1, 1, 1, 1, 1}, []int64{0, 1, 1, 1, 1, 1}
		}
		got, err := npy.ReadFloat32(open(t, name+".npy"))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s as float32: error %v (-want +got):\n%s", name, err, diff)
		}
		wide, err := npy.ReadFloat64(open(t, name+".npy"))
		if err != nil || len(wide.Data) != 6 || wide.Data[5] != float64(want.Data[5]) {
			t.Errorf("%s as float64: %v, error %v", name, wide, err)
		}
		ints, err := npy.ReadInt64(open(t, name+".npy"))
		switch name {
		case "f2", "f4", "f8", "big_f4", "big_f8", "v2", "v3", "u8":
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("%s as int64: error %v, want ErrInvalid", name, err)
			}
		default:
			if diff := cmp.Diff(whole, ints); err != nil || diff != "" {
				t.Errorf("%s as int64: error %v (-want +got):\n%s", name, err, diff)
			}
		}
	}
}

func TestReadShapes(t *testing.T) {
	cube := npy.Array[float32]{Shape: []int{2, 3, 4}}
	for i := range 24 {
		cube.Data = append(cube.Data, float32(i))
	}
	for name, want := range map[string]npy.Array[float32]{
		"fortran": cube,
		"scalar":  {Data: []float32{7}},
		"row":     {Shape: []int{3}, Data: []float32{-1, 0, 1}},
		"empty":   {Shape: []int{0, 4}, Data: []float32{}},
		"half":    {Shape: []int{7}, Data: []float32{1.5, -6.097555e-05, 5.9604645e-08, 65504, float32(math.Inf(1)), float32(math.Inf(-1)), .33325195}},
	} {
		got, err := npy.ReadFloat32(open(t, name+".npy"))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestReadFile(t *testing.T) {
	x := npy.Array[float32]{Shape: []int{300_000}, Data: make([]float32, 300_000)}
	f, err := os.Create(filepath.Join(t.TempDir(), "x.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x.Data[299_999] = 1
	if err := npy.Write(f, x); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := npy.ReadFloat32(f)
	if diff := cmp.Diff(x, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestReadRefuses(t *testing.T) {
	huge := "\x93NUMPY\x01\x00\x50\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }   \n"
	many := "\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }\n\n\n"
	f4, _ := io.ReadAll(open(t, "f4.npy"))
	for what, file := range map[string]io.Reader{
		"nothing":        bytes.NewReader(nil),
		"text":           bytes.NewReader([]byte("not an array at all")),
		"a short header": bytes.NewReader(f4[:20]),
		"short data":     bytes.NewReader(f4[:len(f4)-1]),
		"version 9":      bytes.NewReader([]byte("\x93NUMPY\x09\x00\x00\x00")),
		"a long header":  bytes.NewReader([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff")),
		"too large":      bytes.NewReader([]byte(huge)),
		"a lie":          bytes.NewReader([]byte(many)),
		"complex":        open(t, "complex.npy"),
		"records":        open(t, "struct.npy"),
	} {
		if x, err := npy.ReadFloat32(file); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, error %v, want ErrInvalid", what, x, err)
		}
	}
}

func TestReadPassesErrorsOn(t *testing.T) {
	f4, _ := io.ReadAll(open(t, "f4.npy"))
	for _, n := range []int{0, 7, 9, 40, len(f4) - 4} {
		r := io.MultiReader(bytes.NewReader(f4[:n]), broken{})
		if _, err := npy.ReadFloat32(r); !errors.Is(err, errBroken) || errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("a disk that fails at byte %d: error %v", n, err)
		}
	}
}

var errBroken = errors.New("disk on fire")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestWrite(t *testing.T) {
	roundTrip(t, npy.Array[float32]{Shape: []int{2, 3}, Data: []float32{0, 1, 2, 3, 4, 5}}, npy.ReadFloat32, "f4.npy")
	roundTrip(t, npy.Array[float64]{Shape: []int{2, 3}, Data: []float64{0, 1, 2, 3, 4, 5}}, npy.ReadFloat64, "f8.npy")
	roundTrip(t, npy.Array[int64]{Shape: []int{3}, Data: []int64{-1, 0, 1}}, npy.ReadInt64, "row.npy")
	roundTrip(t, npy.Array[float32]{Data: []float32{7}}, npy.ReadFloat32, "scalar.npy")
	for name, write := range map[string]func(io.Writer) error{
		"i4.npy": func(w io.Writer) error {
			return npy.Write(w, npy.Array[int32]{Shape: []int{2, 3}, Data: []int32{0, 1, 2, 3, 4, 5}})
		},
		"u1.npy": func(w io.Writer) error {
			return npy.Write(w, npy.Array[uint8]{Shape: []int{2, 3}, Data: []uint8{0, 1, 2, 3, 4, 5}})
		},
		"b1.npy": func(w io.Writer) error {
			return npy.Write(w, npy.Array[bool]{Shape: []int{2, 3}, Data: []bool{false, true, true, true, true, true}})
		},
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Errorf("write %s: %v", name, err)
		}
		same(t, name, b.Bytes())
	}
	if err := npy.Write(io.Discard, npy.Array[float32]{Shape: []int{2}, Data: []float32{1}}); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("one number in a shape of two: error %v", err)
	}
}

func roundTrip[T npy.Number](t *testing.T, x npy.Array[T], read func(io.Reader) (npy.Array[T], error), golden string) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, x); err != nil {
		t.Fatal(err)
	}
	same(t, golden, b.Bytes())
	got, err := read(&b)
	if diff := cmp.Diff(x, got); err != nil || diff != "" {
		t.Errorf("%s: error %v (-want +got):\n%s", golden, err, diff)
	}
}

// What is written is what NumPy writes, but for the room it leaves in the header.
func same(t *testing.T, golden string, got []byte) {
	t.Helper()
	want, _ := io.ReadAll(open(t, golden))
	squeeze := func(b []byte) []byte { return bytes.ReplaceAll(b[10:], []byte(" "), nil) }
	if !bytes.Equal(squeeze(got), squeeze(want)) || (len(got)-len(want))%64 != 0 {
		t.Errorf("%s: wrote\n%q, NumPy writes\n%q", golden, got, want)
	}
}

func FuzzRead(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.npy")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := npy.ReadFloat64(bytes.NewReader(b))
		if err != nil {
			return
		}
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		if n != len(x.Data) || n > len(b) {
			t.Fatalf("%d numbers of the shape %v in a file of %d bytes", len(x.Data), x.Shape, len(b))
		}
		if len(x.Data) > 0 {
			if err := npy.Write(io.Discard, x); err != nil {
				t.Fatal(err)
			}
		}
	})
}
