package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

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
