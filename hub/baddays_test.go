package hub

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const half = 150_000 // bytes of the weights

// badDays are what a network and a busy hub do; the client comes through.
var badDays = []struct {
	name           string
	hubDay, cdnDay func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool
	ranges         []string // that the CDN is asked for
}{
	{name: "busy hub", hubDay: func(_ *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n%3 == 0 {
			w.WriteHeader([]int{500, 502, 503, 504, 429, 408}[n/3%6])
		}
		return n%3 == 0
	}, ranges: []string{"GET "}},
	{name: "broken off in the middle", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			f.breakOff(w, weightsOf, half)
		}
		return false
	}, ranges: []string{"GET ", "GET bytes=150000-"}},
	{name: "broken off again and again", cdnDay: func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		if to := from + 70_000; to < 300_000 {
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-299999/300000", from))
				w.Header().Set("Content-Length", fmt.Sprint(300_000-from))
				w.WriteHeader(206)
			}
			w.Write(f.files[weightsOf][from:to]) //nolint:errcheck // it is broken off anyway
			panic(http.ErrAbortHandler)
		}
		return false
	}, ranges: []string{"GET ", "GET bytes=70000-", "GET bytes=140000-", "GET bytes=210000-", "GET bytes=280000-"}},
	{name: "ends early as if whole", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.(*counter).ResponseWriter.(http.Flusher).Flush() // no length
			w.Write(f.files[weightsOf][:half])                 //nolint:errcheck // as above
		}
		return n == 1
	}, ranges: []string{"GET ", "GET bytes=150000-"}},
	{name: "range ignored", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			f.breakOff(w, weightsOf, half)
		}
		w.Write(f.files[weightsOf]) //nolint:errcheck // as above
		return true
	}, ranges: []string{"GET ", "GET bytes=150000-"}},
	{name: "another range", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			f.breakOff(w, weightsOf, half)
		case 2:
			w.Header().Set("Content-Range", "bytes 7-299999/300000")
			w.WriteHeader(206)
			w.Write(f.files[weightsOf][7:]) //nolint:errcheck // as above
		}
		return n == 2
	}, ranges: []string{"GET ", "GET bytes=150000-", "GET "}},
	{name: "range refused", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			f.breakOff(w, weightsOf, half)
		case 2:
			w.WriteHeader(416)
		}
		return n == 2
	}, ranges: []string{"GET ", "GET bytes=150000-", "GET "}},
	{name: "address run out", cdnDay: func(_ *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(403)
		}
		return n == 1
	}, ranges: []string{"GET ", "GET "}},
	{name: "silent CDN", cdnDay: func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			w.Write(f.files[weightsOf][:half]) //nolint:errcheck // as above
			w.(*counter).ResponseWriter.(http.Flusher).Flush()
			<-r.Context().Done()
		}
		return n == 1
	}, ranges: []string{"GET ", "GET bytes=150000-"}},
	{name: "silent hub", hubDay: func(_ *fake, n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			<-r.Context().Done()
		}
		return n == 1
	}, ranges: []string{"GET "}},
}

// TestBadDays pulls through what a network and a busy hub do. The CDN sends no byte
// twice but what a broken connection had under way.
func TestBadDays(t *testing.T) {
	for _, tt := range badDays {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.hubDay != nil {
				f.hubDay = func(n int, w http.ResponseWriter, r *http.Request) bool { return tt.hubDay(f, n, w, r) }
			}
			if tt.cdnDay != nil {
				f.cdnDay = func(n int, w http.ResponseWriter, r *http.Request) bool { return tt.cdnDay(f, n, w, r) }
			}
			h := f.client()
			h.Patience, h.Parallel = 300*time.Millisecond, 1
			within(t, 20*time.Second, func() {
				if _, err := pull(t, h); err != nil {
					t.Fatalf("Pull: %v", err)
				}
			})
			f.mustStand(h, weightsOf, "config.json")
			if !cmp.Equal(f.seen().fetched, tt.ranges) {
				t.Errorf("the CDN was asked for %q, want %q", f.seen().fetched, tt.ranges)
			}
			for _, name := range filesBelow(t, h.Cache) {
				if strings.HasSuffix(name, ".incomplete") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestGivesUp pulls from a hub that never comes round: the error says what and why,
// and there is an end to it.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		day  func(n int, w http.ResponseWriter, r *http.Request) bool
		asks int
		says string
	}{
		{"down", func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }, maxTries, "503 Service Unavailable, 5 times: try again later"},
		{"asks for an hour", func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			return true
		}, 1, "429 Too Many Requests: it asks to come back in 1h0m0s"},
		{"silent", func(_ int, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, maxTries, "nothing came for"},
		{"drops", func(int, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, maxTries, "EOF"},
		{"leads in circles", func(_ int, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}, maxRedirects, "redirects more than 10 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.hubDay = tt.day
			h := f.client()
			if tt.name == "silent" {
				h.Patience = 50 * time.Millisecond
			}
			within(t, 10*time.Second, func() {
				if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Pull = %v, want %q", err, tt.says)
				}
			})
			if len(f.seen().asked) != tt.asks {
				t.Errorf("it was asked %d times, want %d", len(f.seen().asked), tt.asks)
			}
			mustNotStand(t, h)
		})
	}
}

