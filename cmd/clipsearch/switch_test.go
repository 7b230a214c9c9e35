//go:build !nomodel && unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adrg/xdg"

	onnx "github.com/clipsearch/clipsearch/runtime"
)

// twoModels returns two models that are small, and skips the test where there are none.
func twoModels(t *testing.T) (first, second string) {
	t.Helper()
	if testing.Short() {
		t.Skip("encodes a thousand pictures")
	}
	lib, err := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	t.Setenv("ONNXRUNTIME_LIB", lib.Path)
	models, err := filepath.Abs("../../../shared/fixtures/models")
	if err != nil {
		t.Fatal(err)
	}
	first, second = filepath.Join(models, "onnx-transformersjs"), filepath.Join(models, "onnx-mask")
	for _, dir := range []string{first, second} {
		if !exists(dir) {
			t.Skipf("the tiny models are not beside the repository: %s", dir)
		}
	}
	return first, second
}

// tinyPictures makes n pictures of noise around a colour.
func tinyPictures(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		img := image.NewRGBA(image.Rect(0, 0, 24, 24))
		base := [3]int{r.IntN(200), r.IntN(200), r.IntN(200)}
		for x := range 24 {
			for y := range 24 {
				img.SetRGBA(x, y, color.RGBA{uint8(base[0] + r.IntN(56)), uint8(base[1] + r.IntN(56)), uint8(base[2] + r.IntN(56)), 255})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.png", i)), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// program starts the program as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	t.Cleanup(func() { // before the test's directories are removed
		if cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// spacesOf are the spaces that stats tells of, by model.
func spacesOf(t *testing.T, index string) map[string]spaceOf {
	t.Helper()
	var st struct{ Spaces []spaceOf }
	if err := json.Unmarshal([]byte(command(t, "stats", "--index", index, "--json")), &st); err != nil {
		t.Fatal(err)
	}
	m := map[string]spaceOf{}
	for _, s := range st.Spaces {
		m[s.Model] = s
	}
	return m
}

type spaceOf struct {
	Model        string
	Images       int
	Active, Next bool
}

// question is a request, and what each of the two spaces answers to it.
type question struct {
	name    string
	ask     func(base string) (*http.Request, error)
	answers [2]string
}

func questions(t *testing.T, pictures string) []*question {
	t.Helper()
	var list []*question
	for _, q := range []string{"red", "a dog on the grass", "blue + green", "sky -water"} {
		for _, mode := range []string{"hybrid", "semantic"} {
			path := "/search?format=json&limit=40&mode=" + mode + "&q=" + url.QueryEscape(q)
			list = append(list, &question{name: path, ask: func(base string) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, base+path, nil)
			}})
		}
	}
	for _, name := range []string{"0000.png", "0007.png"} {
		file, err := os.ReadFile(filepath.Join(pictures, name))
		if err != nil {
			t.Fatal(err)
		}
		body, kind := pictureForm(t, name, file)
		list = append(list, &question{name: "POST " + name, ask: func(base string) (*http.Request, error) {
			req, err := http.NewRequest(http.MethodPost, base+"/search?limit=40", bytes.NewReader(body))
			if err == nil {
				req.Header.Set("Content-Type", kind)
				req.Header.Set("Accept", "application/json")
			}
			return req, err
		}})
	}
	return list
}

// answer is the ids and scores of an answer, in its order.
func (q *question) answer(base string) (string, error) {
	req, err := q.ask(base)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %w: %.300s", q.name, resp.Status, err, body)
	}
	var a struct {
		Total   int
		Results []struct {
			ID    string
			Score float64
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return "", err
	}
	text := fmt.Sprint(a.Total)
	for _, r := range a.Results {
		text += fmt.Sprintf(" %s %.5f", r.ID, r.Score)
	}
	return text, nil
}

// learn notes what the space that answers answers.
func learn(t *testing.T, base string, list []*question, space int) {
	t.Helper()
	for _, q := range list {
		a, err := q.answer(base)
		if err != nil {
			t.Fatal(err)
		}
		q.answers[space] = a
	}
}

// clients ask without a pause until stop; each answer must be that of one space, and
// a client that has seen the later one never sees the earlier one again.
type clients struct {
	wg    sync.WaitGroup
	stop  chan struct{}
	mu    sync.Mutex
	wrong []string
	seen  [2]int
}

// ask starts n clients; from is the space that answers, and to the one that will.
func ask(base string, list []*question, n, from, to int) *clients {
	c := &clients{stop: make(chan struct{})}
	for client := range n {
		c.wg.Go(func() {
			changed := false
			for i := client; ; i++ {
				select {
				case <-c.stop:
					return
				default:
				}
				q := list[i%len(list)]
				got, err := q.answer(base)
				c.mu.Lock()
				switch {
				case err != nil:
					c.wrong = append(c.wrong, err.Error())
				case got == q.answers[to]:
					changed = true
					c.seen[to]++
				case got == q.answers[from] && !changed:
					c.seen[from]++
				default:
					c.wrong = append(c.wrong, fmt.Sprintf("%s: an answer of neither space, or of the old one after the change (%v): %.200s", q.name, changed, got))
				}
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *clients) end(t *testing.T, when string) {
	t.Helper()
	close(c.stop)
	c.wg.Wait()
	if len(c.wrong) > 0 {
		t.Errorf("%s: %d of %d answers are wrong: %s", when, len(c.wrong), len(c.wrong)+c.seen[0]+c.seen[1], c.wrong[0])
	}
	t.Logf("%s: %d answers of the first space, %d of the second", when, c.seen[0], c.seen[1])
}

// TestSwitchUnderLoad: while an index of a thousand pictures is changed to another
// model, and back, every answer of its server is right, and of one space.
func TestSwitchUnderLoad(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	index, pictures := filepath.Join(dir, "index"), filepath.Join(dir, "pictures")
	tinyPictures(t, pictures, 1000)
	command(t, "ingest", pictures, "--index", index, "--model", first, "--quiet")
	base := startServer(t, index)

	list := questions(t, pictures)
	learn(t, base, list, 0)
	command(t, "model", "switch", second, "--wait", "--index", index, "--quiet")
	learn(t, base, list, 1)
	if slices.ContainsFunc(list, func(q *question) bool { return q.answers[0] == q.answers[1] }) {
		t.Fatal("both models give the same answer: nothing can be told by them")
	}
	command(t, "model", "switch", "--rollback", "--index", index)
	command(t, "prune", "--spaces", "--index", index)

	c := ask(base, list, 4, 0, 1)
	command(t, "model", "switch", second, "--index", index)
	for !spacesOf(t, index)["onnx-mask"].Active {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	c.end(t, "switch")
	if c.seen[0] == 0 || c.seen[1] == 0 {
		t.Errorf("the clients saw %v answers of the two spaces", c.seen)
	}

	c = ask(base, list, 4, 1, 0)
	time.Sleep(200 * time.Millisecond)
	command(t, "model", "switch", "--rollback", "--index", index)
	if a, err := list[0].answer(base); err != nil || a != list[0].answers[0] {
		t.Errorf("the first answer after the rollback is another: %.200s, %v", a, err)
	}
	time.Sleep(200 * time.Millisecond)
	c.end(t, "rollback")
	if got := command(t, "check", "--index", index, "--json"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("check: %s", got)
	}
}

// startServer serves an index until the test ends, and returns its address.
func startServer(t *testing.T, index string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var out lockedBuffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--index", index, "--addr", "127.0.0.1:0"}, world{strings.NewReader(""), &out, io.Discard, os.Getenv})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("serve ends with %d", code)
		}
	})
	return address(t, &out)
}

// TestSwitchKilled kills who encodes, at several moments: the old model answers, the
// index is whole, and what was encoded need not be done again.
func TestSwitchKilled(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	index, pictures := filepath.Join(dir, "index"), filepath.Join(dir, "pictures")
	tinyPictures(t, pictures, 1000)
	command(t, "ingest", pictures, "--index", index, "--model", first, "--quiet")
	search := func() string {
		return command(t, "search", "red", "--mode", "semantic", "--format", "paths", "-n", "50", "--index", index)
	}
	before := search()

	done := 0
	for _, args := range [][]string{{"model", "switch", second, "--wait"}, {"model", "switch", "--resume", "--wait"}, {"serve", "--addr", "127.0.0.1:0"}} {
		cmd := program(t, append(args, "--index", index)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(time.Minute)
		for spacesOf(t, index)["onnx-mask"].Images <= done && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s := spacesOf(t, index)["onnx-mask"]
		if s.Images <= done || s.Images >= 1000 || !s.Next {
			t.Fatalf("%v, killed: %+v, %d were encoded before", args, s, done)
		}
		done = s.Images
		t.Logf("%v: killed at %d pictures", args, done)
		if got := search(); got != before {
			t.Errorf("%v, killed: another answer", args)
		}
		if got := command(t, "check", "--index", index, "--json"); !strings.Contains(got, `"ok":true`) {
			t.Errorf("%v, killed: check: %s", args, got)
		}
	}
	out, err := program(t, "model", "switch", "--resume", "--wait", "--json", "--index", index).Output()
	if err != nil || !strings.Contains(string(out), `"active":true`) || !strings.Contains(string(out), `"encoded":1000`) {
		t.Errorf("resume: %s, %v", out, err)
	}
	if search() == before {
		t.Error("after the change the answer is the old model's")
	}
}

// TestSwitchInBackground: the command ends at once, and a process goes on that nobody
// waits for.
func TestSwitchInBackground(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	index, pictures := filepath.Join(dir, "index"), filepath.Join(dir, "pictures")
	tinyPictures(t, pictures, 200)
	command(t, "ingest", pictures, "--index", index, "--model", first, "--quiet")
	out, err := program(t, "model", "switch", second, "--json", "--index", index).Output()
	if err != nil {
		t.Fatalf("switch: %v", err)
	}
	var said struct {
		Active bool
		PID    int
	}
	if err := json.Unmarshal(out, &said); err != nil || said.Active || said.PID < 1 {
		t.Errorf("switch says %s (%v), want that a process is at it", out, err)
	}
	deadline := time.Now().Add(time.Minute)
	for !spacesOf(t, index)["onnx-mask"].Active {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(index, switchLog))
			t.Fatalf("nothing has changed in a minute: %s", log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	command(t, "model", "switch", "--rollback", "--index", index)
	if s := spacesOf(t, index)["onnx-transformersjs"]; !s.Active {
		t.Errorf("after the rollback: %+v", s)
	}
	if got := command(t, "check", "--index", index, "--json"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("check: %s", got)
	}
}
