package npy_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/npy"
)

func TestRows(t *testing.T) {
	for _, name := range []string{"f2", "f4", "f8", "big_f4", "v2"} {
		f := open(t, name+".npy")
		rows, err := npy.OpenRows(f, f.Size())
		if err != nil || rows.N != 2 || rows.Dim != 3 {
			t.Fatalf("OpenRows(%s) = %+v, %v", name, rows, err)
		}
		for i, want := range [][]float32{{0, 1, 2}, {3, 4, 5}} {
			got, err := rows.Row(i)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s, row %d: %v (-want +got):\n%s", name, i, err, diff)
			}
		}
		for _, i := range []int{-1, 2} {
			if _, err := rows.Row(i); !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("%s, row %d: %v, want ErrInvalid", name, i, err)
			}
		}
	}
}

func TestRowsRefuses(t *testing.T) {
	f4, _ := io.ReadAll(open(t, "f4.npy"))
	for what, f := range map[string]*bytes.Reader{
		"nothing": bytes.NewReader(nil), "short data": bytes.NewReader(f4[:len(f4)-1]), "whole numbers": open(t, "i4.npy"),
		"one dimension": open(t, "row.npy"), "three": open(t, "fortran.npy"),
	} {
		if _, err := npy.OpenRows(f, f.Size()); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("OpenRows of %s: %v, want ErrInvalid", what, err)
		}
	}
	rows, err := npy.OpenRows(bytes.NewReader(f4[:len(f4)-1]), int64(len(f4))) // the file has become shorter
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Row(1); err == nil {
		t.Error("a row that is cut off is read")
	}
}
