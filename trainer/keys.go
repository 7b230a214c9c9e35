package trainer

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Key is what is known of a key of [Config].
type Key struct {
	Name    string // with its groups: "optim.lr"
	Value   any
	Doc     string
	Allowed string // "1..8", "vit|conv", or "" where anything of its type is
	free    bool   // may change when a run is resumed
	value   reflect.Value
}

// Keys lists the keys of a configuration in their order, with the defaults.
func Keys() []Key { return Defaults().Keys() }

// Keys lists the keys with c's values.
func (c Config) Keys() []Key { return c.keys() }

// JSON is the key's value as the file has it.
func (k Key) JSON() string { return asJSON(k.Value) }

// keys lists the keys with c's own values as defaults; they can be set through them.
func (c *Config) keys() []Key { return keysOf("", reflect.ValueOf(c).Elem()) }

func keysOf(prefix string, v reflect.Value) (list []Key) {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		name := prefix + tag.Get("json")
		if f.Kind() == reflect.Struct {
			list = append(list, keysOf(name+".", f)...)
			continue
		}
		allowed := tag.Get("range")
		if allowed == "" {
			allowed = tag.Get("of")
		}
		list = append(list, Key{name, f.Interface(), tag.Get("doc"), allowed, tag.Get("resume") == "free", f})
	}
	return list
}

// check returns an error if the value is none that is allowed.
func (k Key) check() error {
	switch v := k.value; {
	case k.Allowed == "":
		return nil
	case v.Kind() == reflect.String:
		if !slices.Contains(strings.Split(k.Allowed, "|"), v.String()) {
			return invalid("%s %q is none of %s", k.Name, v.String(), strings.ReplaceAll(k.Allowed, "|", ", "))
		}
	default:
		low, high, _ := strings.Cut(k.Allowed, "..")
		x := number(v)
		if !(x >= parsed(low) && x <= parsed(high)) {
			return invalid("%s %v is not between %s and %s", k.Name, v.Interface(), low, high)
		}
	}
	return nil
}

func number(v reflect.Value) float64 {
	if v.CanInt() {
		return float64(v.Int())
	}
	return v.Float()
}

func parsed(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("trainer: the range of a key: " + err.Error()) // a tag of ours
	}
	return x
}

// kind is what a value of the key looks like, for messages.
func (k Key) kind() string {
	switch k.value.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return `a string such as "all" or "last:2", or a list of patterns`
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// differences returns a line for each key that two configurations disagree on and
// that decides what is computed.
func (c Config) differences(other Config) (list []string) {
	theirs := other.keys()
	for i, k := range c.keys() {
		if !k.free && !reflect.DeepEqual(k.value.Interface(), theirs[i].value.Interface()) {
			list = append(list, fmt.Sprintf("%s is %s, not %s", k.Name, asJSON(theirs[i].value.Interface()), asJSON(k.value.Interface())))
		}
	}
	return list
}

// asJSON is a value as the file has it.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("trainer: a value of a configuration: " + err.Error()) // strings, numbers, lists of strings
	}
	return string(b)
}
