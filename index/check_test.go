package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// mustBeClean is what every test ends with.
func mustBeClean(t testing.TB, x *Index) {
	t.Helper()
	problems, err := x.Check(context.Background(), false)
	if err != nil || len(problems) > 0 {
		t.Errorf("Check = %+v, %v, want nothing", problems, err)
	}
}

// flip changes one byte of the value of key, checksum and all.
func flip(t *testing.T, x *Index, key []byte) {
	t.Helper()
	raw(t, x, func(tx tx) error {
		item, err := tx.txn.Get(key)
		if err != nil {
			return err
		}
		b, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 4
		return tx.txn.Set(key, b)
	})
}

func raw(t *testing.T, x *Index, fn func(tx) error) {
	t.Helper()
	if err := x.update(fn); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, x *Index, key, value []byte) {
	t.Helper()
	raw(t, x, func(tx tx) error { return tx.set(key, value) })
}

func remove(t *testing.T, x *Index, key []byte) {
	t.Helper()
	raw(t, x, func(tx tx) error { return tx.delete(key) })
}

// damages are what may befall an index, one at a time. what is part of how Check
// names it, id whether it names the picture.
var damages = []struct {
	name string
	what string
	of   clipsearch.ID // zero: no picture
	do   func(t *testing.T, x *Index)
}{
	{"flipped byte in a record", "record is damaged", testID(2), func(t *testing.T, x *Index) { flip(t, x, idKey(recordPrefix, testID(2))) }},
	{"flipped byte in a vector", "vector 0 is damaged", testID(2), func(t *testing.T, x *Index) { flip(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 0)) }},
	{"flipped byte in a caption vector", "caption vector 1 is damaged", testID(2), func(t *testing.T, x *Index) { flip(t, x, vectorKey(captionPrefix, testSpace, testID(2), 1)) }},
	{"flipped byte in a thumbnail", "thumbnail is damaged", testID(2), func(t *testing.T, x *Index) { flip(t, x, idKey(thumbPrefix, testID(2))) }},
	{"flipped byte in a path entry", "path entry is damaged", clipsearch.ID{}, func(t *testing.T, x *Index) { flip(t, x, pathKey(testFile(2).Path)) }},
	{"flipped byte in the counts", "counts are damaged", clipsearch.ID{}, func(t *testing.T, x *Index) { flip(t, x, []byte(countsKey)) }},
	{"flipped byte in the space", "space is damaged", clipsearch.ID{}, func(t *testing.T, x *Index) { flip(t, x, spaceKey(spacePrefix, testSpace)) }},
	{"flipped byte in the store's meta", "what the index is", clipsearch.ID{}, func(t *testing.T, x *Index) { flip(t, x, []byte(metaKey)) }},
	{"a record gone", "of a picture that is not here", testID(2), func(t *testing.T, x *Index) { remove(t, x, idKey(recordPrefix, testID(2))) }},
	{"a vector gone", "1 of 1 vectors are missing", testID(2), func(t *testing.T, x *Index) { remove(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 0)) }},
	{"a caption vector gone", "1 of 2 caption vectors are missing", testID(2), func(t *testing.T, x *Index) { remove(t, x, vectorKey(captionPrefix, testSpace, testID(2), 0)) }},
	{"a thumbnail gone", "thumbnail is missing", testID(2), func(t *testing.T, x *Index) { remove(t, x, idKey(thumbPrefix, testID(2))) }},
	{"a path entry gone", "1 of 1 paths lead nowhere", testID(2), func(t *testing.T, x *Index) { remove(t, x, pathKey(testFile(2).Path)) }},
	{"the space gone", "the space that answers is missing", clipsearch.ID{}, func(t *testing.T, x *Index) { remove(t, x, spaceKey(spacePrefix, testSpace)) }},
	{"a damaged key of no space", "a key that no space has", clipsearch.ID{}, func(t *testing.T, x *Index) {
		raw(t, x, func(tx tx) error { return tx.txn.Set([]byte("s/abc"), []byte("garbage")) })
	}},
	{"the counts gone", "stale counts", clipsearch.ID{}, func(t *testing.T, x *Index) { remove(t, x, []byte(countsKey)) }},
	{"stale counts", "stale counts", clipsearch.ID{}, func(t *testing.T, x *Index) {
		set(t, x, []byte(countsKey), encode(counts{Images: 7, Files: 5, Captions: 10}))
	}},
	{"a path of no picture", "leads to a picture that is not here", testID(99), func(t *testing.T, x *Index) {
		id := testID(99)
		set(t, x, pathKey("/other.jpg"), pathEntry{ID: id[:], File: newFile(clipsearch.File{Path: "/other.jpg"})}.encode())
	}},
	{"a path of another picture", "leads to a picture that was not seen there", testID(3), func(t *testing.T, x *Index) {
		id := testID(3)
		set(t, x, pathKey(testFile(2).Path), pathEntry{ID: id[:], File: newFile(testFile(2))}.encode())
	}},
	{"a path of another size", "has another size or time", testID(2), func(t *testing.T, x *Index) {
		id, f := testID(2), testFile(2)
		f.Size++
		set(t, x, pathKey(f.Path), pathEntry{ID: id[:], File: newFile(f)}.encode())
	}},
	{"a path at the wrong key", "at the wrong key", testID(2), func(t *testing.T, x *Index) {
		id := testID(2)
		set(t, x, pathKey("/elsewhere"), pathEntry{ID: id[:], File: newFile(testFile(2))}.encode())
	}},
	{"an orphan vector", "vector 0 of a picture that is not here", testID(99), func(t *testing.T, x *Index) {
		set(t, x, vectorKey(vectorPrefix, testSpace, testID(99), 0), encodeVector(unit(testDim, 1)))
	}},
	{"a vector too many", "vector 1, of which the record does not know", testID(2), func(t *testing.T, x *Index) {
		set(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 1), encodeVector(unit(testDim, 1)))
	}},
	{"an orphan thumbnail", "thumbnail of a picture that is not here", testID(99), func(t *testing.T, x *Index) { set(t, x, idKey(thumbPrefix, testID(99)), []byte("jpeg")) }},
	{"a vector of a foreign space", "of a foreign space", testID(2), func(t *testing.T, x *Index) {
		set(t, x, vectorKey(vectorPrefix, clipsearch.Space{9}, testID(2), 0), encodeVector(unit(testDim, 1)))
	}},
	{"a vector of length two", "vector 0 is damaged: length 2", testID(2), func(t *testing.T, x *Index) {
		v := unit(testDim, 1)
		for i := range v {
			v[i] *= 2
		}
		set(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 0), encodeVector(v))
	}},
	{"a vector of another dimension", "of another dimension", testID(2), func(t *testing.T, x *Index) {
		set(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 0), encodeVector(unit(testDim/2, 1)))
	}},
	{"a vector with a NaN", "vector 0 is damaged", testID(2), func(t *testing.T, x *Index) {
		v := unit(testDim, 1)
		v[3] /= 0 * v[0]
		v[3] -= v[3]
		set(t, x, vectorKey(vectorPrefix, testSpace, testID(2), 0), encodeVector(v))
	}},
	{"a value at another's key", "vector 0 is damaged", testID(2), func(t *testing.T, x *Index) {
		raw(t, x, func(tx tx) error {
			item, err := tx.txn.Get(vectorKey(vectorPrefix, testSpace, testID(3), 0))
			if err != nil {
				return err
			}
			b, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			return tx.txn.Set(vectorKey(vectorPrefix, testSpace, testID(2), 0), b)
		})
	}},
	{"a key of no kind", "a key of no kind", clipsearch.ID{}, func(t *testing.T, x *Index) { set(t, x, []byte("z/what"), nil) }},
	{"a text document gone", "text document is missing", testID(2), func(t *testing.T, x *Index) {
		if err := x.text.words.write(nil, []clipsearch.ID{testID(2)}); err != nil {
			t.Fatal(err)
		}
	}},
	{"an orphan text document", "text document of a picture that is not here", testID(99), func(t *testing.T, x *Index) {
		if err := x.text.words.write(map[clipsearch.ID]document{testID(99): {Tag: []string{"ghost"}}}, nil); err != nil {
			t.Fatal(err)
		}
	}},
	{"flipped byte in the text index", "text segment", clipsearch.ID{}, func(t *testing.T, x *Index) {
		files, err := filepath.Glob(filepath.Join(x.dir, "text", "store", "*.zap"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no segments: %v", err)
		}
		flipFile(t, files[0], 30)
	}},
	{"the meta file gone", metaFile, clipsearch.ID{}, func(t *testing.T, x *Index) {
		if err := os.Remove(filepath.Join(x.dir, metaFile)); err != nil {
			t.Fatal(err)
		}
	}},
	{"flipped byte in the meta file", metaFile, clipsearch.ID{}, func(t *testing.T, x *Index) { flipFile(t, filepath.Join(x.dir, metaFile), 40) }},
	{"flipped byte in its copy", backupFile, clipsearch.ID{}, func(t *testing.T, x *Index) { flipFile(t, filepath.Join(x.dir, backupFile), 40) }},
	{"flipped byte in the model", "the copy of the model is damaged", clipsearch.ID{}, func(t *testing.T, x *Index) {
		flipFile(t, filepath.Join(ModelDir(x.dir, testSpace), "model.onnx"), 3)
	}},
	{"the model gone", "the copy of the model is missing", clipsearch.ID{}, func(t *testing.T, x *Index) {
		if err := os.RemoveAll(ModelDir(x.dir, testSpace)); err != nil {
			t.Fatal(err)
		}
	}},
}

