package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// ReadNames reads a list of file names, for Options.Exclude: one a line, or a JSON array.
func ReadNames(file string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid("read names: %v", err)
	}
	names, err := parseNames(text)
	if err != nil {
		return nil, fmt.Errorf("read names %s: %w", file, err)
	}
	return names, nil
}

func parseNames(text []byte) (map[string]bool, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	var list []string
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, invalid("this is not a JSON array of names: %v", err)
		}
	case bytes.HasPrefix(text, []byte("{")):
		return nil, invalid("this is a JSON object: a list of names is an array, or has one a line")
	default:
		list = strings.Split(string(text), "\n")
	}
	names := map[string]bool{}
	for _, name := range list {
		if name = strings.TrimSpace(name); name != "" {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return nil, invalid("there are no names in it")
	}
	return names, nil
}
