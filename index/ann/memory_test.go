package ann

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// resident returns the anonymous and the mapped memory of this process.
func resident(t *testing.T) (anonymous, mapped int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("the system does not say how much memory a process takes")
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			anonymous = kb << 10
		}
		for _, kind := range []string{"RssFile: %d kB", "RssShmem: %d kB"} {
			if _, err := fmt.Sscanf(line, kind, &kb); err == nil {
				mapped += kb << 10
			}
		}
	}
	return anonymous, mapped
}

// settle gives back what nobody refers to, finalizers included.
func settle() {
	for range 3 {
		debug.FreeOSMemory()
		time.Sleep(20 * time.Millisecond)
	}
}

// TestBytes compares what an index says it takes with what the system says, in a
// process of its own: what other tests leave behind would count.
func TestBytes(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own")
	}
	if os.Getenv("ANN_BYTES") != "" {
		testBytes(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBytes$", "-test.v")
	cmd.Env = append(os.Environ(), "ANN_BYTES=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func testBytes(t *testing.T) {
	const dim, n = 256, 24_000
	for _, dir := range []string{"", t.TempDir()} {
		c := newCloud(8, dim, 50)
		v := c.many(1)[0]
		settle()
		anonymous, mapped := resident(t)
		x := newIndex(t, Options{Dim: dim, GraphFrom: n, EfConstruction: 8, M: 4, Dir: dir})
		err := x.Build(t.Context(), n, func(i int) []float32 {
			u := append([]float32(nil), v...)
			u[i%dim] += float32(i) / n
			return unit(u)
		})
		if err != nil {
			t.Fatal(err)
		}
		settle()
		anonymous2, mapped2 := resident(t)
		saidAnonymous, saidMapped := x.Bytes()
		for _, part := range []struct {
			name      string
			said, has int64
		}{{"anonymous", saidAnonymous, anonymous2 - anonymous}, {"mapped", saidMapped, mapped2 - mapped}} {
			t.Logf("%s memory: %d kB said, %d kB taken", part.name, part.said>>10, part.has>>10)
			if off := part.said - part.has; off > part.has/10+1<<20 || -off > part.has/10+1<<20 {
				t.Errorf("%s memory: Bytes() = %d kB, the system says %d kB", part.name, part.said>>10, part.has>>10)
			}
		}
		runtime.KeepAlive(x)
	}
}
