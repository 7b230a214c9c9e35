package clip

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// writeCharsmap compiles a table. Every node of the trie has 256 units of its
// own, so that nothing needs to be packed.
func writeCharsmap(table map[string]string) string {
	units, texts := make([]uint32, 256), []byte{}
	nodes := map[string]uint32{"": 0} // prefix: where its children lie
	for _, key := range slices.Sorted(maps.Keys(table)) {
		for i := range len(key) {
			if _, known := nodes[key[:i+1]]; known {
				continue
			}
			parent, own := nodes[key[:i]], uint32(len(units))
			nodes[key[:i+1]] = own
			units = append(units, make([]uint32, 256)...)
			at := parent | uint32(key[i])
			units[at] = (at^own)<<10 | uint32(key[i])
		}
		own := nodes[key]
		units[own] = 1<<31 | uint32(len(texts))
		at := nodes[key[:len(key)-1]] | uint32(key[len(key)-1])
		units[at] |= 1 << 8
		texts = append(append(texts, table[key]...), 0)
	}
	data := binary.LittleEndian.AppendUint32(nil, uint32(4*len(units)))
	for _, u := range units {
		data = binary.LittleEndian.AppendUint32(data, u)
	}
	return base64.StdEncoding.EncodeToString(append(data, texts...))
}

func TestCharsmap(t *testing.T) {
	encoded := writeCharsmap(map[string]string{
		"Ａ": "A", "ﬁ": "fi", "e\u0301": "é", "\t": " ", "\r": " ", "\x01": "", "½": "1/2", "ab": "no letter",
	})
	c, err := readCharsmap(encoded)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ in, want string }{
		{"", ""},
		{"ＡＢ ﬁne", "AＢ fine"},
		{"ae\u0301b", "aéb"}, // as one letter
		{"e\u0301\u0302\u0303", "e\u0301\u0302\u0303"}, // too long for one: sign by sign
		{"½\u0302x", "1/2x"},                           // the shortest key replaces the whole letter
		{"a\tb\r\nc", "a b c"},
		{"\x01ab", "ab"}, // keys of several letters are never found
	}
	for _, tt := range tests {
		if got := c.normalize(tt.in); got != tt.want {
			t.Errorf("normalize(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, bad := range []string{"?", "AAA=", "////fw==", encoded[:40]} {
		if _, err := readCharsmap(bad); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("readCharsmap(%q) = %v, want ErrInvalid", bad, err)
		}
	}
}

func FuzzCharsmap(f *testing.F) {
	data, err := base64.StdEncoding.DecodeString(writeCharsmap(map[string]string{"é": "e"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "é")
	f.Add([]byte{4, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 'x'}, "é")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if c, err := readCharsmap(base64.StdEncoding.EncodeToString(data)); err == nil {
			c.normalize(text)
		}
	})
}
