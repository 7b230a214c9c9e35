package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/adrg/xdg"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clipsearch/clipsearch/internal/npy"
	onnx "github.com/clipsearch/clipsearch/runtime"
)

// asProgram in the environment makes of the test binary the program itself: for
// tests that need processes, and the processes that these start.
const asProgram = "CLIPSEARCH_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"clipsearch": main})
}

// TestScripts runs the commands as a user types them. Scripts whose first line
// asks for [onnx] are skipped where ONNX Runtime is not installed; make test
// installs it.
func TestScripts(t *testing.T) {
	photos, err := filepath.Abs("../../testdata/photos")
	if err != nil {
		t.Fatal(err)
	}
	lib, liberr := onnx.Find(onnx.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if liberr != nil {
		t.Logf("scripts that need a model are skipped: %v", liberr)
	}
	fixtures, _ := filepath.Abs("../../../shared/fixtures")
	checkpoints, err := filepath.Abs("../../embed/testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", scriptDir),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PHOTOS", photos)
			e.Setenv("FIXTURES", fixtures)
			e.Setenv("CHECKPOINTS", checkpoints)
			e.Setenv("ONNXRUNTIME_LIB", lib.Path)
			e.Setenv(asProgram, "1")
			e.Setenv("CLIPSEARCH_INDEX", filepath.Join(e.WorkDir, "index"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"npy": npyFromText, "npyints": npyFromInts, "hub": scriptHub, "cut": cutFile},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "onnx":
				return liberr == nil, nil
			case "fixtures":
				_, err := os.Stat(fixtures)
				return err == nil, nil
			}
			return false, nil
		},
	})
}

// cutFile is the scripts' command cut FILE: it takes away the last hundred bytes.
func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: cut FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-100))
}

// npyFromText is the scripts' command npy FROM TO: it writes a text of numbers, a row
// a line, as float32 in a .npy file.
func npyFromText(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: npy FROM TO")
	}
	x := npy.Array[float32]{Shape: []int{0, 0}}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		fields := strings.Fields(line)
		x.Shape[0], x.Shape[1] = x.Shape[0]+1, len(fields)
		for _, f := range fields {
			n, err := strconv.ParseFloat(f, 32)
			ts.Check(err)
			x.Data = append(x.Data, float32(n))
		}
	}
	var b bytes.Buffer
	ts.Check(npy.Write(&b, x))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o666))
}

// npyFromInts is the scripts' command npyints TO N...: it writes whole numbers as int64
// in a .npy file.
func npyFromInts(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: npyints TO N...")
	}
	x := npy.Array[int64]{Shape: []int{len(args) - 1}}
	for _, arg := range args[1:] {
		n, err := strconv.ParseInt(arg, 10, 64)
		ts.Check(err)
		x.Data = append(x.Data, n)
	}
	var b bytes.Buffer
	ts.Check(npy.Write(&b, x))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o666))
}
