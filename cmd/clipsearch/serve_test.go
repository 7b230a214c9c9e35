//go:build !nomodel

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adrg/xdg"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// lockedBuffer is what a command prints while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestServe runs a server and, beside it, an ingest and searches on the same
// index: they work through it, and what they store is found at once.
func TestServe(t *testing.T) {
	if _, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")}); err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	dir := t.TempDir()
	index, first, second := filepath.Join(dir, "index"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	copyPhotos(t, first, "cat.jpg", "coffee.jpg", "camera.jpg")
	copyPhotos(t, second, "rocket.jpg", "coins.jpg")
	command(t, "ingest", first, "--index", index, "--quiet")

	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--index", index, "--addr", "127.0.0.1:0"}, world{strings.NewReader(""), &out, io.Discard, os.Getenv})
	}()
	base := address(t, &out)

	if got := firstPath(t, get(t, base+"/search?format=json&q=a+cat")); got != "cat.jpg" {
		t.Errorf("a cat: %s is first", got)
	}
	command(t, "ingest", second, "--index", index, "--quiet")
	if got := firstPath(t, get(t, base+"/search?format=json&q="+url.QueryEscape("a rocket launch"))); got != "rocket.jpg" {
		t.Errorf("a rocket launch, stored by another process: %s is first", got)
	}
	if got := firstPath(t, postPicture(t, base+"/search", filepath.Join(second, "coins.jpg"))); got != "coins.jpg" {
		t.Errorf("search by picture: %s is first", got)
	}
	if got := command(t, "search", "a", "cup", "of", "coffee", "--index", index, "--format", "paths", "-n", "1"); filepath.Base(strings.TrimSpace(got)) != "coffee.jpg" {
		t.Errorf("search beside the server: %q", got)
	}
	if got := command(t, "check", "--index", index, "--json"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("check beside the server: %s", got)
	}
	id := regexp.MustCompile(`"id":"([0-9a-f]{32})"`).FindStringSubmatch(get(t, base+"/search?format=json&q=a+rocket+launch"))[1]
	original, err := os.ReadFile(filepath.Join(second, "rocket.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, base+"/images/"+id+"/original"); got != string(original) {
		t.Errorf("the original of a folder ingested while the server runs has %d bytes, not %d", len(got), len(original))
	}
	if page := get(t, base+"/search?q=a+cat", "Accept", "text/html"); !strings.Contains(page, `name="q"`) || !strings.Contains(page, "<img") {
		t.Errorf("the page has no field q or no picture: %.300s", page)
	}
	testBrowser(t, base)
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
}

// testBrowser has a real browser draw the page, where there is one, and looks at
// what became of it: the hits are there, their pictures have loaded, and the
// console holds no complaint.
func testBrowser(t *testing.T, base string) {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("the page is not tried in a browser: chromium is not installed")
		return
	}
	shot := filepath.Join(t.TempDir(), "page.png")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--window-size=1280,800", "--virtual-time-budget=5000", "--enable-logging=stderr", "--screenshot="+shot, "--dump-dom", base+"/search?q=a+cat")
	var console bytes.Buffer
	cmd.Stderr = &console
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v: %.500s", err, console.String())
	}
	if n := strings.Count(string(dom), `alt="`); n != 5 {
		t.Errorf("the page in a browser has %d pictures, not 5", n)
	}
	if strings.Contains(console.String(), "CONSOLE") {
		t.Errorf("the browser complains: %.500s", console.String())
	}
	if colours := coloursOf(t, shot); colours < 1000 {
		t.Errorf("the page has %d colours: its photographs have not loaded", colours)
	}
}

func coloursOf(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[color.Color]bool{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}

func copyPhotos(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("../../testdata/photos", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// command runs clipsearch and returns its stdout; it must succeed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, world{strings.NewReader(""), &stdout, &stderr, os.Getenv}); code != exitDone {
		t.Fatalf("clipsearch %v: exit %d: %s", args, code, stderr.String())
	}
	return stdout.String()
}

func address(t *testing.T, out *lockedBuffer) string {
	t.Helper()
	for range 200 {
		if m := regexp.MustCompile(`http://[^/]+`).FindString(out.String()); m != "" {
			return m
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the server did not say its address in 10 s")
	return ""
}

func get(t *testing.T, u string, header ...string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v: %.300s", req.Method, req.URL, resp.Status, err, body)
	}
	return string(body)
}

func postPicture(t *testing.T, u, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	body, kind := pictureForm(t, filepath.Base(file), data)
	req, err := http.NewRequest(http.MethodPost, u, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/json")
	return do(t, req)
}

// pictureForm is what a browser sends of a picture, and its media type.
func pictureForm(t *testing.T, name string, file []byte) (body []byte, kind string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("image", name)
	if err != nil {
		t.Fatal(err)
	}
	part.Write(file)
	form.Close()
	return b.Bytes(), form.FormDataContentType()
}

// firstPath is the file name of the first hit of an answer in JSON.
func firstPath(t *testing.T, answer string) string {
	t.Helper()
	var a struct {
		Results []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || len(a.Results) == 0 {
		t.Fatalf("no hits (%v): %.300s", err, answer)
	}
	return filepath.Base(a.Results[0].Path)
}
