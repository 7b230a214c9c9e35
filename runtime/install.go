package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// source is a place that the library comes from. fetch puts an archive with the
// pinned library into dir and returns its path.
type source struct {
	name  string
	fetch func(ctx context.Context, o Options, p pin, dir string) (string, error)
}

// sources in the order in which Install tries them.
var sources = []source{{"release", fetchRelease}, {"pip", fetchWheel}, {"npm", fetchNode}}

// releases is the official folder of releases.
const releases = "https://github.com/microsoft/onnxruntime/releases/download"

// Install puts a pinned library into the cache, unless it is there, and returns
// it. A library whose digest is not the pinned one is never put there. It may run
// in two processes at once.
func Install(ctx context.Context, o Options) (Library, error) {
	var said []string
	for _, s := range sources {
		p, ok := o.pin(s.name)
		if !ok {
			said = append(said, fmt.Sprintf("%s: no SHA-256 is known here for %s", s.name, o.platform()))
			continue
		}
		path := o.installed(p.version)
		if sum, err := digest(path); err == nil && sum == p.sha256 {
			return Library{path, p.version, "cache"}, nil
		}
		err := s.install(ctx, o, p, path)
		if err == nil {
			return Library{path, p.version, s.name}, nil
		}
		if ctx.Err() != nil {
			return Library{}, ctx.Err()
		}
		said = append(said, fmt.Sprintf("%s: %s", s.name, strings.Join(strings.Fields(err.Error()), " ")))
	}
	return Library{}, fmt.Errorf("install ONNX Runtime for %s: %s: install python3 with pip, or npm, and run it again, or name a library with ONNXRUNTIME_LIB", o.platform(), strings.Join(said, "; "))
}

func (s source) install(ctx context.Context, o Options, p pin, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".install-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive, err := s.fetch(ctx, o, p, dir)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, "library")
	if err := extract(archive, p.pattern, part); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	sum, err := digest(part)
	if err != nil {
		return err
	}
	if sum != p.sha256 {
		return fmt.Errorf("the library in %s has the SHA-256 %s, not %s: it is not used", filepath.Base(archive), sum, p.sha256)
	}
	return os.Rename(part, path)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// fetchRelease downloads the archive of the official release. A server whose
// answer does not begin within o.Patience is given up.
func fetchRelease(ctx context.Context, o Options, p pin, dir string) (string, error) {
	name := fmt.Sprintf(releaseArchives[o.platform()], p.version)
	url := fmt.Sprintf("%s/v%s/%s", cmp.Or(o.ReleaseURL, releases), p.version, name)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := cmp.Or(o.Patience, 3*time.Second)
	slow := time.AfterFunc(patience, func() { cancel(fmt.Errorf("no answer in %s", patience)) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := cmp.Or(o.Client, http.DefaultClient).Do(req)
	if err != nil {
		return "", errors.Join(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	slow.Stop()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return save(filepath.Join(dir, name), resp.Body)
}

func save(path string, r io.Reader) (string, error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxArchive+1))
	if n > maxArchive {
		err = fmt.Errorf("it is larger than %d MB", maxArchive>>20)
	}
	return path, errors.Join(err, f.Close())
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

// firstOf runs the first of the clients that works.
func (o Options) firstOf(ctx context.Context, dir string, args []string, clients ...[]string) error {
	run := o.Run
	if run == nil {
		run = runCommand
	}
	var errs []error
	for _, client := range clients {
		out, err := run(ctx, dir, append(append([]string{}, client...), args...)...)
		if err == nil {
			return nil
		}
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %w: %.300s", strings.Join(client, " "), err, lastLine(out)))
	}
	if len(errs) == 0 {
		return fmt.Errorf("there is no %s here", strings.Join(clients[0], " "))
	}
	return errs[0]
}

func runCommand(ctx context.Context, dir string, command ...string) (string, error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return "", exec.ErrNotFound
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func one(dir, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the package client left %d files %s, not one", len(found), pattern)
	}
	return found[0], nil
}
