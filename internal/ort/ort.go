// Package ort runs ONNX graphs with ONNX Runtime, whose shared library is loaded
// when the program runs. It alone imports the binding.
//
// One environment serves the whole process, so Init is the one thing here that
// is not a value: ONNX Runtime itself has a single one.
package ort

import (
	"errors"
	"fmt"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// ErrLibrary says that ONNX Runtime's shared library cannot be used.
var ErrLibrary = errors.New("ONNX Runtime cannot be used")

var environment struct {
	sync.Mutex
	path string // of the library loaded; empty before
}

// Init loads the library at path and starts ONNX Runtime, once a process; a
// second path is an error. Telemetry is off: the library must not write to the
// user's home, let alone send anything.
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
	onnx.SetSharedLibraryPath(path)
	if err := onnx.InitializeEnvironment(onnx.WithLogLevelError()); err != nil {
		return fmt.Errorf("load %s: %v: %w: install it with `clipsearch runtime install`", path, err, ErrLibrary)
	}
	if err := onnx.DisableTelemetry(); err != nil {
		return fmt.Errorf("turn off the telemetry of %s: %w", path, err)
	}
	environment.path = path
	return nil
}

// Version returns the version of the library that is loaded, or "".
func Version() string {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == "" {
		return ""
	}
	return onnx.GetVersion()
}
