package vocab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// Cut returns a tokenizer.json of WordPiece (Schuster and Nakajima 2012; Devlin et al.
// 2018) with the pieces alone that keep reports true for, those that it names as special
// tokens, and the one for what is unknown; and which row of the old table of embeddings
// each new id has. A text whose pieces are all kept is cut into the same ones: the
// longest piece that fits a place still does.
func Cut(tokenizer []byte, keep func(id int, piece string) bool) (cut []byte, rows []int, err error) {
	file := map[string]any{}
	if err := json.Unmarshal(tokenizer, &file); err != nil {
		return nil, nil, fmt.Errorf("cut a vocabulary: %v: %w", err, clipsearch.ErrInvalid)
	}
	model, _ := file["model"].(map[string]any)
	old, ok := model["vocab"].(map[string]any)
	if !ok || model["type"] != "WordPiece" {
		return nil, nil, fmt.Errorf("cut a vocabulary: it is of the model %v, not WordPiece: %w", model["type"], clipsearch.ErrInvalid)
	}
	ids := make(map[string]int, len(old))
	for piece, v := range old {
		id, ok := v.(float64)
		if !ok || id < 0 || id != float64(int(id)) {
			return nil, nil, fmt.Errorf("cut a vocabulary: piece %q has the id %v: %w", piece, v, clipsearch.ErrInvalid)
		}
		ids[piece] = int(id)
	}
	special := specials(file)
	special[fmt.Sprint(model["unk_token"])] = true
	kept := map[string]any{}
	number := map[int]int{}
	for _, piece := range slices.SortedFunc(maps.Keys(ids), func(a, b string) int { return ids[a] - ids[b] }) {
		if id := ids[piece]; special[piece] || keep(id, piece) {
			kept[piece], number[id] = len(rows), len(rows)
			rows = append(rows, id)
		}
	}
	model["vocab"] = kept
	if err := renumber(file, number); err != nil {
		return nil, nil, fmt.Errorf("cut a vocabulary: %w: %w", err, clipsearch.ErrInvalid)
	}
	cut, err = json.Marshal(file)
	return cut, rows, err
}

// specials are the tokens that the file itself adds.
func specials(file map[string]any) map[string]bool {
	names := map[string]bool{}
	list, _ := file["added_tokens"].([]any)
	for _, t := range list {
		if token, ok := t.(map[string]any); ok {
			names[fmt.Sprint(token["content"])] = true
		}
	}
	return names
}

// renumber puts new ids where the file names old ones beside the vocabulary: in its
// added tokens, its padding, and the tokens around a text.
func renumber(file map[string]any, number map[int]int) error {
	change := func(in map[string]any, key string) error {
		id, ok := in[key].(float64)
		if !ok {
			return nil
		}
		to, ok := number[int(id)]
		if !ok {
			return fmt.Errorf("%s %v is no piece that is kept", key, id)
		}
		in[key] = to
		return nil
	}
	list, _ := file["added_tokens"].([]any)
	for _, t := range list {
		if token, ok := t.(map[string]any); ok {
			if err := change(token, "id"); err != nil {
				return err
			}
		}
	}
	if padding, ok := file["padding"].(map[string]any); ok {
		if err := change(padding, "pad_id"); err != nil {
			return err
		}
	}
	around, _ := file["post_processor"].(map[string]any)
	tokens, _ := around["special_tokens"].(map[string]any)
	for name, t := range tokens {
		token, _ := t.(map[string]any)
		ids, _ := token["ids"].([]any)
		for i, id := range ids {
			n, _ := id.(float64)
			to, ok := number[int(n)]
			if !ok {
				return fmt.Errorf("the id %v of %s is no piece that is kept", id, name)
			}
			ids[i] = to
		}
	}
	return nil
}
