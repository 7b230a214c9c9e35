package owner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// tenure is the time in which this process owns an index.
type tenure struct {
	dir     string
	grace   time.Duration
	lock    *flock.Flock
	file    holderFile
	service *service
	index   Index
	endWork func() // and wait for it
}

// own makes this process the owner of the index in dir. It returns nil where
// another is.
func own(dir string, o Options) (*tenure, error) {
	lock := flock.New(filepath.Join(dir, lockName))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, notWritable(dir, err)
	}
	if !locked {
		return nil, nil
	}
	t := &tenure{dir: dir, grace: o.Grace, lock: lock}
	t.file = holderFile{
		Holder: Holder{PID: os.Getpid(), Command: o.Command, Version: o.Version, Since: time.Now().Truncate(time.Second)},
		Token:  rand.Text(),
	}
	if err := t.begin(o); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// begin opens the index and serves it. Who we are is written first, so that
// whoever waits while a large index opens can be told.
func (t *tenure) begin(o Options) error {
	if err := t.file.write(t.dir); err != nil {
		return notWritable(t.dir, err)
	}
	var err error
	if t.index, err = o.Open(); err != nil {
		return err
	}
	l, err := t.listen()
	if err != nil {
		return err
	}
	t.service = serve(l, source{t.index, o.Texts, o.Space, o.Work != nil}, t.file.Token, o.Version)
	t.work(o.Work)
	if err := t.file.write(t.dir); err != nil {
		return notWritable(t.dir, err)
	}
	return nil
}

// work begins what is done beside the calls.
func (t *tenure) work(work func(context.Context)) {
	if work == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(ctx)
	}()
	t.endWork = func() {
		cancel()
		<-done
	}
}

// listen prefers a socket in the directory. A path that is too long, a file
// system or an operating system without sockets leaves a loopback port.
func (t *tenure) listen() (net.Listener, error) {
	l, err := listenSocket(t.dir)
	if err == nil {
		t.file.Network = "unix"
		return l, nil
	}
	if isNoSpace(err) {
		return nil, notWritable(t.dir, err)
	}
	l, tcpErr := net.Listen("tcp", "127.0.0.1:0")
	if tcpErr != nil {
		return nil, fmt.Errorf("listen for other commands on index %s: %w; %w", t.dir, err, tcpErr)
	}
	t.file.Network, t.file.Address = "tcp", l.Addr().String()
	return l, nil
}

// close leaves the index to others once their calls have been answered. It undoes
// what begin has done, however far that came; the lock goes last.
func (t *tenure) close() error {
	if t.endWork != nil {
		t.endWork()
	}
	if t.service != nil {
		if err := t.service.stop(t.grace); err != nil {
			// Closing a store under a running call, or letting another process open it,
			// is worse than dying with it open: it is made to bear that.
			return fmt.Errorf("close index %s: %w", t.dir, err)
		}
	}
	var err error
	if t.index != nil {
		err = t.index.Close()
	}
	t.file.remove(t.dir)
	return errors.Join(err, t.lock.Close())
}
