package clipsearch_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/clipsearch/clipsearch"

// allowed lists, for every package, the packages of this module it may import
// besides the root. Only the commands are missing: they may import anything.
var allowed = map[string][]string{
	module:                     {},
	"clip":                     {"internal/graph", "onnx"},
	"embed":                    {"clip", "internal/graph", "internal/ort"},
	"embed/builtin":            {"clip"},
	"embed/doctor":             {"clip", "embed", "onnx", "picture"},
	"embed/embedtest":          {},
	"embed/quantize":           {"clip", "internal/ort", "onnx"},
	"eval":                     {"internal/captions"},
	"hub":                      {"internal/disk"},
	"index":                    {"index/ann", "internal/disk"},
	"index/ann":                {"internal/simd"},
	"index/indextest":          {},
	"index/stream":             {"internal/npy"},
	"ingest":                   {"picture"},
	"internal/captions":        {},
	"internal/disk":            {},
	"internal/graph":           {},
	"internal/graph/graphtest": {},
	"internal/npy":             {},
	"internal/ort":             {"internal/graph"},
	"internal/simd":            {},
	"onnx":                     {},
	"owner":                    {},
	"picture":                  {},
	"query":                    {},
	"runtime":                  {},
	"trainer":                  {"clip", "internal/disk", "internal/ort", "onnx", "trainer/compose", "trainer/data", "trainer/engine", "trainer/optim", "trainer/optim/ingraph", "trainer/vocab"},
	"trainer/compose":          {"onnx"},
	"trainer/data":             {"clip", "internal/captions", "internal/disk"},
	"trainer/engine":           {"internal/ort", "onnx", "trainer/optim"},
	"trainer/optim":            {},
	"trainer/optim/ingraph":    {"internal/ort", "onnx", "trainer/optim"},
	"trainer/report":           {"trainer", "trainer/data"},
	"trainer/vocab":            {"clip"},
	"web":                      {"query"},
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg, imports := strings.TrimPrefix(fields[0], module+"/"), fields[1:]
		if strings.HasPrefix(pkg, "cmd/") {
			continue
		}
		deps, known := allowed[pkg]
		if !known {
			t.Errorf("%s is not in the table of arrows", pkg)
		}
		for _, imp := range imports {
			dep, ours := strings.CutPrefix(imp, module+"/")
			if ours && !slices.Contains(deps, dep) {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}
