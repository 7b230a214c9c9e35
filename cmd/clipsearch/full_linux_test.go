//go:build !nomodel

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"
	"golang.org/x/sys/unix"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// smallDisk mounts a file system of size, or skips the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillUp writes to path until nothing is free.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestServeOnFullDisk fills the disk under a server: it goes on answering, says in
// /readyz that it is read-only, refuses what it cannot store and keeps nothing of
// it; with room made it stores again.
func TestServeOnFullDisk(t *testing.T) {
	disk, dir := smallDisk(t, "260m"), t.TempDir()
	index, photos, keys := filepath.Join(disk, "index"), filepath.Join(dir, "photos"), filepath.Join(dir, "keys")
	copyPhotos(t, photos, "cat.jpg", "coffee.jpg", "rocket.jpg")
	if err := os.WriteFile(keys, []byte("me write secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "ingest", filepath.Join(photos, "cat.jpg"), filepath.Join(photos, "coffee.jpg"), "--index", index, "--quiet")
	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--index", index, "--addr", "127.0.0.1:0", "--api-key-file", keys}, world{strings.NewReader(""), &out, io.Discard, os.Getenv})
	}()
	base, rocket := address(t, &out), filepath.Join(photos, "rocket.jpg")
	want := func(when, status string, code int) {
		t.Helper()
		if got := get(t, base+"/readyz"); !strings.Contains(got, `"status":"`+status+`"`) {
			t.Errorf("readyz %s: %s, want %s", when, got, status)
		}
		if got := firstPath(t, get(t, base+"/search?format=json&q=a+cat")); got != "cat.jpg" {
			t.Errorf("search %s: %s is first", when, got)
		}
		if got := postNew(t, base+"/images", rocket); !strings.HasPrefix(got, http.StatusText(code)) {
			t.Errorf("POST /images %s: %s, want %d", when, got, code)
		}
	}
	fillUp(t, filepath.Join(disk, "filler"))
	want("on a full disk", "read-only", http.StatusServiceUnavailable)
	if left, _ := filepath.Glob(filepath.Join(index, "uploads", "*")); len(left) > 0 {
		t.Errorf("uploads that were refused: %v", left)
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"ingest", photos, "--index", index, "--quiet"}, world{strings.NewReader(""), io.Discard, &stderr, os.Getenv}); code != exitFailed || !strings.Contains(stderr.String(), "free some") {
		t.Errorf("ingest on a full disk: %d %s", code, stderr.String())
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	want("with room again", "ready", http.StatusCreated)
	if got := command(t, "check", "--index", index, "--json"); !strings.Contains(got, `"ok":true`) || !strings.Contains(got, `"images":3`) {
		t.Errorf("check: %s", got)
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
}

// postNew stores a picture with the key "secret" and returns status and answer.
func postNew(t *testing.T, u, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("image", filepath.Base(file))
	if err == nil {
		_, err = part.Write(data)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return http.StatusText(resp.StatusCode) + " " + string(answer)
}
