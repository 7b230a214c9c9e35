//go:build unix

package ann

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// damage flips a bit in each row of x's file.
func damage(t *testing.T, x *Index) {
	t.Helper()
	r := x.state.Load().rows
	for n := range r.n.Load() {
		b := r.wholes[n>>chunkShift].Load().row(n & chunkMask)
		b[int(n*37)%(len(b))] ^= 1 << (n % 8)
	}
}

// TestDamage flips bits in the file of whole numbers: the answers stay what they were
// where vectors are kept elsewhere, and nearly so where they are not.
func TestDamage(t *testing.T) {
	const dim, n = 64, 800
	c := newCloud(6, dim, 30)
	all := model{}
	for doc, v := range c.many(n) {
		all[uint32(doc/2)] = append(all[uint32(doc/2)], v)
	}
	qs := c.many(40)
	for _, kept := range []bool{true, false} {
		m := maps.Clone(all)
		options := Options{Dim: dim, GraphFrom: 300, Dir: t.TempDir()}
		if kept {
			options.Vectors = func(doc uint32) [][]float32 { return m[doc] }
		}
		x := newIndex(t, options)
		for doc := range uint32(n / 2) {
			for _, v := range m[doc] {
				if err := x.Add(doc, v); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustWork(t, x)
		sound(t, x)
		damage(t, x)
		reported := 0
		err := x.Check(t.Context(), func(_ uint32, what string) {
			if strings.Contains(what, "numbers in the file") {
				reported++
			}
		})
		if reported != n || err != nil {
			t.Errorf("Check() reports %d damaged rows of %d, %v", reported, n, err)
		}
		search := func(when string) {
			hits := 0
			for _, q := range qs {
				got, want := x.Search(q, Search{K: 10, Exact: true}), m.search(q, 10, nil)
				hits += found(got, want)
				if wrong := m.wrong(q, got, 10, nil); kept && wrong != "" {
					t.Errorf("%s: %s", when, wrong)
				}
			}
			if hits < 10*len(qs) && kept || hits < 8*len(qs) {
				t.Errorf("%s (kept elsewhere: %v): %d of the %d best", when, kept, hits, 10*len(qs))
			}
		}
		search("damaged")
		for doc := range uint32(n / 4) { // so that rows are written anew
			x.Remove(doc)
			delete(m, doc)
		}
		mustWork(t, x)
		search("written anew")
		sound(t, x)
	}
}

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	x := newIndex(t, Options{Dim: 8, Dir: dir})
	c := newCloud(1, 8, 3)
	for doc, v := range c.many(600) {
		if err := x.Add(uint32(doc), v); err != nil {
			t.Fatal(err)
		}
		if doc == 300 {
			mustWork(t, x)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := x.Search(c.centres[0], Search{K: 5})
	if err := x.Tidy(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 2 {
		t.Errorf("files after tidy(): %v, want that in use and another's", files)
	}
	if got := x.Search(c.centres[0], Search{K: 5}); !slices.Equal(got, want) {
		t.Errorf("Search() after tidy() = %v, want %v", got, want)
	}
	if next := newIndex(t, Options{Dim: 8, Dir: dir}); next.state.Load().rows.place.name() == x.state.Load().rows.place.name() {
		t.Error("two indexes in one directory share a file")
	}
}

// A file that cannot be made, or does not fit on the disk, is an error and nothing else.
func TestNoFile(t *testing.T) {
	if _, err := New(Options{Dim: 8, Dir: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("New() in a directory that is not there: no error")
	}
	dir := t.TempDir()
	x := newIndex(t, Options{Dim: 8, Dir: dir})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	v := []float32{1, 0, 0, 0, 0, 0, 0, 0}
	for range 3 {
		if err := x.Add(1, v); err == nil {
			t.Fatal("Add() without a directory: no error")
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := x.Add(1, v); err != nil {
		t.Fatal(err)
	}
	if got := docs(x.Search(v, Search{K: 2})); !slices.Equal(got, []uint32{1}) {
		t.Errorf("Search() = %v, want [1]", got)
	}
}
