package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Official is the endpoint of the hub itself.
const Official = "https://huggingface.co"

// Hub is where models come from and where they are kept.
type Hub struct {
	Endpoint string // Official if empty
	Token    string // sent to the endpoint, and nowhere else
	Cache    string // the folder of all repositories, as Python's HF_HUB_CACHE
	Offline  bool   // nothing is asked of the network

	Client    *http.Client  // http.DefaultTransport's if nil; its redirects are not used
	UserAgent string        // "clipsearch" if empty
	Parallel  int           // files at once; 4 if zero
	Patience  time.Duration // how long nothing may come; 30 s if zero
	Pause     time.Duration // before the second try, doubled for each further one; 1 s if zero
	MaxPause  time.Duration // the longest; what a busy hub asks for beyond it is an error; 5 min if zero
	Notice    func(string)  // told what is waited for; may be nil

	create func(name string) (partFile, error) // for tests; createPart if nil
	free   func(dir string) (int64, error)     // for tests; disk.Free if nil
	link   func(to, name string) error         // for tests; os.Symlink if nil
}

const (
	maxTries     = 5         // without progress
	progressSize = 64 << 10  // bytes that make a try count as progress
	maxRedirects = 10        //
	maxAnswer    = 32 << 20  // bytes of a listing
	maxFileSize  = 200 << 30 // bytes of a file
)

func (h *Hub) endpoint() string { return strings.TrimRight(cmp.Or(h.Endpoint, Official), "/") }

func (h *Hub) patience() time.Duration { return cmp.Or(h.Patience, 30*time.Second) }

func (h *Hub) notice(format string, args ...any) {
	if h.Notice != nil {
		h.Notice(fmt.Sprintf(format, args...))
	}
}

// check says what is wrong with the hub's own settings.
func (h *Hub) check() error {
	u, err := url.Parse(h.endpoint())
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the endpoint %q is no address of a hub: HF_ENDPOINT is like %s: %w", h.Endpoint, Official, clipsearch.ErrInvalid)
	}
	if strings.ContainsFunc(h.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the token holds characters that no token has: set HF_TOKEN again: %w", clipsearch.ErrInvalid)
	}
	return nil
}

// temporary is an error that may pass.
type temporary struct {
	error
	after time.Duration // how long the hub asks to wait; 0 if it does not
}

func (t temporary) Unwrap() error { return t.error }

// again calls try until it succeeds, fails for good, or has failed maxTries times
// without progress. Between tries it pauses, longer each time.
func (h *Hub) again(ctx context.Context, try func(context.Context) (progress bool, err error)) error {
	pause, failed := cmp.Or(h.Pause, time.Second), 0
	for {
		progress, err := try(ctx)
		var t temporary
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.As(err, &t):
			return err
		}
		if failed++; progress {
			pause, failed = cmp.Or(h.Pause, time.Second), 1
		}
		wait := max(pause, t.after)
		switch most := cmp.Or(h.MaxPause, 5*time.Minute); {
		case t.after > most:
			return fmt.Errorf("%w: it asks to come back in %s", t.error, t.after.Round(time.Second))
		case failed >= maxTries:
			return fmt.Errorf("%w, %d times: try again later, a pull goes on where it ended", t.error, failed)
		case wait > most:
			wait = most
		}
		if wait >= 2*time.Second {
			h.notice("%v: going on in %s", t.error, wait.Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// answer is the last response to a request, and what the hub itself said on the way
// to it.
type answer struct {
	*http.Response
	etag string // of the file, as the hub names it
	size string // X-Linked-Size, or ""
	stop func() // ends the request; the body is closed with it
}

// request sends a request, follows its redirects, and keeps the token from everybody
// but the endpoint. The caller stops the answer. Errors of the network are temporary.
func (h *Hub) request(ctx context.Context, method, address string, header http.Header) (answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var a answer
	watch := time.AfterFunc(h.patience(), func() { cancel(errSilent{h.patience()}) })
	stop := func() { watch.Stop(); cancel(nil) }
	for range maxRedirects {
		resp, err := h.send(ctx, method, address, header)
		if err != nil {
			err = networkError(ctx, address, err)
			stop()
			return a, err
		}
		if a.etag == "" && h.trusts(resp.Request.URL) {
			a.etag, a.size = cmp.Or(resp.Header.Get("X-Linked-Etag"), resp.Header.Get("Etag")), resp.Header.Get("X-Linked-Size")
		}
		to := resp.Header.Get("Location")
		if resp.StatusCode/100 != 3 || to == "" {
			a.Response = resp
			resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, address: address, watch: watch, patience: h.patience()}
			a.stop = func() { resp.Body.Close(); stop() }
			return a, nil
		}
		resp.Body.Close()
		if address, err = redirected(resp.Request.URL, to); err != nil {
			stop()
			return a, err
		}
		watch.Reset(h.patience())
	}
	stop()
	return a, fmt.Errorf("%s redirects more than %d times", shown(address), maxRedirects)
}

// send sends one request.
func (h *Hub) send(ctx context.Context, method, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", cmp.Or(h.UserAgent, "clipsearch"))
	req.Header.Set("Accept-Encoding", "identity") // ranges and sizes are the file's own
	if h.Token != "" && h.trusts(req.URL) {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if h.Client != nil {
		client.Transport = h.Client.Transport
	}
	return client.Do(req)
}

// trusts reports whether u has the scheme, host and port of the endpoint.
func (h *Hub) trusts(u *url.URL) bool {
	e, err := url.Parse(h.endpoint())
	return err == nil && e.Scheme == u.Scheme && strings.EqualFold(e.Hostname(), u.Hostname()) && port(e) == port(u)
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// redirected is where a redirect leads. It never leads from https to http.
func redirected(from *url.URL, to string) (string, error) {
	u, err := from.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("%s redirects to %.100q, which is no address", shown(from.String()), to)
	}
	if from.Scheme == "https" && u.Scheme != "https" {
		return "", fmt.Errorf("%s redirects to %s, which is not encrypted", shown(from.String()), shown(u.String()))
	}
	return u.String(), nil
}

// shown is an address without its query, which may hold a signature.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Sprintf("%.100q", address)
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// errSilent says that nothing came for a while.
type errSilent struct{ d time.Duration }

func (e errSilent) Error() string { return fmt.Sprintf("nothing came for %s", e.d) }

// networkError makes of a failed request a temporary error, unless it was called off.
func networkError(ctx context.Context, address string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if !errors.As(cause, &errSilent{}) {
			return cause
		}
		err = cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text repeats the address, with the query
	}
	return temporary{error: fmt.Errorf("%s: %w", shown(address), err)}
}

// watchedBody gives a body up when nothing comes for a while.
type watchedBody struct {
	io.ReadCloser
	ctx      context.Context // of the request; its cause says what ended it
	address  string
	watch    *time.Timer
	patience time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watch.Reset(b.patience)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = networkError(b.ctx, b.address, err)
	}
	return n, err
}
