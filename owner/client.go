package owner

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/clipsearch/clipsearch"
)

// client is a connection to the owner of an index.
type client struct {
	holder Holder
	token  string
	http   *http.Client
	cancel context.CancelFunc // ends the lifeline
	gone   chan struct{}      // closed when the owner has gone, or close was called
	clean  bool               // it has said that it leaves; valid once gone is closed

	notice  time.Duration // a call that takes longer is told of
	waiting func()        // once
}

// dial connects to the owner that f names and opens the lifeline. An error that
// wraps errNotReady says that another attempt makes sense: what f says may be
// stale, or the owner about to leave.
func dial(ctx context.Context, dir string, f holderFile, until time.Time) (*client, error) {
	life, cancel := context.WithCancel(context.Background())
	c := &client{holder: f.Holder, token: f.Token, http: transport(dir, f), cancel: cancel, gone: make(chan struct{})}
	ctx, done := context.WithDeadline(ctx, until)
	defer done()
	stop := context.AfterFunc(ctx, cancel) // the handshake only; the lifeline outlives ctx
	body, lines, err := c.handshake(life, dir)
	if err == nil && !stop() {
		body.Close()
		err = errNotReady
	}
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w in time", errNotReady)
	}
	if err != nil {
		cancel()
		c.http.CloseIdleConnections()
		return nil, err
	}
	go c.watch(body, lines)
	return c, nil
}

func transport(dir string, f holderFile) *http.Client {
	network, address := f.Network, f.Address
	if network == "unix" {
		address = filepath.Join(dir, socketName) // the owner may know dir by another name
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 16,
	}}
}

// handshake asks for the lifeline and reads its first line. Both ends prove that
// they know the token before the client sends it: a port that a dead owner had
// may be another's by now.
func (c *client) handshake(ctx context.Context, dir string) (io.Closer, *bufio.Reader, error) {
	nonce := rand.Text()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://owner"+lifePath, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set(nonceHeader, nonce)
	req.Header.Set(proofHeader, proof(c.token, "client", nonce))
	resp, err := c.http.Do(req)
	if err != nil {
		var bare *url.Error
		if errors.As(err, &bare) {
			err = bare.Err // the address says nothing
		}
		return nil, nil, fmt.Errorf("%w: %w", errNotReady, err)
	}
	lines := bufio.NewReader(resp.Body)
	err = c.greeted(resp, lines, dir, nonce)
	if err != nil {
		resp.Body.Close()
		return nil, nil, err
	}
	return resp.Body, lines, nil
}

func (c *client) greeted(resp *http.Response, lines *bufio.Reader, dir, nonce string) error {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: it is leaving", errNotReady)
	default:
		return fmt.Errorf("%w: %s", errNotReady, resp.Status)
	}
	line, err := lines.ReadSlice('\n') // at most the reader's buffer
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	if h.Protocol != protocol {
		return fmt.Errorf("index %s is held by %s, clipsearch %s, which speaks protocol %d, and this program speaks protocol %d: end that process, or use the same version",
			dir, c.holder, h.Version, h.Protocol, protocol)
	}
	if !hmac.Equal([]byte(h.Proof), []byte(proof(c.token, "owner", nonce))) {
		return fmt.Errorf("%w: another process answers in its place", errNotReady)
	}
	return nil
}

// watch waits for the end of the lifeline.
func (c *client) watch(body io.Closer, lines *bufio.Reader) {
	defer close(c.gone)
	line, _ := lines.ReadString('\n') // whatever the error, the owner has gone
	c.clean = line == leftLine
	body.Close()
	c.http.CloseIdleConnections()
}

// close ends the lifeline and waits for watch.
func (c *client) close() error {
	c.cancel()
	<-c.gone
	return nil
}

// ask makes a call of the owner. It returns errLeft or errDied where the owner
// has gone, and else the owner's own error.
func ask[Q, A any](ctx context.Context, c *client, m method[Q, A], q Q) (A, error) {
	var a A
	body, err := encode(q)
	if err != nil {
		return a, fmt.Errorf("send a call of %s: %w", m.name, err)
	}
	if err := fits(m.name, len(body)); err != nil {
		return a, err
	}
	slow := time.AfterFunc(c.notice, c.waiting)
	defer slow.Stop()
	resp, data, err := c.post(ctx, m.name, body)
	if err != nil {
		return a, c.broken(ctx, err)
	}
	if resp.StatusCode == http.StatusForbidden {
		return a, c.broken(ctx, errors.New(string(data))) // the next owner, on the same socket
	}
	if resp.StatusCode != http.StatusOK {
		return a, newRemoteError(resp.Header.Get(kindHeader), string(data))
	}
	if err := decode(data, &a); err != nil {
		return a, fmt.Errorf("read the answer of %s: %v", m.name, err) // not the caller's mistake
	}
	return a, nil
}

func (c *client) post(ctx context.Context, name string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://owner/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if space := clipsearch.SpaceOf(ctx); space != (clipsearch.Space{}) {
		req.Header.Set(spaceHeader, space.String())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxText))
	return resp, data, err
}

// broken says what a call without an answer means. The lifeline tells: an owner
// that leaves closes no connection before it has said so on the lifelines.
func (c *client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !within(c.gone, 2*time.Second) {
		return fmt.Errorf("ask %s, which holds the index: %w", c.holder, err)
	}
	if c.clean {
		return errLeft
	}
	return errDied
}
