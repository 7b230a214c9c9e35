package eval

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// templates.json holds the sets of templates that CLIP's authors published beside
// their paper, for those who want to compare with its figures.
//
//go:embed templates.json
var templatesJSON []byte

type templateSet struct {
	Name, Source string
	Templates    []string
}

func templateSets() []templateSet {
	var sets []templateSet
	if err := json.Unmarshal(templatesJSON, &sets); err != nil {
		panic("eval: templates.json: " + err.Error())
	}
	return sets
}

// Templates returns the templates of a published set, or none if no set is called
// so.
func Templates(name string) []string {
	for _, s := range templateSets() {
		if s.Name == name {
			return s.Templates
		}
	}
	return nil
}

// TemplateNames are the names that [Templates] knows.
func TemplateNames() []string {
	var names []string
	for _, s := range templateSets() {
		names = append(names, s.Name)
	}
	return names
}

// checkTemplates tells whether there is a place for the name in each.
func checkTemplates(templates []string) error {
	if len(templates) == 0 {
		return invalid("there is no template for the names of classes to stand in")
	}
	i := slices.IndexFunc(templates, func(t string) bool { return !strings.Contains(t, "{}") })
	if i >= 0 {
		return invalid("template %d, %q, has no {} for the name to stand in", i+1, templates[i])
	}
	return nil
}
