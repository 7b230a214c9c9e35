package ort

import (
	"errors"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// arena is the memory that training sessions share. Each has one of its own otherwise,
// as large as its largest run, and a trainer has a session for each length of texts.
var arena struct {
	sync.Mutex
	sessions int
}

// joinArena makes the arena for the first session.
func joinArena() error {
	arena.Lock()
	defer arena.Unlock()
	if arena.sessions == 0 {
		if err := registerArena(); err != nil {
			return errors.New(oneLine(err.Error()))
		}
	}
	arena.sessions++
	return nil
}

func registerArena() error {
	memory, err := onnx.GetMemoryInfo()
	if err != nil {
		return err
	}
	const asRequested = 1 // the other way, twice as much each time, asks for up to twice what is needed
	cfg, err := onnx.NewArenaCfg(0, asRequested, -1, -1)
	if err != nil {
		return err
	}
	defer cfg.Destroy()
	return onnx.CreateAndRegisterAllocator(memory, cfg)
}

// leaveArena frees the arena after the last session.
func leaveArena() error {
	arena.Lock()
	defer arena.Unlock()
	if arena.sessions--; arena.sessions > 0 {
		return nil
	}
	memory, err := onnx.GetMemoryInfo()
	if err != nil {
		return err
	}
	return onnx.UnregisterAllocator(memory)
}
