package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
	"github.com/clipsearch/clipsearch/query"
)

// collection is an index with the encoders of its spaces.
type collection struct {
	*owner.Handle
	encoders *encoders
}

// maxChanges bounds how often a query begins again because another space answers.
const maxChanges = 3

// pin calls fn with a context that names the space which answers, and once more
// where another one answers by then. Within a pin it changes nothing.
func (c *collection) pin(ctx context.Context, fn func(context.Context) error) error {
	if clipsearch.SpaceOf(ctx) != (clipsearch.Space{}) {
		return fn(ctx)
	}
	for changes := 0; ; changes++ {
		space, err := c.Answering(ctx)
		if err != nil {
			return err
		}
		err = fn(clipsearch.InSpace(ctx, space))
		if !errors.Is(err, clipsearch.ErrSpace) || changes == maxChanges {
			return err
		}
	}
}

// encoder returns the encoder of the space that ctx names, or of the one that
// answers now.
func (c *collection) encoder(ctx context.Context) (*encoder, error) {
	space := clipsearch.SpaceOf(ctx)
	if space == (clipsearch.Space{}) {
		var err error
		if space, err = c.Answering(ctx); err != nil {
			return nil, err
		}
	}
	return c.encoders.of(space)
}

// encodeFile returns the vector of a picture file's bytes, upright, in the space
// that ctx names.
func (c *collection) encodeFile(ctx context.Context, file []byte, name string) (clipsearch.Vector, error) {
	enc, err := c.encoder(ctx)
	if err != nil {
		return nil, err
	}
	return encodeFile(ctx, enc.Encoder, file, name)
}

// search answers q, which looks for what is like the picture file too, unless that is nil.
func (c *collection) search(ctx context.Context, q query.Query, file []byte, name string) (answer query.Answer, err error) {
	err = c.pin(ctx, func(ctx context.Context) (err error) {
		if file != nil {
			if q.Vector, err = c.encodeFile(ctx, file, name); err != nil {
				return err
			}
		}
		answer, err = c.engine().Search(ctx, q)
		return err
	})
	return answer, err
}

// hold sees to it that the index has an owner until ctx ends: one that an ingest has
// left would have none until somebody asks it something, and its work would lie still.
func (c *collection) hold(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = c.Answering(ctx) // whoever asks for more is told why it cannot be
		}
	}
}

// engine answers queries over c.
func (c *collection) engine() *query.Engine {
	return &query.Engine{Encoder: texts{c}, Index: c.Handle, Exists: exists, Pin: c.pin, Damage: c.damage}
}

// damage says what the index cannot read, as far as it knows.
func (c *collection) damage(ctx context.Context) string {
	what, _ := c.Damage(ctx) // a search that went well until now is not to fail for it
	return what
}

// texts encodes through the owner where that has an encoder at work.
type texts struct{ lib *collection }

func (t texts) EncodeTexts(ctx context.Context, s []string) (vectors []clipsearch.Vector, err error) {
	err = t.lib.pin(ctx, func(ctx context.Context) error {
		var ok bool
		if vectors, ok, err = t.lib.Handle.EncodeTexts(ctx, s); ok || err != nil {
			return err
		}
		enc, err := t.lib.encoder(ctx)
		if err == nil {
			vectors, err = enc.EncodeTexts(ctx, s)
		}
		return err
	})
	return vectors, err
}

// lent are the encoders that an owner lends to its clients.
type lent struct{ *encoders }

func (l lent) EncodeTexts(ctx context.Context, s []string) ([]clipsearch.Vector, error) {
	enc, err := l.of(clipsearch.SpaceOf(ctx))
	if err != nil { // the client may have what is missing here
		return nil, fmt.Errorf("%w: %w", err, clipsearch.ErrSpace)
	}
	return enc.EncodeTexts(ctx, s)
}
