package owner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

func contains(err error, words string) bool { return strings.Contains(err.Error(), words) }

// holderJSON is owner.json as a foreign process may write it.
type holderJSON struct {
	owner.Holder
	Network string `json:"network,omitempty"`
	Address string `json:"address,omitempty"`
	Token   string `json:"token"`
}

// hold takes the lock of dir as another program would, with an owner.json.
func hold(t *testing.T, dir string, h owner.Holder, network, address string) {
	t.Helper()
	lock := flock.New(filepath.Join(dir, "owner.lock"))
	if ok, err := lock.TryLock(); err != nil || !ok {
		t.Fatal("lock:", ok, err)
	}
	t.Cleanup(func() { lock.Close() })
	data, err := json.Marshal(holderJSON{h, network, address, "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "owner.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readHolder(t *testing.T, dir string) holderJSON {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "owner.json"))
	if err != nil {
		t.Fatal(err)
	}
	var h holderJSON
	if err := json.Unmarshal(data, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// Whoever waits is told for whom, once, and in the end gives up with an error
// that names the holder.
func TestNobodyWaitsInSilence(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	holder := owner.Holder{PID: 4711, Command: "clipsearch serve"}
	for name, address := range map[string][2]string{
		"opening": {"", ""}, "hung": {"tcp", silent.Addr().String()}, "dead address": {"tcp", "127.0.0.1:1"}, "no socket": {"unix", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			hold(t, dir, holder, address[0], address[1])
			var told []string
			o := quick(dir)
			o.Notice, o.Patience = 100*time.Millisecond, 400*time.Millisecond
			o.Waiting = func(h owner.Holder) { told = append(told, fmt.Sprint(h.PID, " ", h.Command)) }
			start := time.Now()
			_, err := owner.Acquire(t.Context(), dir, o)
			if err == nil || !contains(err, "process 4711 (clipsearch serve)") || strings.Contains(err.Error(), "\n") {
				t.Errorf("Acquire = %v, want one line that names the holder", err)
			}
			if d := time.Since(start); d < o.Patience || d > o.Patience+3*time.Second {
				t.Errorf("gave up after %v, want %v", d, o.Patience)
			}
			if len(told) != 1 || told[0] != "4711 clipsearch serve" {
				t.Errorf("told %q, want once of the holder", told)
			}
		})
	}
}

// Whoever is quicker than the notice is not told.
func TestNoNoticeWithoutAWait(t *testing.T) {
	_, _, client := pair(t, nil)
	dir := t.TempDir()
	o := quick(dir)
	o.Waiting = func(owner.Holder) { t.Error("Waiting was called") }
	acquire(t, dir, o)
	acquire(t, dir, o)
	if info := client.Info(); info.Holder.Command != "clipsearch test" || info.Holder.PID != os.Getpid() || info.Holder.Version != "1.2.3" {
		t.Errorf("Info = %+v", info)
	}
}

// An index that takes its time to open is waited for.
func TestOpensSlowly(t *testing.T) {
	dir := t.TempDir()
	opening := make(chan struct{})
	o := quick(dir)
	o.Open = func() (owner.Index, error) {
		close(opening)
		time.Sleep(400 * time.Millisecond)
		return openFake(dir)
	}
	first := make(chan error, 1)
	var own *owner.Handle
	go func() {
		var err error
		own, err = owner.Acquire(t.Context(), dir, o)
		first <- err
	}()
	<-opening
	var told owner.Holder
	o = quick(dir)
	o.Notice, o.Waiting = 50*time.Millisecond, func(h owner.Holder) { told = h }
	client := acquire(t, dir, o)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if told.PID != os.Getpid() || client.Info().Owned {
		t.Errorf("told of %v, owned %v; want of this process, a client", told, client.Info().Owned)
	}
}

// A call that takes its time is told of once, and goes on.
func TestSlowCall(t *testing.T) {
	dir := t.TempDir()
	x, err := openFake(dir)
	if err != nil {
		t.Fatal(err)
	}
	x.before = func(context.Context, string) error { time.Sleep(300 * time.Millisecond); return nil }
	o := quick(dir)
	o.Open = with(x)
	acquire(t, dir, o)
	told := make(chan owner.Holder, 10)
	o = quick(dir)
	o.Notice, o.Waiting = 50*time.Millisecond, func(h owner.Holder) { told <- h }
	client := acquire(t, dir, o)
	for range 2 {
		if _, err := client.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || (<-told).PID != os.Getpid() {
		t.Errorf("told %d times, want once of this process", len(told))
	}
}

// What a dead owner has left is not believed, whoever answers at its address.
func TestStaleFiles(t *testing.T) {
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(foreign, http.NotFoundHandler()) //nolint:errcheck // ends with the listener
	defer foreign.Close()
	for name, f := range map[string]holderJSON{
		"a foreign server": {Network: "tcp", Address: foreign.Addr().String(), Token: "secret"},
		"no address":       {Token: "secret"},
		"no socket":        {Network: "unix", Token: "secret"},
		"no token":         {Network: "unix"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data, _ := json.Marshal(f)
			for file, content := range map[string][]byte{"owner.json": data, "owner.json.tmp": nil, "owner.sock": nil} {
				if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, ".own", "s"), 0o755); err != nil {
				t.Fatal(err)
			}
			h := acquire(t, dir, quick(dir))
			if !h.Info().Owned {
				t.Error("not owned")
			}
			if c := acquire(t, dir, quick(dir)); c.Info().Owned {
				t.Error("the second owns it too")
			}
		})
	}
}

func TestOtherProtocol(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	later := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"protocol":7,"version":"9.9","more":[]}`)
	}
	go http.Serve(l, http.HandlerFunc(later)) //nolint:errcheck // ends with the listener
	defer l.Close()
	dir := t.TempDir()
	hold(t, dir, owner.Holder{PID: 4711, Command: "clipsearch serve"}, "tcp", l.Addr().String())
	_, err = owner.Acquire(t.Context(), dir, quick(dir))
	if err == nil || !contains(err, "protocol 7") || !contains(err, "protocol 1") || !contains(err, "process 4711 (clipsearch serve)") || !contains(err, "9.9") {
		t.Errorf("Acquire = %v, want both protocols and the holder", err)
	}
}

// A process that does not know the token is no owner, wherever it listens.
func TestImpostor(t *testing.T) {
	var asked []string
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // ends with the listener
		asked = append(asked, fmt.Sprint(r.URL, r.Header))
		fmt.Fprintln(w, `{"protocol":1,"proof":"00"}`)
	}))
	defer l.Close()
	dir := t.TempDir()
	hold(t, dir, owner.Holder{PID: 4711}, "tcp", l.Addr().String())
	o := quick(dir)
	o.Patience = 50 * time.Millisecond
	if _, err := owner.Acquire(t.Context(), dir, o); err == nil || !contains(err, "another process answers") {
		t.Errorf("Acquire = %v", err)
	}
	l.Close()
	if len(asked) == 0 || strings.Contains(fmt.Sprint(asked), "secret") {
		t.Errorf("asked %q, want something, but never the token", asked)
	}
}

// deepDir is a directory whose path is too long for a socket.
func deepDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Where a socket cannot be, a loopback port takes its place, and a token guards it.
func TestLoopbackPort(t *testing.T) {
	dir := deepDir(t)
	acquire(t, dir, quick(dir))
	client := acquire(t, dir, quick(dir))
	if err := client.Put(t.Context(), []clipsearch.Entry{entry(1)}); err != nil {
		t.Fatal(err)
	}
	h := readHolder(t, dir)
	if h.Network != "tcp" || !strings.HasPrefix(h.Address, "127.0.0.1:") {
		t.Fatalf("owner.json: %s %s, want tcp on 127.0.0.1", h.Network, h.Address)
	}
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{"POST", "/stats", "", http.StatusForbidden},
		{"POST", "/stats", "Bearer ", http.StatusForbidden},
		{"POST", "/stats", "Bearer " + h.Token[1:], http.StatusForbidden},
		{"POST", "/stats", h.Token, http.StatusForbidden},
		{"GET", "/life", "", http.StatusForbidden},
		{"GET", "/life", "Bearer " + h.Token, http.StatusForbidden}, // needs a proof, not the token
		{"GET", "/", "", http.StatusForbidden},
		{"GET", "/stats", "Bearer " + h.Token, http.StatusMethodNotAllowed},
		{"POST", "/absent", "Bearer " + h.Token, http.StatusNotFound},
		{"POST", "/stats", "Bearer " + h.Token, http.StatusOK},
	} {
		req, _ := http.NewRequest(tt.method, "http://"+h.Address+tt.path, bytes.NewReader([]byte{0xa0})) // an empty map
		if tt.token != "" {
			req.Header.Set("Authorization", tt.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s with %q: %s, want %d", tt.method, tt.path, tt.token, resp.Status, tt.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Nobody else may read the token or connect to the socket.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing here")
	}
	dir := t.TempDir()
	acquire(t, dir, quick(dir))
	for _, name := range []string{"owner.json", "owner.sock", "owner.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
}

// A directory that cannot be written is said to be so.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("this user may write anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700) //nolint:errcheck // else the test directory cannot be removed
	if _, err := owner.Acquire(t.Context(), dir, quick(dir)); err == nil || !contains(err, "cannot be written") {
		t.Errorf("Acquire = %v", err)
	}
}

// The owner of a directory that was removed and made again leaves the new one alone.
func TestDirectoryMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ix")
	o := quick(dir)
	o.Create = true
	old := acquire(t, dir, o)
	if err := os.RemoveAll(dir); err != nil {
		t.Skip(err) // not where open files cannot be removed
	}
	acquire(t, dir, o)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if c := acquire(t, dir, o); c.Info().Owned {
		t.Error("a second owner")
	}
}
