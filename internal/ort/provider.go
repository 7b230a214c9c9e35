package ort

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"
)

// Providers that a session can run on, by the names that users give; whether the
// library has one shows only when it is tried.
const (
	CPU      = "cpu"
	CUDA     = "cuda"
	CoreML   = "coreml"
	DirectML = "directml"
	OpenVINO = "openvino"
)

// provider is one of them.
type provider struct {
	name, official string
	add            func(*onnx.SessionOptions) error
}

// providers in the order in which the runtime's own programs prefer them.
var providers = []provider{
	{CUDA, "CUDAExecutionProvider", addCUDA},
	{CoreML, "CoreMLExecutionProvider", func(so *onnx.SessionOptions) error { return so.AppendExecutionProviderCoreMLV2(nil) }},
	{DirectML, "DmlExecutionProvider", addDirectML},
	{OpenVINO, "OpenVINOExecutionProvider", func(so *onnx.SessionOptions) error { return so.AppendExecutionProviderOpenVINO(nil) }},
	{CPU, "CPUExecutionProvider", func(*onnx.SessionOptions) error { return nil }},
}

// ErrProvider says that the library that is loaded cannot run on what was asked for.
var ErrProvider = errors.New("the execution provider cannot be used")

func addCUDA(so *onnx.SessionOptions) error {
	o, err := onnx.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	// Products rounded to ten bits would be quicker, and other vectors.
	err = o.Update(map[string]string{"use_tf32": "0"})
	if err == nil {
		err = so.AppendExecutionProviderCUDA(o)
	}
	return errors.Join(err, o.Destroy())
}

// addDirectML also turns off the plan of memory, which it does not bear.
func addDirectML(so *onnx.SessionOptions) error {
	return errors.Join(so.AppendExecutionProviderDirectML(0), so.SetMemPattern(false))
}

// addProvider has so run on the provider of that name, "" or [CPU] being the
// processor.
func addProvider(so *onnx.SessionOptions, name string) error {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(providers, func(p provider) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("%s: %w: it is not known here", name, ErrProvider)
	}
	if err := providers[i].add(so); err != nil {
		return fmt.Errorf("%s: %w: ONNX Runtime says: %.200s", name, ErrProvider, strings.TrimSuffix(oneLine(err.Error()), "."))
	}
	return nil
}

// Providers returns the names of the providers that the loaded library has and can
// start, as users name them and as ONNX Runtime does, the processor last. The
// binding has no list to ask for: each is tried.
func Providers() (names, official []string, err error) {
	if Version() == "" {
		return nil, nil, fmt.Errorf("%w: Init was not called", ErrLibrary)
	}
	for _, p := range providers {
		so, err := onnx.NewSessionOptions()
		if err != nil {
			return nil, nil, errors.New(oneLine(err.Error()))
		}
		if p.add(so) == nil {
			names, official = append(names, p.name), append(official, p.official)
		}
		so.Destroy()
	}
	return names, official, nil
}

// ProviderNames lists what a user may ask for.
func ProviderNames() string {
	var names []string
	for _, p := range providers {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}
