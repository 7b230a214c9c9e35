package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
	"github.com/clipsearch/clipsearch/picture"
	"github.com/clipsearch/clipsearch/query"
	"github.com/clipsearch/clipsearch/web"
)

var (
	_ web.Searcher     = (*query.Engine)(nil)
	_ web.Library      = (*collection)(nil)
	_ web.Captions     = (*collection)(nil)
	_ web.ImageEncoder = uploadEncoder{}
	_ web.Keeper       = (*keeper)(nil)
)

// serve answers requests until ctx ends.
func (a *app) serve(ctx context.Context, lib *collection, o serveOptions) error {
	s, err := a.newServer(ctx, lib, o)
	if err != nil {
		return err
	}
	l, err := o.listen(ctx)
	if err != nil {
		return err
	}
	scheme := "http"
	if s.TLS != nil {
		scheme = "https"
	}
	fmt.Fprintf(a.stdout, "Search at %s://%s/ (Ctrl-C ends it)\n", scheme, l.Addr())
	ctx, cancel := context.WithCancel(ctx)
	held := make(chan struct{})
	go func() {
		defer close(held)
		lib.hold(ctx)
	}()
	defer func() {
		cancel()
		<-held
	}()
	return s.Serve(ctx, l)
}

func (a *app) newServer(ctx context.Context, lib *collection, o serveOptions) (*web.Server, error) {
	enc, err := lib.encoder(ctx)
	if err == nil {
		_, err = enc.words() // without them nothing can be searched for
	}
	if err != nil {
		return nil, err
	}
	s := &web.Server{
		Search: lib.engine(), Library: lib, Images: uploadEncoder{lib}, Texts: texts{lib}, Captions: lib,
		Model: lib.webModel, Pin: lib.pin,
		Preview:   func(file []byte) ([]byte, error) { return previewOf(file) },
		MaxUpload: o.maxUpload, Log: a.logger(), KeyToRead: !loopback(o.host()),
		Roots: func() []string { return a.allowedRoots(o) }, Writable: lib.Writable,
	}
	if !o.readOnly {
		s.Keeper = &keeper{a, lib}
	}
	if o.keyFile != "" {
		f, err := os.Open(o.keyFile)
		if err != nil {
			return nil, mistake("read keys: %v", err)
		}
		defer f.Close()
		if s.Keys, err = web.ReadKeys(f); err != nil {
			return nil, fmt.Errorf("read keys %s: %w", o.keyFile, err)
		}
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, mistake("read certificate: %v", err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// webModel is what the server tells of the model of the space that ctx names; nothing
// where that cannot be opened, as every query will say.
func (c *collection) webModel(ctx context.Context) web.Model {
	enc, err := c.encoder(ctx)
	if err != nil {
		return web.Model{}
	}
	m := web.Model{Name: enc.Model().Name, LogitScale: enc.Model().LogitScale}
	if words, err := enc.words(); err == nil {
		m.Tokens = func(text string) int { return len(words.Encode(text)) }
	}
	return m
}

// uploadEncoder embeds pictures that came over the wire.
type uploadEncoder struct{ lib *collection }

func (u uploadEncoder) EncodeImage(ctx context.Context, file []byte) (clipsearch.Vector, error) {
	return u.lib.encodeFile(ctx, file, "the upload")
}

func previewOf(file []byte) ([]byte, error) {
	img, _, err := picture.Decode(file, picture.Options{Upright: true})
	if err != nil {
		return nil, err
	}
	return picture.Thumb(img, 256)
}

// keeper adds and forgets pictures for those who have a key. What is added lies
// in the index's own folder.
type keeper struct {
	app *app
	lib *collection
}

func (k *keeper) uploads() string { return filepath.Join(k.app.options.index, "uploads") }

// Add stores a picture under its ID; its name gives it an extension only.
func (k *keeper) Add(ctx context.Context, _ string, file []byte) (clipsearch.ID, error) {
	id := clipsearch.NewID(file)
	info, err := picture.Probe(file)
	if err != nil {
		return id, err
	}
	path := filepath.Join(k.uploads(), id.String()+"."+info.Format)
	if err := k.keep(ctx, path, file); err != nil {
		return id, err
	}
	enc, err := k.lib.encoder(ctx)
	if err != nil {
		return id, err
	}
	p := &ingest.Pipeline{Encoder: enc, Store: k.lib.Handle, Jobs: 1}
	sum, err := p.Run(ctx, path)
	if err == nil && sum.Failed > 0 {
		err = fmt.Errorf("%s: %w", sum.Failures[0].Error, clipsearch.ErrInvalid)
	}
	if err != nil {
		k.discard(context.WithoutCancel(ctx), id, path)
	}
	return id, err
}

// keep writes an upload to path. Where that fails and the index says that nothing
// can be written now, that is the reason.
func (k *keeper) keep(ctx context.Context, path string, file []byte) error {
	err := os.MkdirAll(k.uploads(), 0o700)
	if err == nil {
		err = writeAtomic(path, file)
	}
	if err == nil {
		return nil
	}
	if why := k.lib.Writable(ctx); why != nil {
		return why
	}
	return fmt.Errorf("keep the upload: %w", err)
}

// discard takes an upload away, unless the index holds it: the same picture may
// have come by another request.
func (k *keeper) discard(ctx context.Context, id clipsearch.ID, path string) {
	if has, err := k.lib.Has(ctx, []clipsearch.ID{id}); err == nil && !has[0] {
		os.Remove(path)
	}
}

// writeAtomic writes a file that others see whole or not at all; several may
// write the same one at once.
func writeAtomic(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then, if all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Delete forgets pictures. Files of the user stay; those that were uploaded go, once
// the index has forgotten them.
func (k *keeper) Delete(ctx context.Context, ids []clipsearch.ID) error {
	var uploads []string
	for _, id := range ids {
		img, err := k.lib.Image(ctx, id)
		if err != nil {
			return err
		}
		for _, path := range img.Paths() {
			if filepath.Dir(path) == k.uploads() {
				uploads = append(uploads, path)
			}
		}
	}
	if err := k.lib.Handle.Delete(ctx, ids); err != nil {
		return err
	}
	for _, path := range uploads {
		os.Remove(path)
	}
	return nil
}
