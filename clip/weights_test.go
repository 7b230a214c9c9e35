package clip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

const weightsGolden = "testdata/weights"

// What PyTorch reads from the same files, bit by bit. testdata/weights/make_golden.py
// has written both.
func TestWeightsGolden(t *testing.T) {
	for golden, name := range map[string]string{
		"types.json":   "types.safetensors",
		"sharded.json": "sharded/model.safetensors.index.json",
	} {
		want := map[string]struct {
			Shape []int
			Bits  []uint32
		}{}
		if err := readJSON(os.DirFS(weightsGolden), golden, &want); err != nil {
			t.Fatal(err)
		}
		w := openWeights(t, os.DirFS(weightsGolden), name)
		if len(w.Names()) != len(want) || !slices.IsSorted(w.Names()) {
			t.Errorf("%s: names %q, want %d", name, w.Names(), len(want))
		}
		for _, tensor := range w.Names() {
			got, _ := w.Tensor(tensor)
			if !slices.Equal(got.Shape, want[tensor].Shape) {
				t.Errorf("%s: %s has the shape %v, want %v", name, tensor, got.Shape, want[tensor].Shape)
			}
			numbers, err := w.Float32s(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(oneNaN(want[tensor].Bits), oneNaN(bitsOf(numbers))); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, tensor, diff)
			}
		}
	}
}

func bitsOf(numbers []float32) []uint32 {
	bits := make([]uint32, len(numbers))
	for i, x := range numbers {
		bits[i] = math.Float32bits(x)
	}
	return bits
}

// oneNaN writes every NaN in the same way: its payload means nothing.
func oneNaN(bits []uint32) []uint32 {
	for i, b := range bits {
		if x := math.Float32frombits(b); x != x {
			bits[i] = math.Float32bits(float32(math.NaN()))
		}
	}
	return bits
}

func openWeights(t *testing.T, fsys fs.FS, names ...string) *Weights {
	t.Helper()
	w, err := OpenWeights(fsys, names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWeightsFiles(t *testing.T) {
	w := openWeights(t, os.DirFS(weightsGolden), "sharded/model.safetensors.index.json", "types.safetensors")
	want := []string{"sharded/model.safetensors.index.json", "sharded/model-00001-of-00002.safetensors", "sharded/model-00002-of-00002.safetensors", "types.safetensors"}
	if diff := cmp.Diff(want, w.Files()); diff != "" {
		t.Errorf("Files (-want +got):\n%s", diff)
	}
	tensor, ok := w.Tensor("final_layer_norm.weight")
	if !ok || tensor.File != want[2] {
		t.Fatalf("Tensor = %+v, %t, want it in %s", tensor, ok, want[2])
	}
	raw, err := w.Raw(tensor)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(weightsGolden, tensor.File))
	if err != nil {
		t.Fatal(err)
	}
	if lies := whole[tensor.Offset : tensor.Offset+tensor.Bytes]; !slices.Equal(got, lies) || len(got) != 16 {
		t.Errorf("Raw = %x, and at its offset lies %x", got, lies)
	}
	other := openWeights(t, os.DirFS(weightsGolden), "sharded/model.safetensors.index.json")
	for _, strange := range []Tensor{{Name: "final_layer_norm.weight", Type: "F32", Bytes: 1 << 60}, {Name: "no such"}} {
		if _, err := other.Float32s(strange); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("Float32s(%+v): %v is not ErrInvalid", strange, err)
		}
	}
}

// noReaderAt is a file system whose files can only be read from the beginning.
type noReaderAt struct{ fs.FS }

func (f noReaderAt) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return struct{ fs.File }{file}, err
}

func TestWeightsWithoutReaderAt(t *testing.T) {
	w := openWeights(t, noReaderAt{os.DirFS(weightsGolden)}, "types.safetensors")
	tensor, _ := w.Tensor("torch.int8")
	got, err := w.Float32s(tensor)
	if want := []float32{-128, -1, 0, 1, 77, 126, 127}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Float32s = %v, %v, want %v", got, err, want)
	}
}

