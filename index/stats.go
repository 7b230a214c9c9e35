package index

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// Stats tells what the index holds and takes. It counts nothing: the counts are
// kept by every write.
func (x *Index) Stats(ctx context.Context) (clipsearch.Stats, error) {
	st, err := x.counted(ctx)
	if err != nil {
		return st, fmt.Errorf("stats: %w", err)
	}
	if x.store.tablesSize() <= quickly {
		x.store.look()
	}
	if st.Damage, err = x.Damage(ctx); err != nil {
		return st, fmt.Errorf("stats: %w", err)
	}
	err = x.text.with(ctx, func(w *wordIndex) (err error) {
		st.TextDocuments, err = w.count()
		return err
	})
	if err != nil {
		return st, fmt.Errorf("stats: %w", err)
	}
	for _, part := range []string{"store", "text", "models", "vectors"} {
		st.Bytes[part] = treeSize(filepath.Join(x.dir, part))
	}
	st.Bytes["text"] += treeSize(nextDir(filepath.Join(x.dir, "text")))
	st.MemoryBytes = x.memoryBytes()
	return st, nil
}

// counted is what Stats tells of the store.
func (x *Index) counted(ctx context.Context) (clipsearch.Stats, error) {
	x.mu.RLock() // no change of space comes between what is in memory and what the store says
	defer x.mu.RUnlock()
	m := x.meta()
	st := clipsearch.Stats{Model: m.Model, Dim: m.Dim, Bytes: map[string]int64{}}
	err := x.view(ctx, func(t tx) error {
		n, err := x.counts(t)
		if err != nil {
			return countsError(err)
		}
		st.Images, st.Files, st.Captions = n.Images, n.Files, n.Captions
		st.Spaces, err = x.spaces(t, n)
		return err
	})
	return st, err
}

// memoryBytes is what the vectors and columns in memory take, about.
func (x *Index) memoryBytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var n int64
	if x.mem.vectors != nil {
		n += x.mem.vectors.bytes() + int64(len(x.mem.ids))*64
	}
	if x.mem.captions != nil {
		n += x.mem.captions.vectors.bytes() + int64(len(x.mem.captions.texts))*128
	}
	if x.mem.columns != nil {
		n += x.mem.columns.bytes()
	}
	return n
}

// bytes is what vectors take of memory that no file backs.
func (n *near) bytes() int64 {
	anonymous, _ := n.Bytes()
	return anonymous
}

// Files returns every file that a picture was seen in, in no order.
func (x *Index) Files(ctx context.Context) ([]clipsearch.File, error) {
	var files []clipsearch.File
	err := x.view(ctx, func(t tx) error {
		return t.scan([]byte(pathPrefix), true, func(_, value []byte, err error) error {
			if err == nil {
				if _, f, err := decodePath(value); err == nil {
					files = append(files, f.file())
				}
			}
			return ctx.Err()
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return files, nil
}

// Vectors yields the vector of every whole picture, in the order of the IDs. It
// stops in silence where ctx ends; a vector that is damaged is left out.
func (x *Index) Vectors(ctx context.Context) iter.Seq2[clipsearch.ID, clipsearch.Vector] {
	return func(yield func(clipsearch.ID, clipsearch.Vector) bool) {
		ids, err := x.allIDs()
		if err != nil {
			return
		}
		for part := range slices.Chunk(ids, 256) {
			found, err := x.vectorsOf(ctx, part)
			if err != nil {
				return
			}
			for i, v := range found { // outside of the transaction: the caller may ask for more
				if v != nil && !yield(part[i], v) {
					return
				}
			}
		}
	}
}

// vectorsOf returns the vectors of pictures, nil where there is none.
func (x *Index) vectorsOf(ctx context.Context, ids []clipsearch.ID) ([]clipsearch.Vector, error) {
	found := make([]clipsearch.Vector, len(ids))
	m := x.meta()
	err := x.view(ctx, func(t tx) error {
		for i, id := range ids {
			b, err := t.get(vectorKey(vectorPrefix, m.Space, id, 0))
			v := make(clipsearch.Vector, m.Dim)
			if err == nil && decodeVector(v, b) == nil {
				found[i] = v
			}
		}
		return nil
	})
	return found, err
}