func flipFile(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[at%len(b)] ^= 1
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// withModel are options with a model of one file.
func withModel() Options {
	o := testOptions()
	o.SaveModel = func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "model.onnx"), []byte("weights"), 0o600)
	}
	o.Thumb = func(m clipsearch.Image) ([]byte, error) {
		for n := range 100 {
			if m.ID == testID(n) {
				return testThumb(n), nil
			}
		}
		return nil, errors.New("its file is gone")
	}
	o.CheckModel = func(dir string) []string {
		b, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
		if err != nil {
			return []string{err.Error()}
		}
		if string(b) != "weights" {
			return []string{"model.onnx has another SHA-256"}
		}
		return nil
	}
	return o
}

func TestCheckNamesDamage(t *testing.T) {
	ctx := context.Background()
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			x, err := Open(filepath.Join(t.TempDir(), "index"), withModel())
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			for n := 1; n <= 5; n++ {
				put(t, x, testEntry(n))
			}
			mustBeClean(t, x)
			d.do(t, x)
			problems, err := x.Check(ctx, true)
			if err != nil {
				t.Fatalf("Check: %v", err)
			}
			named := false
			for _, p := range problems {
				named = named || strings.Contains(p.What, d.what) && (d.of == clipsearch.ID{} || p.ID == d.of.String())
				if strings.Contains(p.What, "\n") || !p.Repairable || p.ID == "" {
					t.Errorf("problem %+v", p)
				}
			}
			if !named {
				t.Errorf("Check = %+v, want one with %q of %v", problems, d.what, d.of)
			}
			mustBeClean(t, x)
			// What was taken out comes back.
			for n := 1; n <= 5; n++ {
				put(t, x, testEntry(n))
			}
			if st, err := x.Stats(ctx); err != nil || st.Images != 5 || st.TextDocuments != 5 {
				t.Errorf("after repair: %+v, %v", st, err)
			}
			mustBeClean(t, x)
		})
	}
}
