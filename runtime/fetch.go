package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// maxArchive bounds a download, in bytes; the largest archive has 114 MB.
const maxArchive = 1 << 30

// releases is the official folder of releases.
const releases = "https://github.com/microsoft/onnxruntime/releases/download"

// fetchRelease downloads the archive of the official release. A server whose
// answer does not begin within o.Patience, or that pauses ten times as long, is
// given up.
func fetchRelease(ctx context.Context, o Options, p pin, dir string) (string, error) {
	name := fmt.Sprintf(releaseArchives[o.platform()], p.version)
	url := fmt.Sprintf("%s/v%s/%s", cmp.Or(o.ReleaseURL, releases), p.version, name)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := cmp.Or(o.Patience, 3*time.Second)
	slow := time.AfterFunc(patience, func() { cancel(fmt.Errorf("%s: no answer within %s", url, patience)) })
	defer slow.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := cmp.Or(o.Client, http.DefaultClient).Do(req)
	if err != nil {
		return "", cmp.Or(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	slow.Stop()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, resp.Status)
	}
	stalled := time.AfterFunc(10*patience, func() { cancel(fmt.Errorf("%s: nothing came for %s", url, 10*patience)) })
	defer stalled.Stop()
	archive := filepath.Join(dir, name)
	if err := save(archive, eachRead{resp.Body, func() { stalled.Reset(10 * patience) }}); err != nil {
		return "", cmp.Or(context.Cause(ctx), err)
	}
	return archive, nil
}

// eachRead calls after whenever something was read.
type eachRead struct {
	io.Reader
	after func()
}

func (r eachRead) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.after()
	return n, err
}

func save(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxArchive+1))
	if n > maxArchive {
		err = fmt.Errorf("it is larger than %d MB", maxArchive>>20)
	}
	return errors.Join(err, f.Close())
}

// fetchWheel has the user's pip download the package onnxruntime.
func fetchWheel(ctx context.Context, o Options, p pin, dir string) (string, error) {
	args := []string{
		"download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.12",
		"--platform", wheelPlatforms[o.platform()], "--dest", dir, "onnxruntime==" + p.version,
	}
	err := o.firstOf(ctx, dir, args, []string{"python3", "-m", "pip"}, []string{"pip3"}, []string{"pip"}, []string{"python", "-m", "pip"})
	if err != nil {
		return "", err
	}
	return one(dir, "*.whl")
}

// fetchNode has the user's npm download the package onnxruntime-node.
func fetchNode(ctx context.Context, o Options, p pin, dir string) (string, error) {
	if err := o.firstOf(ctx, dir, []string{"pack", "--silent", "onnxruntime-node@" + p.version}, []string{"npm"}); err != nil {
		return "", err
	}
	return one(dir, "*.tgz")
}

// firstOf runs the clients until one works. Its error is that of the first that
// is there.
func (o Options) firstOf(ctx context.Context, dir string, args []string, clients ...[]string) error {
	run := o.Run
	if run == nil {
		run = runCommand
	}
	var first error
	for _, client := range clients {
		out, err := run(ctx, dir, append(append([]string{}, client...), args...)...)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first == nil && !errors.Is(err, exec.ErrNotFound) {
			first = fmt.Errorf("%s: %w: %.300s", strings.Join(client, " "), err, lastLine(out))
		}
	}
	if first == nil {
		return fmt.Errorf("there is no %s here", strings.Join(clients[0], " "))
	}
	return first
}

func runCommand(ctx context.Context, dir string, command ...string) (string, error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return "", exec.ErrNotFound
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = 2 * time.Second // for children of the client that keep its output open
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func one(dir, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the package client left %d files %s, not one", len(found), pattern)
	}
	return found[0], nil
}
