package vocab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch/clip"
)

// words is the expression that CLIP's tokenizer finds words with.
const words = `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

// ordered is a JSON object whose keys keep their order.
type ordered []field

type field struct {
	key   string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, f := range o {
		key, err := plain(f.key)
		if err != nil {
			return nil, err
		}
		value, err := plain(f.value)
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, "%s:%s", key, value)
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plain is JSON with < and > as they are: the tokens are full of them.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// Files returns the files of a tokenizer as Hugging Face's programs write them for CLIP,
// by name. Context is how many tokens a text has at most.
func (v *Vocabulary) Files(context int) (map[string][]byte, error) {
	ids := make(ordered, len(v.Tokens))
	for id, token := range v.Tokens {
		ids[id] = field{token, id}
	}
	marks := ordered{{"bos_token", startOfText}, {"eos_token", endOfText}, {"pad_token", endOfText}, {"unk_token", endOfText}}
	files := map[string][]byte{"merges.txt": []byte("#version: 0.2\n")}
	for _, m := range v.Merges {
		files["merges.txt"] = fmt.Appendf(files["merges.txt"], "%s %s\n", m[0], m[1])
	}
	for name, content := range map[string]any{
		"tokenizer.json":          v.tokenizer(ids),
		"vocab.json":              ids,
		"special_tokens_map.json": marks,
		"tokenizer_config.json": append(ordered{
			{"add_prefix_space", false}, {"do_lower_case", true}, {"errors", "replace"},
			{"model_max_length", context}, {"tokenizer_class", "CLIPTokenizer"},
		}, marks...),
	} {
		text, err := plain(content)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		files[name] = append(text, '\n')
	}
	return files, nil
}

// tokenizer returns the content of tokenizer.json.
func (v *Vocabulary) tokenizer(ids ordered) ordered {
	mark := func(content string, id int) ordered {
		return ordered{{"id", id}, {"content", content}, {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", true}}
	}
	start, last := len(v.Tokens)-2, len(v.Tokens)-1
	step := func(kind string, more ...field) ordered { return append(ordered{{"type", kind}}, more...) }
	bytes := step("ByteLevel", field{"add_prefix_space", false}, field{"trim_offsets", true}, field{"use_regex", true})
	merges := v.Merges
	if merges == nil {
		merges = [][2]string{}
	}
	return ordered{
		{"version", "1.0"}, {"truncation", nil}, {"padding", nil},
		{"added_tokens", []ordered{mark(startOfText, start), mark(endOfText, last)}},
		{"normalizer", step("Sequence", field{"normalizers", []ordered{
			step("NFC"),
			step("Replace", field{"pattern", ordered{{"Regex", `\s+`}}}, field{"content", " "}),
			step("Lowercase"),
		}})},
		{"pre_tokenizer", step("Sequence", field{"pretokenizers", []ordered{
			step("Split", field{"pattern", ordered{{"Regex", words}}}, field{"behavior", "Removed"}, field{"invert", true}),
			bytes,
		}})},
		{"post_processor", step("RobertaProcessing", field{"sep", []any{endOfText, last}}, field{"cls", []any{startOfText, start}},
			field{"trim_offsets", false}, field{"add_prefix_space", false})},
		{"decoder", bytes},
		{"model", step("BPE", field{"dropout", nil}, field{"unk_token", endOfText}, field{"continuing_subword_prefix", ""},
			field{"end_of_word_suffix", end}, field{"fuse_unk", false}, field{"byte_fallback", false}, field{"ignore_merges", false},
			field{"vocab", ids}, field{"merges", merges})},
	}
}

// Write writes [Vocabulary.Files] into a folder, which is made if it is not there.
func (v *Vocabulary) Write(dir string, context int) error {
	files, err := v.Files(context)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write a vocabulary: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write a vocabulary: %w", err)
		}
	}
	return nil
}

// Coverage says how texts fit into a number of tokens.
type Coverage struct {
	Texts   int
	Cut     int // texts that lose their end
	Tokens  int // of all texts, whole, begin and end included
	Longest int // text, in tokens
}

// Share returns the share of the texts that are cut.
func (c Coverage) Share() float64 {
	if c.Texts == 0 {
		return 0
	}
	return float64(c.Cut) / float64(c.Texts)
}

// Cover counts how a tokenizer cuts texts: the one in fsys, with options that name the
// context length.
func Cover(fsys fs.FS, o clip.TokenizerOptions, texts iter.Seq[string]) (Coverage, error) {
	cut, err := clip.OpenTokenizer(fsys, o)
	if err != nil {
		return Coverage{}, err
	}
	o.ContextLength = 1 << 20 // a text of a megabyte has no more
	whole, err := clip.OpenTokenizer(fsys, o)
	if err != nil {
		return Coverage{}, err
	}
	var c Coverage
	for text := range texts {
		n := len(whole.Encode(text))
		c.Texts++
		c.Tokens += n
		c.Longest = max(c.Longest, n)
		if n > cut.ContextLength() {
			c.Cut++
		}
	}
	return c, nil
}
