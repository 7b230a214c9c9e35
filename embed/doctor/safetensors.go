package doctor

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// maxHeader is how long a safetensors header may be; the format's own limit.
const maxHeader = 100 << 20

// safetensorKinds are the types that matter here; the rest are integers.
var safetensorKinds = map[string]kind{"F64": float64s, "F32": float32s, "F16": float16s, "BF16": bfloat16s, "I8": int8s, "U8": uint8s}

// readSafetensors lists the tensors of a safetensors file.
func readSafetensors(r io.ReaderAt, size int64) ([]tensor, error) {
	var length [8]byte
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return nil, errors.New("it is too short to be a safetensors file")
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, fmt.Errorf("its header of %d bytes does not fit: the file is cut off, or no safetensors file", n)
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, 8); err != nil {
		return nil, fmt.Errorf("read its header: %w", cutOff(err))
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	delete(entries, "__metadata__")
	var list []tensor
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		var e struct {
			Type    string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(entries[name], &e); err != nil {
			return nil, fmt.Errorf("its header, at %s: %w", name, err)
		}
		from, to := e.Offsets[0], e.Offsets[1]
		if from < 0 || to < from || to > size-8-int64(n) {
			return nil, fmt.Errorf("%s lies at %d to %d, and the file ends at %d: it is cut off", name, from, to, size-8-int64(n))
		}
		list = append(list, tensor{name: name, kind: safetensorKinds[e.Type], shape: e.Shape, at: r, from: 8 + int64(n) + from, bytes: to - from})
	}
	return list, overlap(list)
}

// overlap returns an error if two tensors share bytes.
func overlap(list []tensor) error {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b tensor) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.from+a.bytes > b.from && b.bytes > 0 {
			return fmt.Errorf("%s and %s share bytes", a.name, b.name)
		}
	}
	return nil
}
