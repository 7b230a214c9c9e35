package clip

import (
	"encoding/json"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// templateOptions holds the keys of all post-processors of a tokenizer.json.
type templateOptions struct {
	Type       string            `json:"type"`
	Processors []json.RawMessage `json:"processors"`
	First      tokenAndID        `json:"cls"`
	Last       tokenAndID        `json:"sep"`
	Single     []templatePiece   `json:"single"`
	Special    map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

// templatePiece is the text itself or a token around it.
type templatePiece struct {
	Sequence     *struct{}
	SpecialToken *struct {
		ID string `json:"id"`
	}
}

// tokenAndID is ["</s>", 2].
type tokenAndID struct{ id int32 }

func (t *tokenAndID) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%.100s is no token with its number", b)
	}
	return json.Unmarshal(pair[1], &t.id)
}

// readTemplate returns the ids that a post-processor puts before and after a
// text.
func readTemplate(raw json.RawMessage, s *stages) (before, after []int64, err error) {
	if isNull(raw) {
		return nil, nil, nil
	}
	var o templateOptions
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, nil, fmt.Errorf("post_processor: %v: %w", err, clipsearch.ErrInvalid)
	}
	switch o.Type {
	case "ByteLevel":
		return nil, nil, nil
	case "BertProcessing", "RobertaProcessing":
		before, after = []int64{int64(o.First.id)}, []int64{int64(o.Last.id)}
	case "TemplateProcessing":
		before, after, err = o.template()
	case "Sequence":
		return o.sequence(s)
	default:
		err = fmt.Errorf("post_processor %.100q is not known here: %w", o.Type, clipsearch.ErrInvalid)
	}
	for _, id := range append(append([]int64(nil), before...), after...) {
		if id < 0 {
			return nil, nil, fmt.Errorf("post_processor: token %d: %w", id, clipsearch.ErrInvalid)
		}
	}
	return before, after, err
}

// sequence lets every processor wrap what the one before it made.
func (o templateOptions) sequence(s *stages) (before, after []int64, err error) {
	err = s.each(o.Processors, func(raw json.RawMessage) error {
		first, last, err := readTemplate(raw, s)
		before, after = append(first, before...), append(after, last...)
		return err
	})
	return before, after, err
}

func (o templateOptions) template() (before, after []int64, err error) {
	texts := 0
	for _, p := range o.Single {
		switch {
		case p.Sequence != nil:
			texts++
		case p.SpecialToken != nil:
			special, ok := o.Special[p.SpecialToken.ID]
			if !ok {
				return nil, nil, fmt.Errorf("post_processor: %.100q has no ids: %w", p.SpecialToken.ID, clipsearch.ErrInvalid)
			}
			for _, id := range special.IDs {
				if texts == 0 {
					before = append(before, int64(id))
				} else {
					after = append(after, int64(id))
				}
			}
		}
	}
	if texts != 1 {
		return nil, nil, fmt.Errorf("post_processor: the text is in its template %d times: %w", texts, clipsearch.ErrInvalid)
	}
	return before, after, nil
}
