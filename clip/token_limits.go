package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp/syntax"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// What a tokenizer's files may have. Whoever wrote them may mean harm, and what
// they say is done to every text; known ones stay far below.
const (
	maxTokenizerFile = 128 << 20 // the largest known has 34 MB and a quarter of a million tokens
	maxConfigFile    = 16 << 20
	maxTokens        = 1 << 21
	maxMerges        = 1 << 21
	maxToken         = 1 << 10 // bytes
	maxAdded         = 1 << 14
	maxAddedToken    = 1 << 8 // bytes
	maxInsert        = 1 << 8 // bytes, of what a normaliser puts in
	maxPart          = 4 << 20
	maxSequences     = 8 // in each other
	maxSteps         = 32
	maxMarks         = 64 // before or behind a text
	maxPattern       = 1 << 12
	maxProgram       = 1 << 14 // steps of a compiled expression
)

// What becomes of a text. A normaliser can lengthen it, and the next one can
// lengthen that.
const (
	// maxText is how many bytes of a text are read. Its first hundred tokens lie
	// beyond that only where a megabyte of nothing comes first.
	maxText = 1 << 20
	// maxNormal is how many bytes any step goes on with.
	maxNormal = 2 << 20
	// maxGrown is how long a text gets within a step, if any letter may be
	// replaced by maxInsert bytes.
	maxGrown = 16 << 20
)

// mostOf is how many bytes a normalised text may have of one of n bytes.
func mostOf(n int) int { return min(maxNormal, 64*n+4<<10) }

// cutText returns the beginning of s, of at most most bytes, cut between letters.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// ReadConfigFile reads a model's configuration, which comes from anywhere: a regular
// file of a size that such files have.
func ReadConfigFile(fsys fs.FS, name string) ([]byte, error) {
	return readFile(fsys, name, maxConfigFile)
}

// readFile reads a file of at most most bytes.
func readFile(fsys fs.FS, name string, most int64) ([]byte, error) {
	st, err := fs.Stat(fsys, name) // before it is opened: a named pipe would wait
	if err != nil {
		return nil, err
	}
	switch {
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file: %w", name, clipsearch.ErrInvalid)
	case st.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, more than the %d of any of its kind: %w", name, st.Size(), most, clipsearch.ErrInvalid)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, st.Size())
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return data[:n], err
}

// stages bounds the steps that a tokenizer.json has of one kind.
type stages struct {
	kind        string
	depth, left int
}

func newStages(kind string) *stages { return &stages{kind, maxSequences, maxSteps} }

// each reads the steps of a sequence.
func (s *stages) each(steps []json.RawMessage, read func(json.RawMessage) error) error {
	if s.depth == 0 {
		return fmt.Errorf("%s: too many sequences in each other: %w", s.kind, clipsearch.ErrInvalid)
	}
	if s.left -= len(steps); s.left < 0 {
		return fmt.Errorf("%s: more than %d steps: %w", s.kind, maxSteps, clipsearch.ErrInvalid)
	}
	s.depth--
	defer func() { s.depth++ }()
	for _, raw := range steps {
		if err := read(raw); err != nil {
			return err
		}
	}
	return nil
}

// smallPattern refuses expressions that are large, or become so: a{1000} is as
// long as it says.
func smallPattern(pattern, translated string) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("a pattern of %d bytes, more than %d: %w", len(pattern), maxPattern, clipsearch.ErrInvalid)
	}
	if !repeats(pattern) {
		return nil // it cannot be larger than it looks
	}
	re, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		return nil // regexp.Compile tells it
	}
	if program, err := syntax.Compile(re.Simplify()); err == nil && len(program.Inst) > maxProgram {
		return fmt.Errorf("pattern %.100q takes %d steps, more than %d: %w", pattern, len(program.Inst), maxProgram, clipsearch.ErrInvalid)
	}
	return nil
}

// repeats reports whether a pattern counts, as in a{3}.
func repeats(pattern string) bool {
	for i := range len(pattern) - 1 {
		if pattern[i] == '{' && '0' <= pattern[i+1] && pattern[i+1] <= '9' {
			return true
		}
	}
	return false
}