// A tensor is longer than what is read at once.
func TestWeightsLong(t *testing.T) {
	const n = 1<<17 + 5
	data := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(data[2*i:], uint16(i))
	}
	w := openWeights(t, one(safetensors(fmt.Sprintf(`{"a":{"dtype":"U16","shape":[%d],"data_offsets":[0,%d]}}`, n, 2*n), string(data))), "m.safetensors")
	tensor, _ := w.Tensor("a")
	got, err := w.Float32s(tensor)
	if err != nil || len(got) != n {
		t.Fatalf("%d numbers, %v", len(got), err)
	}
	for i, x := range got {
		if x != float32(uint16(i)) {
			t.Fatalf("number %d is %g", i, x)
		}
	}
	some := make([]float32, 1<<16+2)
	if err := w.ReadFloat32s(tensor, 65535, some); err != nil || some[0] != 65535 || some[1] != 0 || some[1<<16+1] != 0 {
		t.Errorf("numbers from 65535 on are %g, %g …: %v", some[0], some[1], err)
	}
	for _, from := range []int{-1, n - len(some) + 1, n} {
		if err := w.ReadFloat32s(tensor, from, some); err == nil {
			t.Errorf("%d numbers from %d on are read, of %d", len(some), from, n)
		}
	}
}

// safetensors is a file with this header.
func safetensors(header, data string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + data
}

func one(content string) fstest.MapFS {
	return fstest.MapFS{"m.safetensors": file(content)}
}

