package runtime

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first minor version of ONNX Runtime 1 with the interface that
// the program calls (the ORT_API_VERSION of the binding's header).
const oldest = 24

// system looks where the system's loader would: in LibraryPath, in the folders of
// its configuration and in those it has by itself. Distributions may have a
// library without a plain name, and one that is too old: it is passed over.
func (o Options) system() (Library, bool) {
	for _, dir := range o.loaderDirs() {
		for _, path := range candidates(filepath.Join(dir, fileName(o.platform()))) {
			version, ok := versionOf(path)
			if regular(path) && ok {
				return Library{Path: path, Version: version, Source: "system"}, true
			}
		}
	}
	return Library{}, false
}

// candidates are path and its versioned kin, the newest first.
func candidates(path string) []string {
	kin, err := filepath.Glob(escapeGlob(path) + ".1.*")
	if err != nil {
		return []string{path}
	}
	slices.SortFunc(kin, func(a, b string) int { return minor(b) - minor(a) })
	return append([]string{path}, kin...)
}

func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // a backslash cannot escape there, and brackets are rare
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// versionOf tells the version by the name of the file that path leads to; it is
// "" where the name does not tell. false is a version that is too old.
func versionOf(path string) (string, bool) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	n := minor(path)
	if n < 0 {
		return "", true
	}
	_, version, _ := strings.Cut(filepath.Base(path), ".1.")
	return "1." + strings.TrimSuffix(version, ".dylib"), n >= oldest
}

// minor is the N of libonnxruntime.so.1.N or libonnxruntime.1.N.dylib, or -1.
func minor(path string) int {
	_, rest, ok := strings.Cut(filepath.Base(path), ".1.")
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return -1
	}
	return n
}

// loaderDirs are the folders where a library of the platform is looked for.
// Windows has none but those of PATH, and of these not its own: Windows ML's
// library there is older than the binding.
func (o Options) loaderDirs() []string {
	var dirs []string
	for _, dir := range filepath.SplitList(o.LibraryPath) {
		if filepath.IsAbs(dir) && !strings.EqualFold(filepath.Base(dir), "System32") {
			dirs = append(dirs, dir)
		}
	}
	if o.Platform != "" && o.Platform != (Options{}).platform() {
		return dirs // another platform's loader is not this one's
	}
	system, arch, _ := strings.Cut(o.platform(), "-")
	switch system {
	case "windows":
		return dirs
	case "darwin":
		return append(dirs, "/opt/homebrew/lib", "/usr/local/lib", "/usr/lib")
	}
	triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
	conf := o.ldConf
	if conf == "" {
		conf = "/etc/ld.so.conf"
	}
	dirs = append(dirs, configured(conf, 2)...)
	return append(dirs, "/usr/local/lib", filepath.Join("/usr/lib", triple), "/usr/lib64", "/usr/lib")
}

// configured reads the folders of an ld.so.conf and, to a depth, of those it
// includes. What cannot be read has none.
func configured(conf string, depth int) []string {
	f, err := os.Open(conf)
	if err != nil {
		return nil
	}
	defer f.Close()
	var dirs []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 1 && filepath.IsAbs(words[0]):
			dirs = append(dirs, words[0])
		case len(words) == 2 && words[0] == "include" && depth > 0:
			pattern := words[1]
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(conf), pattern)
			}
			more, _ := filepath.Glob(pattern)
			for _, conf := range more {
				dirs = append(dirs, configured(conf, depth-1)...)
			}
		}
	}
	return dirs
}
