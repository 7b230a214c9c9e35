package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/gofrs/flock"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// fetch is one file on its way into the cache.
type fetch struct {
	hub    *Hub
	repo   Repo
	commit string
	file   File
	came   func(bytes int64) // told what has come; negative where it was thrown away
}

func (f fetch) blob() string {
	return filepath.Join(f.hub.Cache, f.repo.folder(), "blobs", f.file.etag())
}

// run brings the file's blob into the cache, unless it is there, and returns its
// SHA-256. While it works nobody else loads it.
func (f fetch) run(ctx context.Context) (sum string, loaded int64, err error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return "", 0, err
	}
	defer unlock()
	wrong, sum, err := hashFile(f.blob(), f.file)
	switch {
	case err == nil && wrong == "":
		f.came(f.file.Bytes)
		return sum, 0, nil
	case err != nil && !isMissing(err):
		return "", 0, f.failed(err)
	case err == nil: // it has come to harm
		if err := os.Remove(f.blob()); err != nil {
			return "", 0, f.failed(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(f.blob()), 0o755); err != nil {
		return "", 0, f.failed(err)
	}
	return f.load(ctx)
}

// load downloads the blob, from where an earlier pull has left it. If what that left
// turns out to be wrong it is loaded anew, once.
func (f fetch) load(ctx context.Context) (sum string, loaded int64, err error) {
	incomplete := f.blob() + ".incomplete"
	create := f.hub.create
	if create == nil {
		create = createPart
	}
	file, err := create(incomplete)
	if err != nil {
		return "", 0, f.failed(err)
	}
	defer file.Close()
	p, err := openPart(file, f.file)
	if err != nil {
		return "", 0, f.failed(err)
	}
	f.came(p.n)
	for {
		old := p.old
		if err := f.fill(ctx, p); err != nil {
			return "", 0, err
		}
		wrong := p.sums.differ(f.file)
		if wrong == "" {
			break
		}
		f.came(-p.n)
		if err := p.restart(); err != nil {
			return "", 0, f.failed(err)
		}
		if old == 0 {
			file.Close()
			os.Remove(incomplete)
			return "", 0, fmt.Errorf("%s of %s: the bytes that came %s: nothing is installed: try again, and if they stay wrong tell the repository's owner", f.file.Name, f.repo, wrong)
		}
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return "", 0, f.failed(err)
	}
	if err := os.Rename(incomplete, f.blob()); err != nil {
		return "", 0, f.failed(err)
	}
	return hex.EncodeToString(p.sums.sha256.Sum(nil)), p.n - p.old, nil
}

// fill asks for the rest of the file until all of it has come.
func (f fetch) fill(ctx context.Context, p *part) error {
	if p.n == f.file.Bytes {
		return nil
	}
	return f.hub.again(ctx, func(ctx context.Context) (bool, error) {
		before := p.n
		err := f.more(ctx, p)
		return p.n-before >= progressSize, err
	})
}

// more asks once for the rest of the file.
func (f fetch) more(ctx context.Context, p *part) error {
	header := http.Header{}
	if p.n > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", p.n))
	}
	a, err := f.hub.request(ctx, http.MethodGet, f.hub.fileAddress(f.repo, f.commit, f.file.Name), header)
	if err != nil {
		return err
	}
	defer a.stop()
	if etag := normalETag(a.etag); hexSHA256.MatchString(etag) && etag != f.file.SHA256 && f.file.SHA256 != "" {
		return fmt.Errorf("%s of %s: the hub lists the SHA-256 %.12s…, and sends %.12s…: nothing is installed: try again later", f.file.Name, f.repo, f.file.SHA256, etag)
	}
	if err := f.accept(a, p); err != nil {
		return err
	}
	return f.copy(p, a.Body)
}