// TestRetryAfter holds the waiting to what a busy hub asks for.
func TestRetryAfter(t *testing.T) {
	f := newFake(t)
	var first, second atomic.Int64
	f.hubDay = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			first.Store(time.Now().UnixNano())
		case 2:
			second.Store(time.Now().UnixNano())
		}
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
		return n == 1
	}
	h := f.client()
	h.Parallel = 1
	mustPull(t, h)
	if d := time.Duration(second.Load() - first.Load()); d < time.Second {
		t.Errorf("asked again after %s, want 1 s", d)
	}
	for header, want := range map[string]time.Duration{
		"Retry-After: 7": 7 * time.Second, "Retry-After: soon": 0, "Retry-After: -3": 0, "Retry-After: Mon, 02 Jan 2006 15:04:05 GMT": 0,
		`RateLimit: "api";r=0;t=55`: 55 * time.Second, `RateLimit: "api";r=9;t=55`: 0,
	} {
		k, v, _ := strings.Cut(header, ": ")
		if got := retryAfter(http.Header{http.CanonicalHeaderKey(k): {v}}); got != want {
			t.Errorf("retryAfter(%s) = %s, want %s", header, got, want)
		}
	}
}

// wrongBytes are answers that are not what the hub lists.
var wrongBytes = []struct {
	name string
	day  func(f *fake, n int, w http.ResponseWriter) bool
	says string
}{
	{"another byte", func(f *fake, _ int, w http.ResponseWriter) bool {
		b := slices.Clone(f.files[weightsOf])
		b[299_000] ^= 1
		w.Write(b) //nolint:errcheck // the client sees it
		return true
	}, "have the SHA-256"},
	{"too many bytes, told", func(f *fake, _ int, w http.ResponseWriter) bool {
		w.Header().Set("Content-Length", "300001")
		w.Write(append(slices.Clone(f.files[weightsOf]), 0)) //nolint:errcheck // as above
		return true
	}, "the hub lists 300000 bytes"},
	{"too many bytes, untold", func(f *fake, _ int, w http.ResponseWriter) bool {
		w.(*counter).ResponseWriter.(http.Flusher).Flush()
		w.Write(append(slices.Clone(f.files[weightsOf]), make([]byte, 5e6)...)) //nolint:errcheck // as above
		return true
	}, "more came than the 300000 bytes"},
	{"too few bytes, told", func(f *fake, _ int, w http.ResponseWriter) bool {
		w.Header().Set("Content-Length", "7")
		w.Write(f.files[weightsOf][:7]) //nolint:errcheck // as above
		return true
	}, "the hub lists 300000 bytes"},
	{"packed", func(f *fake, _ int, w http.ResponseWriter) bool {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(f.files[weightsOf]) //nolint:errcheck // as above
		return true
	}, "gzip"},
	{"of another size, in the rest", func(f *fake, n int, w http.ResponseWriter) bool {
		if n == 1 {
			f.breakOff(w, weightsOf, 10)
		}
		w.Header().Set("Content-Range", "bytes 10-399999/400000")
		w.WriteHeader(206)
		return true
	}, "has 400000"},
}

// TestWrongBytes pulls files that are not what the hub says: nothing of them stays.
func TestWrongBytes(t *testing.T) {
	for _, tt := range wrongBytes {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.cdnDay = func(n int, w http.ResponseWriter, _ *http.Request) bool { return tt.day(f, n, w) }
			h := f.client()
			if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), weightsOf) {
				t.Errorf("Pull = %v, want %q", err, tt.says)
			}
			mustNotStand(t, h)
			if _, err := os.Stat(filepath.Join(h.Cache, "models--org--clip", "blobs", f.etag(weightsOf))); err == nil {
				t.Error("the wrong bytes have the name of the right ones")
			}
			f.cdnDay = nil
			mustPull(t, h)
			f.mustStand(h, weightsOf)
		})
	}
}
