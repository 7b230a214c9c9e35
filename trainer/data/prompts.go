package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// Prompts are classes and what is said of them: pairs of a class and a text, besides
// those of pictures and captions.
type Prompts struct {
	Templates     []string `json:"templates"`      // "a photo of a {}.", for names and synonyms; "{}" if there are none
	NameTemplates []string `json:"name_templates"` // for names alone
	Classes       []Class  `json:"classes"`
}

// Class is a class and its words.
type Class struct {
	Name       string   `json:"name"`
	Synonyms   []string `json:"synonyms"`
	Definition string   `json:"definition"`
}

// Prompt is a class and one of the texts for it.
type Prompt struct {
	Class int
	Text  string
}

// ReadPrompts reads a JSON file of prompts.
func ReadPrompts(name string) (*Prompts, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, invalid("read prompts: %v", err)
	}
	p, err := parsePrompts(text)
	if err != nil {
		return nil, fmt.Errorf("read prompts %s: %w", name, err)
	}
	return p, nil
}

func parsePrompts(text []byte) (*Prompts, error) {
	p := &Prompts{}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), p); err != nil {
		return nil, invalid("this is not JSON with templates and classes: %v", err)
	}
	for _, t := range append(p.Templates, p.NameTemplates...) {
		if strings.Count(t, "{}") != 1 {
			return nil, invalid("template %q: {} must stand in it once, where the name goes", t)
		}
	}
	if len(p.Templates) == 0 {
		p.Templates = []string{"{}"}
	}
	seen := map[string]int{}
	for i, c := range p.Classes {
		name := strings.TrimSpace(c.Name)
		if name == "" {
			return nil, invalid("class %d has no name", i)
		}
		if first, ok := seen[name]; ok {
			return nil, invalid("classes %d and %d are both called %q: tell them apart, as each is wrong for the other", first, i, name)
		}
		seen[name] = i
	}
	if len(p.Classes) == 0 {
		return nil, invalid("there are no classes in it")
	}
	return p, nil
}

// Texts returns every text that a drawer may draw, in order.
func (p *Prompts) Texts() []string {
	var all []string
	for _, c := range p.Classes {
		for _, t := range p.Templates {
			for _, word := range append([]string{c.Name}, c.Synonyms...) {
				all = append(all, strings.Replace(t, "{}", word, 1))
			}
		}
		for _, t := range p.NameTemplates {
			all = append(all, strings.Replace(t, "{}", c.Name, 1))
		}
		if c.Definition != "" {
			all = append(all, c.Definition, c.Name+", "+c.Definition)
		}
	}
	return all
}

// Drawer draws prompts. It is safe for concurrent use.
type Drawer struct {
	prompts *Prompts
	order   order
}

// Drawer returns one that draws n classes a step, at most all.
func (p *Prompts) Drawer(seed uint64, n int) *Drawer {
	return &Drawer{p, order{n: len(p.Classes), batch: min(max(n, 1), len(p.Classes)), seed: seed}}
}

// Draw returns the prompts of a step: different classes, each as often as any other in
// the long run. They are a function of the seed and the step.
func (d *Drawer) Draw(step int) []Prompt {
	classes, _ := d.order.batchOf(step)
	all := make([]Prompt, len(classes))
	for row, c := range classes {
		all[row] = Prompt{c, d.prompts.text(c, random(d.order.seed, "prompt", uint64(step), uint64(row)))}
	}
	return all
}

// text draws a form, and for a template one of the words.
func (p *Prompts) text(class int, r *rand.Rand) string {
	c := p.Classes[class]
	forms := len(p.Templates) + len(p.NameTemplates)
	if c.Definition != "" {
		forms += 2
	}
	form := r.IntN(forms)
	if form < len(p.Templates) {
		word := c.Name
		if i := r.IntN(len(c.Synonyms) + 1); i > 0 {
			word = c.Synonyms[i-1]
		}
		return strings.Replace(p.Templates[form], "{}", word, 1)
	}
	switch form -= len(p.Templates); form - len(p.NameTemplates) {
	case 0:
		return c.Definition
	case 1:
		return c.Name + ", " + c.Definition
	}
	return strings.Replace(p.NameTemplates[form], "{}", c.Name, 1)
}