var contentRange = regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+|\*)$`)

// accept looks at the answer's head: where its bytes begin, and whether they are of
// a file of this size. A server that sends all instead of the rest begins anew.
func (f fetch) accept(a answer, p *part) error {
	size := strconv.FormatInt(f.file.Bytes, 10)
	switch encoding := a.Header.Get("Content-Encoding"); {
	case encoding != "" && encoding != "identity":
		return fmt.Errorf("%s of %s: %s sends it as %.20q, which was not asked for", f.file.Name, f.repo, shown(a.Request.URL.String()), encoding)
	case a.StatusCode == http.StatusOK:
		if a.ContentLength >= 0 && a.ContentLength != f.file.Bytes {
			return f.wrongSize(a, a.ContentLength)
		}
		if p.n == 0 {
			return nil
		}
		f.came(-p.n)
		return f.failed(p.restart())
	case a.StatusCode == http.StatusPartialContent:
		m := contentRange.FindStringSubmatch(a.Header.Get("Content-Range"))
		if m != nil && m[1] == strconv.FormatInt(p.n, 10) && (m[3] == size || m[3] == "*") {
			return nil
		}
		if m != nil && m[3] != size && m[3] != "*" {
			total, _ := strconv.ParseInt(m[3], 10, 64)
			return f.wrongSize(a, total)
		}
		fallthrough
	case a.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		if p.n == 0 {
			return fmt.Errorf("%s of %s: %s answers a range that was not asked for", f.file.Name, f.repo, shown(a.Request.URL.String()))
		}
		f.came(-p.n)
		return errors.Join(f.failed(p.restart()), temporary{error: fmt.Errorf("%s of %s: another part came than the one that was asked for", f.file.Name, f.repo)})
	}
	if !f.hub.trusts(a.Request.URL) { // an address that the hub gave out, and that may have run out
		return temporary{fmt.Errorf("%s of %s: %s answers %d %s", f.file.Name, f.repo, shown(a.Request.URL.String()), a.StatusCode, http.StatusText(a.StatusCode)), retryAfter(a.Header)}
	}
	return f.hub.refusal(f.repo, f.file.Name, a.Response)
}

func (f fetch) wrongSize(a answer, n int64) error {
	return fmt.Errorf("%s of %s: the hub lists %d bytes, and %s has %d: nothing is installed: try again later", f.file.Name, f.repo, f.file.Bytes, shown(a.Request.URL.String()), n)
}

// copy appends what comes to the part, and no more than the file has.
func (f fetch) copy(p *part, body io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if left := f.file.Bytes - p.n; int64(n) > left {
			return fmt.Errorf("%s of %s: more came than the %d bytes that the hub lists: nothing is installed: try again later", f.file.Name, f.repo, f.file.Bytes)
		}
		if n > 0 {
			if _, err := p.Write(buf[:n]); err != nil {
				return f.failed(err)
			}
			f.came(int64(n))
		}
		switch {
		case p.n == f.file.Bytes:
			return nil
		case errors.Is(err, io.EOF):
			return temporary{error: fmt.Errorf("%s of %s: the connection ended after %d of %d bytes", f.file.Name, f.repo, p.n, f.file.Bytes)}
		case err != nil:
			return err
		}
	}
}

// failed is an error of the disk.
func (f fetch) failed(err error) error {
	if err == nil {
		return nil
	}
	return diskError(f.hub.Cache, f.file.Name, err)
}

// diskError says what could not be written, and what to do where the disk is full.
func diskError(cache, what string, err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("%s: the disk of %s is full: free some and pull again: what has come is kept, and nothing is half installed: %w", what, cache, clipsearch.ErrNoSpace)
	}
	return fmt.Errorf("%s: %w: make %s writable, or name another place with HF_HOME", what, err, cache)
}

// lock waits until nobody else loads this blob, be it clipsearch or Python.
func (f fetch) lock(ctx context.Context) (unlock func(), err error) {
	name := filepath.Join(f.hub.Cache, ".locks", f.repo.folder(), f.file.etag()+".lock")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, f.failed(err)
	}
	l := flock.New(name, flock.SetPermissions(0o664)) // as Python makes them, for a cache that users share
	told := time.AfterFunc(5*time.Second, func() {
		f.hub.notice("%s of %s: another process loads it, waiting for that", f.file.Name, f.repo)
	})
	defer told.Stop()
	if _, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, f.failed(err)
	}
	return func() { l.Unlock() }, nil //nolint:errcheck // the process's end gives it back too
}
