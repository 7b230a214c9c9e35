package owner_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

// The test binary is also the other process: see [childMain].
const childVariable = "OWNER_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		if err := childMain(role, os.Args[1]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childMain is a process that works with the index in dir. "hold" holds it until
// its stdin ends; with "hold slow", the calls begun say so and do not end; with
// "hold real", it is no fake. A number stores ten entries from there on.
func childMain(role, dir string) error {
	o := quick(dir)
	o.Create, o.Command = true, "clipsearch child"
	o.Open = func() (owner.Index, error) {
		x, err := openFake(dir)
		if err == nil && role == "hold slow" {
			x.before = func(ctx context.Context, call string) error {
				fmt.Println("begun", call)
				time.Sleep(time.Minute)
				return nil
			}
		}
		return x, err
	}
	if role == "hold real" {
		o.Open = realOptions(dir).Open
	}
	ctx := context.Background()
	h, err := owner.Acquire(ctx, dir, o)
	if err != nil {
		return err
	}
	fmt.Println("owned", h.Info().Owned)
	if first, err := strconv.Atoi(role); err == nil {
		for n := range 10 {
			if err := h.Put(ctx, []clipsearch.Entry{entry(first + n)}); err != nil {
				return err
			}
		}
	} else if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return h.Close()
}

// child is a started process and what it says.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader
}

func start(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t, cmd, stdin, bufio.NewReader(stdout)}
	t.Cleanup(c.kill)
	return c
}

// says reads the child's next line.
func (c *child) says(want string) {
	c.t.Helper()
	got, err := c.lines.ReadString('\n')
	if got = strings.TrimSpace(got); got != want {
		c.t.Fatalf("the child says %q, %v, want %q", got, err, want)
	}
}

// kill is kill -9. A second one does nothing.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// held starts a child that owns the index of a new directory, and a client of it.
func held(t *testing.T, role string, enduring bool) (*child, *owner.Handle) {
	t.Helper()
	dir := t.TempDir()
	c := start(t, role, dir)
	c.says("owned true")
	o := quick(dir)
	o.Enduring = enduring
	h := acquire(t, dir, o)
	if info := h.Info(); info.Owned || info.Holder.PID != c.cmd.Process.Pid || info.Holder.Command != "clipsearch child" {
		t.Fatalf("Info = %+v, want the child", info)
	}
	return c, h
}

func put(t *testing.T, h *owner.Handle, n int) error {
	return h.Put(t.Context(), []clipsearch.Entry{entry(n)})
}

func images(t *testing.T, h *owner.Handle) int {
	t.Helper()
	st, err := h.Stats(t.Context())
	if err != nil {
		t.Fatalf("Stats: %v", err)
	}
	return st.Images
}

// endedOf fails unless err says in one line that c has ended.
func endedOf(t *testing.T, c *child, err error) {
	t.Helper()
	who := fmt.Sprintf("(pid %d, clipsearch child)", c.cmd.Process.Pid)
	if err == nil || !contains(err, who) || !contains(err, "run this again") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line with %q and what to do", err, who)
	}
}

func TestStartersAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "index")
	var children []*child
	for n := range 4 {
		children = append(children, start(t, strconv.Itoa(10*n), dir))
	}
	for _, c := range children {
		out, _ := io.ReadAll(c.lines)
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("child: %v: %s", err, out)
		}
	}
	if n := images(t, acquire(t, dir, quick(dir))); n != 40 {
		t.Errorf("%d images, want 40", n)
	}
}

func TestKilledOwnerIsReplaced(t *testing.T) {
	dir := t.TempDir()
	c := start(t, "hold", dir)
	c.says("owned true")
	c.kill()
	if stale := readHolder(t, dir); stale.PID != c.cmd.Process.Pid {
		t.Fatalf("owner.json is of %d, want the dead owner's", stale.PID)
	}
	began := time.Now()
	h := acquire(t, dir, quick(dir))
	if took := time.Since(began); !h.Info().Owned || took > 5*time.Second {
		t.Errorf("owned %v after %v, want true at once", h.Info().Owned, took)
	}
	if now := readHolder(t, dir); now.PID != os.Getpid() {
		t.Errorf("owner.json is of %d, want ours", now.PID)
	}
	if acquire(t, dir, quick(dir)).Info().Owned {
		t.Error("a second owner")
	}
}

// A write that its owner's death interrupted fails, and so do the writes after
// it; reads go on.
func TestCrashDuringPut(t *testing.T) {
	c, h := held(t, "hold slow", false)
	done := make(chan error, 1)
	go func() { done <- put(t, h, 1) }()
	c.says("begun put")
	c.kill()
	endedOf(t, c, <-done)
	if n := images(t, h); n != 0 || !h.Info().Owned {
		t.Errorf("%d images, owned %v, want 0, true", n, h.Info().Owned)
	}
	endedOf(t, c, put(t, h, 2))
}

// The owner dies between two calls: reads go on, writes know it.
func TestCrashBetweenCalls(t *testing.T) {
	c, h := held(t, "hold", false)
	if err := put(t, h, 1); err != nil {
		t.Fatal(err)
	}
	c.kill()
	endedOf(t, c, put(t, h, 2))
	if n := images(t, h); n != 1 {
		t.Errorf("%d images, want 1: what was stored is lost", n)
	}
	endedOf(t, c, put(t, h, 3))
}

// A server endures: only the write that was interrupted fails.
func TestEnduring(t *testing.T) {
	c, h := held(t, "hold slow", true)
	done := make(chan error, 1)
	go func() { done <- put(t, h, 1) }()
	c.says("begun put")
	c.kill()
	endedOf(t, c, <-done)
	if err := put(t, h, 2); err != nil {
		t.Errorf("Put after the crash: %v", err)
	}
	if n := images(t, h); n != 1 {
		t.Errorf("%d images, want 1", n)
	}
}

// A read that its owner's death interrupted is asked again.
func TestCrashDuringRead(t *testing.T) {
	c, h := held(t, "hold slow", false)
	done := make(chan int, 1)
	go func() {
		ids, err := h.Seen(t.Context(), entry(1).Files)
		if err != nil {
			t.Errorf("Seen: %v", err)
		}
		done <- len(ids)
	}()
	c.says("begun seen")
	c.kill()
	if n := <-done; n != 1 {
		t.Errorf("Seen answered for %d files, want 1", n)
	}
}

// An owner that leaves in the midst of a client's work is not noticed.
func TestOwnerLeavesDuringWork(t *testing.T) {
	c, h := held(t, "hold", false)
	for n := range 60 {
		if n == 20 {
			c.stdin.Close()
		}
		if err := put(t, h, n); err != nil {
			t.Fatalf("Put %d: %v", n, err)
		}
	}
	if out, err := io.ReadAll(c.lines); err != nil || len(out) > 0 {
		t.Errorf("the child says %s, %v", out, err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	if n := images(t, h); n != 60 || !h.Info().Owned {
		t.Errorf("%d images, owned %v, want 60, true", n, h.Info().Owned)
	}
}
