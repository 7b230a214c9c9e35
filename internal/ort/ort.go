// Package ort runs ONNX graphs with ONNX Runtime, whose shared library is loaded
// when the program runs. It alone imports the binding.
//
// One environment serves the whole process, so Init is the one thing here that
// is not a value: ONNX Runtime itself has a single one.
package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// ErrLibrary says that ONNX Runtime's shared library cannot be used.
var ErrLibrary = errors.New("ONNX Runtime cannot be used")

var environment struct {
	sync.Mutex
	path string // of the library loaded; empty before
}

// noTelemetry is the variable that keeps ONNX Runtime from collecting anything.
const noTelemetry = "ORT_DISABLE_TELEMETRY"

// Init loads the library at path and starts ONNX Runtime, once a process; a
// second path is an error. Errors are returned, not logged beside it.
//
// Telemetry is off. Since 1.29 the official builds for Linux and macOS write a
// device id and a queue to the user's home, and send what they queued, as soon as
// there is an environment: DisableTelemetry comes too late for that, and suffices
// on Windows only. So Init sets ORT_DISABLE_TELEMETRY for this process, whatever
// it was.
func Init(path string) error {
	environment.Lock()
	defer environment.Unlock()
	switch environment.path {
	case path:
		return nil
	case "":
	default:
		return fmt.Errorf("load %s: this process has loaded %s: %w", path, environment.path, ErrLibrary)
	}
	if err := checkLibrary(path); err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // the path is said already
		}
		return libraryError(path, err.Error())
	}
	if err := os.Setenv(noTelemetry, "1"); err != nil {
		return libraryError(path, err.Error())
	}
	onnx.SetSharedLibraryPath(path)
	if err := onnx.InitializeEnvironment(onnx.WithLogLevelFatal()); err != nil {
		return libraryError(path, loaderSays(path, err))
	}
	if err := onnx.DisableTelemetry(); err != nil {
		return fmt.Errorf("turn off the telemetry of %s: %w", path, err)
	}
	environment.path = path
	return nil
}

func libraryError(path, why string) error {
	return fmt.Errorf("load %s: %s: %w: install it with `clipsearch runtime install`", path, why, ErrLibrary)
}

// checkLibrary refuses what a loader would rather die of than refuse: an ELF file
// that was cut off is mapped beyond its end, and the process gets a SIGBUS. What
// is not ELF, and a bare name, is left to the loader.
func checkLibrary(path string) error {
	if filepath.Base(path) == path {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	magic := make([]byte, len(elf.ELFMAG))
	if n, _ := io.ReadFull(f, magic); string(magic[:n]) != elf.ELFMAG {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	lib, err := elf.NewFile(f) // its section headers are the last thing in the file
	if err != nil {
		return errors.New("the file is cut off or damaged")
	}
	for _, p := range lib.Progs {
		if p.Type == elf.PT_LOAD && p.Off+p.Filesz > uint64(st.Size()) {
			return errors.New("the file is cut off")
		}
	}
	return nil
}

// loaderSays is the part of the binding's error that a user can act on.
func loaderSays(path string, err error) string {
	says := err.Error()
	switch {
	case strings.Contains(says, "ORT API base"):
		return "its version is older than this program needs"
	case strings.Contains(says, "OrtGetApiBase"):
		return "it is another library, not ONNX Runtime"
	}
	if _, after, ok := strings.Cut(says, fmt.Sprintf("%q: ", path)); ok {
		says = strings.TrimPrefix(after, path+": ")
	}
	return oneLine(says)
}

// oneLine joins the lines of the runtime's messages.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Version returns the version of the library that is loaded, or "".
func Version() string {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == "" {
		return ""
	}
	return onnx.GetVersion()
}
