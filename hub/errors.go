package hub

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// refusal is the error that a response without the thing asked for is: temporary
// where asking again may help, and with what to do next otherwise.
func (h *Hub) refusal(r Repo, what string, resp *http.Response) error {
	code, said := resp.Header.Get("X-Error-Code"), resp.Header.Get("X-Error-Message")
	status := resp.StatusCode
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return temporary{fmt.Errorf("%s of %s: %s answers %d %s", what, r.Name, shown(resp.Request.URL.String()), status, http.StatusText(status)), retryAfter(resp.Header)}
	case code == "GatedRepo":
		return h.gated(r, status)
	case code == "DisabledRepo" || said == "Access to this resource is disabled.":
		return fmt.Errorf("%s is disabled at %s (%d): take another repository", r.Name, h.endpoint(), status)
	case code == "RevisionNotFound":
		return fmt.Errorf("%s has no revision %s (%d): see %s/%s/commits/main: %w", r.Name, r.rev(), status, h.endpoint(), r.Name, clipsearch.ErrInvalid)
	case code == "EntryNotFound":
		return fmt.Errorf("%s of %s does not exist at %s (%d)", what, r, h.endpoint(), status)
	case status == http.StatusUnauthorized && h.Token != "" && code != "RepoNotFound":
		return fmt.Errorf("%s of %s: %s does not accept the token (%d): set HF_TOKEN to one that is valid", what, r.Name, h.endpoint(), status)
	case code == "RepoNotFound" || status == http.StatusUnauthorized || status == http.StatusNotFound:
		return fmt.Errorf("%s does not exist at %s, or is private (%d): check how it is spelt, or set HF_TOKEN to a token that may read it: %w",
			r.Name, h.endpoint(), status, clipsearch.ErrInvalid)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s of %s: %s forbids access (%d): set HF_TOKEN to a token that may read it", what, r.Name, h.endpoint(), status)
	}
	return fmt.Errorf("%s of %s: %s answers %d %s%s: is HF_ENDPOINT a hub?", what, r.Name, shown(resp.Request.URL.String()), status, http.StatusText(status), quoted(said))
}

func (h *Hub) gated(r Repo, status int) error {
	next := "then set HF_TOKEN to a token of yours"
	if h.Token != "" {
		next = "with the account whose token HF_TOKEN holds"
	}
	return fmt.Errorf("%s is gated (%d): its owners want their terms accepted: do so at %s/%s, %s", r.Name, status, h.endpoint(), r.Name, next)
}

// quoted is what a server said, in a form that a terminal can be shown.
func quoted(said string) string {
	if said = strings.TrimSpace(said); said == "" {
		return ""
	}
	return fmt.Sprintf(" (%.200q)", said)
}

var resetIn = regexp.MustCompile(`;\s*t=(\d{1,6})\b`)

// retryAfter is how long a server asks to wait: Retry-After in seconds or as a date,
// or the draft header RateLimit.
func retryAfter(h http.Header) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			return time.Duration(min(n, 1e6)) * time.Second
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(0, time.Until(t))
		}
		return 0
	}
	if m := resetIn.FindStringSubmatch(h.Get("RateLimit")); m != nil && strings.Contains(h.Get("RateLimit"), "r=0") {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n) * time.Second
	}
	return 0
}