// The format's own reader, safetensors.deserialize of version 0.8, refuses all of
// these too, but for the long shape.
func TestWeightsHostile(t *testing.T) {
	entry := func(kind, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%q,"shape":%s,"data_offsets":%s}}`, kind, shape, offsets)
	}
	for _, tt := range []struct{ name, file, fails string }{
		{"empty", "", "cut off: 0 bytes, should be 8 at least: get it again"},
		{"a few bytes", "\x08\x00", "cut off: 2 bytes"},
		{"no header", "\x00\x00\x00\x00\x00\x00\x00\x00", "does not begin with {"},
		{"10 GB header", "\x00\x00\x00\x00\x02\x00\x00\x00{}", "its header would be of 8589934592 bytes, more than 100000000"},
		{"largest header", "\xff\xff\xff\xff\xff\xff\xff\xff{}", "18446744073709551615 bytes"},
		{"cut in the header", safetensors(entry("F32", "[1]", "[0,4]"), "")[:20], "cut off: 20 bytes, should be 62 at least: get it again"},
		{"cut in the data", safetensors(entry("F32", "[2]", "[0,8]"), "1234567"), "cut off: 69 bytes, should be 70: get it again"},
		{"more data", safetensors(entry("F32", "[2]", "[0,8]"), "123456789"), "1 bytes lie behind the last tensor"},
		{"no JSON", safetensors(`{"a"`, ""), "its header: byte 4"},
		{"a list", safetensors(`[]`, ""), "does not begin with {"},
		{"two values", safetensors(`{}{}`, ""), "more than one value"},
		{"not UTF-8", safetensors("{\"\xff\":{}}", ""), "is not UTF-8"},
		{"deep", safetensors(`{"a":`+strings.Repeat(`{"a":`, 100000), ""), "values in each other"},
		{"an entry that is a number", safetensors(`{"a":1}`, ""), `want '{'`},
		{"metadata of numbers", safetensors(`{"__metadata__":{"a":1}}`, ""), `want '"'`},
		{"a name twice", safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12"), `"a" is there twice`},
		{"a key twice", safetensors(`{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}`, "1"), `"a": shape is there twice`},
		{"a long name", safetensors(`{"`+strings.Repeat("a", maxName+1)+`":{}}`, ""), "a name of more than 1024 bytes"},
		{"no type", safetensors(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, "1"), `"a": not all of dtype`},
		{"no offsets", safetensors(`{"a":{"dtype":"U8","shape":[1]}}`, "1"), `"a": not all of dtype`},
		{"one offset", safetensors(entry("U8", "[1]", "[0]"), "1"), `"a": not all of dtype`},
		{"three offsets", safetensors(entry("U8", "[1]", "[0,1,2]"), "1"), "more than 2 numbers"},
		{"an unknown type", safetensors(entry("F31", "[1]", "[0,4]"), "1234"), `"a": numbers of type "F31" are not known here`},
		{"a negative offset", safetensors(entry("U8", "[1]", "[-1,0]"), "1"), `want a whole number, not "-1"`},
		{"a fraction", safetensors(entry("U8", "[1.0]", "[0,1]"), "1"), `want a whole number, not "1.0"`},
		{"a huge number", safetensors(entry("U8", "[18446744073709551616]", "[0,1]"), "1"), "want a whole number"},
		{"ends before it begins", safetensors(entry("U8", "[0]", "[1,0]"), "1"), `"a": it ends at 0, before it begins at 1`},
		{"shape and bytes differ", safetensors(entry("F16", "[2]", "[0,2]"), "12"), `"a": F16[2] is 4 bytes, and it lies in 2`},
		{"a huge shape", safetensors(entry("F32", "[4294967296,4294967296]", "[0,4]"), "1234"), `"a": its shape [4294967296 4294967296] is impossible`},
		{"a shape of 2^62 numbers", safetensors(entry("F64", "[4611686018427387904]", "[0,0]"), ""), "is impossible"},
		{"a shape that overflows to 0", safetensors(entry("F32", "[4611686018427387904,4]", "[0,0]"), ""), "is impossible"},
		{"a long shape", safetensors(entry("U8", "[1"+strings.Repeat(",1", 1000)+"]", "[0,1]"), "1"), "more than 16 numbers"},
		{"offsets beyond", safetensors(entry("U8", "[9223372036854775807]", "[0,9223372036854775807]"), "1"), "cut off: 98 bytes, should be 9223372036854775904"},
		{"overlap", safetensors(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, "123456"), `"b": it begins at 2, and what is before it ends at 4`},
		{"the same bytes twice", safetensors(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, "1234"), `it begins at 0, and what is before it ends at 4`},
		{"a hole", safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, "123"), `"b": it begins at 2, and what is before it ends at 1`},
		{"a hole in front", safetensors(entry("U8", "[1]", "[1,2]"), "12"), "it begins at 1, and what is before it ends at 0"},
		{"a pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "Git LFS pointer"},
		{"a pickle", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20", "is a pickle"},
		{"an archive", "PK\x03\x04\x00\x00\x08\x08", "is a pickle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenWeights(one(tt.file), "m.safetensors")
			if err == nil || !strings.Contains(err.Error(), tt.fails) || !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "m.safetensors") {
				t.Errorf("error %v does not say %q", err, tt.fails)
			}
		})
	}
}

func TestWeightsUnusual(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"nothing in it", safetensors(`{}`, ""), []string{}},
		{"metadata and spaces", safetensors(`{"__metadata__":{"format":"pt"}}   `, ""), []string{}},
		{"another key", safetensors(`{"a":{"dtype":"U8","note":[{"x":null}],"shape":[1],"data_offsets":[0,1]}}`, "1"), []string{"a"}},
		{"empty tensors", safetensors(`{"b":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},"c":{"dtype":"F32","shape":[5,0],"data_offsets":[0,0]},"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]}}`, "1"), []string{"a", "b", "c"}},
		{"begins as a pickle does", safetensors(`{}`+strings.Repeat(" ", 0x0280-2), ""), []string{}},
	} {
		if got := openWeights(t, one(tt.file), "m.safetensors").Names(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWeightsIndexHostile(t *testing.T) {
	shard := file(safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12"))
	for _, tt := range []struct{ name, index, fails string }{
		{"not there", `{"weight_map":{"a":"gone.safetensors"}}`, `shard "gone.safetensors": it is not there: get it again`},
		{"another tensor", `{"weight_map":{"c":"one.safetensors"}}`, `shard "one.safetensors": tensor "c" is not in it`},
		{"above", `{"weight_map":{"a":"../one.safetensors"}}`, "no file below the model's directory"},
		{"from the root", `{"weight_map":{"a":"/etc/passwd"}}`, "no file below the model's directory"},
		{"no name", `{"weight_map":{"a":""}}`, "no file below the model's directory"},
		{"a directory", `{"weight_map":{"a":"."}}`, "no file below the model's directory"},
		{"no file", `{"weight_map":{"a":"below"}}`, `shard "below": it is no file`},
		{"a pickle", `{"weight_map":{"a":"one.bin"}}`, "is a pickle"},
		{"itself", `{"weight_map":{"a":"model.safetensors.index.json"}}`, "this is no safetensors file"},
		{"a long name", `{"weight_map":{"` + strings.Repeat("a", maxName+1) + `":"one.safetensors"}}`, "a name of more than 1024 bytes"},
		{"twice", `{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}`, `"a" is there twice`},
		{"two maps", `{"weight_map":{"a":"one.safetensors"},"weight_map":{"a":"two.safetensors"}}`, `"a" is there twice`},
		{"empty", `{"weight_map":{}}`, "names no tensor"},
		{"no JSON", `weights`, `want '{'`},
		{"many files", `{"weight_map":{"a":"one.safetensors"` + manyShards() + `}}`, "more than 256 files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"m/model.safetensors.index.json": file(tt.index), "m/one.safetensors": shard, "m/two.safetensors": shard,
				"m/below/one.safetensors": shard, "one.safetensors": shard, "m/one.bin": file("PK\x03\x04"),
			}
			for i := range maxShards {
				fsys[fmt.Sprintf("m/below/%d", i)] = file(safetensors(fmt.Sprintf(`{"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, i), ""))
			}
			_, err := OpenWeights(fsys, "m/model.safetensors.index.json")
			if err == nil || !strings.Contains(err.Error(), tt.fails) || !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("error %v does not say %q", err, tt.fails)
			}
		})
	}
	fsys := fstest.MapFS{"one.safetensors": shard, "two.safetensors": shard}
	if _, err := OpenWeights(fsys, "one.safetensors", "two.safetensors"); err == nil || !strings.Contains(err.Error(), `tensor "a" is in "one.safetensors" and in "two.safetensors"`) {
		t.Errorf("a tensor of two files: %v", err)
	}
	if _, err := OpenWeights(fsys, "gone.safetensors"); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("without the file: %v", err)
	}
}

func manyShards() string {
	var b strings.Builder
	for i := range maxShards {
		fmt.Fprintf(&b, `,"%d":"below/%d"`, i, i)
	}
	return b.String()
}

// Of a tensor of a byte in a file that pretends to be large, no more is read.
func TestWeightsMemory(t *testing.T) {
	header := `{"a":{"dtype":"U8","shape":[17179869184],"data_offsets":[0,17179869184]},"b":{"dtype":"U8","shape":[1],"data_offsets":[17179869184,17179869185]}}`
	name := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(name, []byte(safetensors(header, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, int64(8+len(header))+1<<34+1); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := openWeights(t, os.DirFS(filepath.Dir(name)), "m.safetensors")
	tensor, _ := w.Tensor("b")
	if got, err := w.Float32s(tensor); err != nil || len(got) != 1 {
		t.Errorf("Float32s = %v, %v", got, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes of memory for one byte of weights", took)
	}
	if err := os.Truncate(name, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Float32s(tensor); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "has become shorter") {
		t.Errorf("of a file that was cut after it was opened: %v", err)
	}
}

func TestRefusePickles(t *testing.T) {
	for _, tt := range []struct{ name, content, says string }{
		{"pytorch_model.bin", "", "torch.load('pytorch_model.bin'"},
		{"pytorch_model-00001-of-00002.bin", "", "is a pickle"},
		{"open_clip_pytorch_model.bin", "", "take open_clip_model.safetensors"},
		{"ViT-B-32.pt", "", "torch.load('ViT-B-32.pt'"},
		{"x'); import os #.pt", "", "torch.load('FILE'"},
		{"weights.bin", "PK\x03\x04\x00\x00\x08\x08", `"weights.bin" is a pickle`},
		{"weights.bin", "\x80\x02}q\x00(X\x07", `"weights.bin" is a pickle`},
		{"weights.bin", "anything", ""},
		{"model.safetensors", "PK\x03\x04", ""},
		{"config.json", "{}", ""},
	} {
		err := refusePickles(fstest.MapFS{tt.name: file(tt.content)}, ".")
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("a directory with %s: %v does not say %q", tt.name, err, tt.says)
		}
	}
}

func FuzzOpenWeights(f *testing.F) {
	types, err := os.ReadFile(filepath.Join(weightsGolden, "types.safetensors"))
	if err != nil {
		f.Fatal(err)
	}
	header := types[8 : 8+binary.LittleEndian.Uint64(types)]
	f.Add(string(header), string(types[8+len(header):]), `{"weight_map":{"torch.int8":"m.safetensors"}}`)
	f.Add(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0,7],"data_offsets":[4,4]}}`, "1234", `{"weight_map":{"a":"m.safetensors"}}`)
	f.Fuzz(func(t *testing.T, header, data, index string) {
		fsys := one(safetensors(header, data))
		fsys["m.index.json"] = file(index)
		for _, name := range []string{"m.safetensors", "m.index.json"} {
			w, err := OpenWeights(fsys, name)
			if err != nil {
				if !errors.Is(err, clipsearch.ErrInvalid) {
					t.Errorf("%v is not ErrInvalid", err)
				}
				continue
			}
			checkWeights(t, w, len(data))
			w.Close()
		}
	})
}

// checkWeights checks that tensors lie apart and are as long as they say.
func checkWeights(t *testing.T, w *Weights, most int) {
	t.Helper()
	total := 0
	for _, name := range w.Names() {
		tensor, _ := w.Tensor(name)
		total += int(tensor.Bytes)
		numbers, err := w.Float32s(tensor)
		if err == nil && len(numbers) != tensor.Len() || err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("Float32s(%+v): %d numbers, %v", tensor, len(numbers), err)
		}
	}
	if total > most {
		t.Errorf("tensors of %d bytes in %d", total, most)
	}
}
