package trainer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/clipsearch/clipsearch"
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), clipsearch.ErrInvalid)
}

// maxConfig bounds a configuration file.
const maxConfig = 1 << 20

// ReadConfig reads a JSON file over the defaults: what it does not name stays as it
// is there. A key that is not known, a value of the wrong type or outside its range is
// an error wrapping [clipsearch.ErrInvalid].
func ReadConfig(name string) (Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return Config{}, invalid("read configuration: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return Config{}, invalid("read configuration %s: %v", name, err)
	case len(text) > maxConfig:
		return Config{}, invalid("configuration %s has more than %d bytes", name, maxConfig)
	}
	c, err := ParseConfig(text)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", name, err)
	}
	return c, nil
}

// ParseConfig is ReadConfig of a text.
func ParseConfig(text []byte) (Config, error) {
	c := Defaults()
	keys := map[string]Key{}
	for _, k := range c.keys() {
		keys[k.Name] = k
	}
	if err := noneTwice(text); err != nil {
		return Config{}, err
	}
	if err := set(keys, "", text); err != nil {
		return Config{}, err
	}
	return c, c.checkKeys()
}

// set gives the keys of one object their values.
func set(keys map[string]Key, prefix string, text []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		if err == nil {
			err = errors.New("it is null")
		}
		return invalid("%s is no JSON object: %v", or(strings.TrimSuffix(prefix, "."), "it"), err)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		key, value := prefix+name, object[name]
		if isGroup(keys, key) {
			if err := set(keys, key+".", value); err != nil {
				return err
			}
			continue
		}
		k, known := keys[key]
		if !known {
			return invalid("there is no key %q: did you mean %q? `clipsearch train --keys` lists all", key, nearest(key, keys))
		}
		if err := json.Unmarshal(value, k.value.Addr().Interface()); err != nil || string(value) == "null" {
			return invalid("%s is %s, not %.60s", key, k.kind(), value)
		}
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func isGroup(keys map[string]Key, name string) bool {
	for k := range keys {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// noneTwice returns an error if a key stands twice in an object: the reader would
// silently take the last.
func noneTwice(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	type object struct {
		keys map[string]bool
		key  bool // the next token is a key
	}
	var open []*object // nil for a list
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return invalid("it is no JSON: %v", err)
		}
		var top *object
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		if s, ok := t.(string); ok && top != nil && top.key {
			if top.keys[s] {
				return invalid("%q is there twice", s)
			}
			top.keys[s], top.key = true, false
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, &object{map[string]bool{}, true})
			continue
		case json.Delim('['):
			open = append(open, nil)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if len(open) > 0 && open[len(open)-1] != nil {
			open[len(open)-1].key = true // a value has ended
		}
	}
}

// checkKeys returns an error if a value is outside its range.
func (c *Config) checkKeys() error {
	for _, k := range c.keys() {
		if err := k.check(); err != nil {
			return err
		}
	}
	return nil
}

// Check returns an error if a value is outside its range, or two do not go together:
// once all of them are known.
func (c *Config) Check() error {
	if err := c.checkKeys(); err != nil {
		return err
	}
	m := c.Model
	switch {
	case m.ImageSize%m.Patch != 0:
		return invalid("model.image_size %d is no multiple of model.patch %d", m.ImageSize, m.Patch)
	case m.Image == "conv" && (m.Patch < 2 || m.Patch&(m.Patch-1) != 0):
		return invalid("model.patch %d: each convolution of the stem halves the picture, so that it must be 2, 4, 8, 16 or so", m.Patch)
	case m.ImageWidth%m.ImageHeads != 0:
		return invalid("model.image_width %d is no multiple of model.image_heads %d", m.ImageWidth, m.ImageHeads)
	case m.TextWidth%m.TextHeads != 0:
		return invalid("model.text_width %d is no multiple of model.text_heads %d", m.TextWidth, m.TextHeads)
	case c.Loss.LogitScale > c.Loss.LogitScaleMax:
		return invalid("loss.logit_scale %v is more than loss.logit_scale_max %v", c.Loss.LogitScale, c.Loss.LogitScaleMax)
	case c.Train.LockImage && c.Init == "":
		return invalid("train.lock_image locks the image tower of a model: name it with init (--init NAME|DIR)")
	case c.Train.NewText && c.Init == "", c.Train.Head > 0 && c.Init == "":
		return invalid("train.new_text and train.head belong to a model that is trained on: name it with init (--init NAME|DIR)")
	}
	if err := c.checkParts(); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		of   Selection
	}{{"train.image", c.Train.Image}, {"train.text", c.Train.Text}, {"optim.slow", c.Optim.Slow}} {
		if err := s.of.check(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if _, last := c.Optim.Slow.Last(); last || c.Optim.Slow.All() {
		return invalid("optim.slow is none or a list of name patterns, not %q", c.Optim.Slow[0])
	}
	return nil
}

// Selection says which weights of a tower are trained: ["all"], ["none"], ["last:2"],
// or patterns of names. In JSON one of the words may stand without the brackets.
type Selection []string

// UnmarshalJSON reads a word or a list.
func (s *Selection) UnmarshalJSON(text []byte) error {
	var word string
	if err := json.Unmarshal(text, &word); err == nil {
		*s = Selection{word}
		return nil
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*s = list
	return nil
}

// MarshalJSON writes one word without the brackets.
func (s Selection) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}

// Last is how many of the last blocks are trained, and whether that is what s says.
func (s Selection) Last() (int, bool) {
	if len(s) != 1 || !strings.HasPrefix(s[0], "last:") {
		return 0, false
	}
	n, err := strconv.Atoi(s[0][len("last:"):])
	return n, err == nil && n > 0
}

// All and None report whether s is that word.
func (s Selection) All() bool  { return len(s) == 1 && s[0] == "all" }
func (s Selection) None() bool { return len(s) == 1 && s[0] == "none" }

func (s Selection) check() error {
	if len(s) == 0 {
		return invalid("an empty list trains nothing: say none")
	}
	if _, ok := s.Last(); ok || s.All() || s.None() {
		return nil
	}
	for _, p := range s {
		if strings.HasPrefix(p, "last:") {
			return invalid("%q: after last: comes how many blocks, 1 or more", p)
		}
		if _, err := path.Match(p, ""); err != nil || p == "" || p == "all" || p == "none" {
			return invalid("%q is no pattern of names, such as *.mlp.*", p)
		}
	}
	return nil
}

// called are names that keys have elsewhere.
var called = map[string]string{
	"learning_rate": "optim.lr", "max_steps": "optim.steps", "epochs": "optim.steps", "batch_size": "data.batch", "temperature": "loss.logit_scale",
	"vocab_size": "model.vocabulary", "patch_size": "model.patch", "embed_dim": "model.dim", "grad_clip": "optim.clip_norm", "warmup_steps": "optim.warmup",
}

// nearest returns the key that is fewest edits away from name. The last part counts
// alone, too: a key in the wrong group is near.
func nearest(name string, keys map[string]Key) (best string) {
	if key, ok := called[lastPart(name)]; ok {
		return key
	}
	name = strings.ToLower(name)
	if _, ok := keys[name]; ok {
		return name
	}
	least := 1 << 30
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		d := min(2*edits(name, k), 2*edits(lastPart(name), lastPart(k))+1)
		if d < least {
			best, least = k, d
		}
	}
	return best
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// edits is the Levenshtein distance of two names, which are short, cut where they are not.
func edits(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
