package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
)

// runPruneSpaces drops the spaces that neither answer nor are to answer.
func runPruneSpaces(ctx context.Context, a *app, dryRun bool) error {
	lib, err := a.openIndex(ctx, openOptions{anyModel: true})
	if err != nil {
		return err
	}
	var n int
	var bytes int64
	if dryRun {
		n, bytes, err = a.unusedSpaces(ctx, lib)
	} else {
		n, bytes, err = lib.DropSpaces(ctx)
	}
	if err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(map[string]any{"files": 0, "images": 0, "bytes": bytes, "spaces": n})
	}
	_, err = fmt.Fprintf(a.stdout, "%d spaces that do not answer, about %s\n", n, humanize.Bytes(uint64(bytes)))
	return err
}

// unusedSpaces counts what runPruneSpaces would drop; of its bytes those of the
// pictures' vectors and of the models.
func (a *app) unusedSpaces(ctx context.Context, lib *collection) (n int, bytes int64, err error) {
	st, err := lib.Stats(ctx)
	for _, s := range st.Spaces {
		if s.Active || s.Next {
			continue
		}
		n++
		bytes += int64(s.Images) * int64(4*s.Dim)
		_ = filepath.WalkDir(index.ModelDir(a.options.index, s.Digest), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					bytes += info.Size()
				}
			}
			return nil
		})
	}
	return n, bytes, err
}

// printSpaces lists the spaces, if there are several.
func printSpaces(w io.Writer, st clipsearch.Stats) error {
	if len(st.Spaces) < 2 && (len(st.Spaces) == 0 || st.Spaces[0].Thumbs == 0) {
		return nil
	}
	for _, s := range st.Spaces {
		role := "does not answer"
		switch {
		case s.Active:
			role = "answers"
		case s.Next:
			role = "is to answer"
		}
		thumbs := ""
		if s.Thumbs > 0 {
			thumbs = fmt.Sprintf(", %d of them from thumbnails", s.Thumbs)
		}
		if _, err := fmt.Fprintf(w, "space    %.12s %s, %d numbers: %s, %d of %d pictures%s\n", s.Digest, s.Model, s.Dim, role, s.Images, st.Images, thumbs); err != nil {
			return err
		}
	}
	return nil
}

// underWay is a change to another model, or to the whole of one, as `stats` tells it.
type underWay struct {
	Model    string           `json:"model"`
	Digest   clipsearch.Space `json:"digest"`
	Previous string           `json:"previous"` // what answers meanwhile, or did before
	Done     int              `json:"done"`
	Total    int              `json:"total"`
	Carried  bool             `json:"carried"` // the owner of the index is at it
	Trouble  string           `json:"trouble"` // why it does not go on
}

// underWay returns nil where nothing is.
func (c *collection) underWay(ctx context.Context) (*underWay, error) {
	s, err := c.Spaces(ctx)
	to := wanted(s)
	if err != nil || to == nil {
		return nil, err
	}
	u := &underWay{to.Model, to.Digest, s.Answering.Model, to.Images, s.Images, s.Carried, s.Trouble}
	if to.Active {
		u.Previous = s.Previous.Model
	}
	if u.Trouble == "" && !u.Carried {
		log, _ := os.ReadFile(filepath.Join(c.encoders.dir, switchLog))
		u.Trouble = string(bytes.ToValidUTF8(bytes.TrimSpace(log), []byte("?")))
	}
	return u, nil
}

func (u *underWay) print(w io.Writer) error {
	if u == nil {
		return nil
	}
	state := ""
	switch {
	case u.Trouble != "":
		state = ": " + u.Trouble
	case !u.Carried:
		state = ": if nothing is at it, `clipsearch model switch --resume` or a server goes on"
	}
	_, err := fmt.Fprintf(w, "switch   to %s, %d of %d pictures encoded%s\n", u.Model, u.Done, u.Total, state)
	return err
}
