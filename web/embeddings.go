package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"

	"github.com/clipsearch/clipsearch"
)

const maxInputs = 2048

// embeddingsBody is what POST /v1/embeddings takes: OpenAI's shape, and pictures.
type embeddingsBody struct {
	Model          string `json:"model"` // any: the loaded one answers
	Input          inputs `json:"input"`
	EncodingFormat string `json:"encoding_format"`
}

// input is a text or a picture.
type input struct {
	Text  string `json:"text"`
	Image string `json:"image"` // base64, or a data URL
}

func (in *input) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, &in.Text)
	}
	type plain input // without this method
	return json.Unmarshal(b, (*plain)(in))
}

// inputs is one of them, or a list.
type inputs []input

func (ins *inputs) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`[`)) {
		return json.Unmarshal(b, (*[]input)(ins))
	}
	*ins = make(inputs, 1)
	return json.Unmarshal(b, &(*ins)[0])
}

type embeddingsAnswer struct {
	Object string      `json:"object"`
	Data   []embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  usage       `json:"usage"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // numbers, or their bytes in base64
}

type usage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// embeddings answers POST /v1/embeddings.
func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) error {
	var b embeddingsBody
	if err := s.readJSON(w, r, &b, false); err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
	}
	var m Model
	vectors, err := pinned(r.Context(), s, func(ctx context.Context) ([]clipsearch.Vector, error) {
		m = s.model(ctx)
		return s.encodeInputs(ctx, b.Input)
	})
	if err != nil {
		return err
	}
	answer := embeddingsAnswer{Object: "list", Model: m.Name, Data: []embedding{}}
	for i, v := range vectors {
		e := embedding{Object: "embedding", Index: i, Embedding: v}
		if b.EncodingFormat == "base64" {
			e.Embedding = littleEndian(v)
		}
		answer.Data = append(answer.Data, e)
		if t := b.Input[i].Text; t != "" && m.Tokens != nil {
			answer.Usage.PromptTokens += m.Tokens(t)
		}
	}
	answer.Usage.TotalTokens = answer.Usage.PromptTokens
	return sendJSON(w, http.StatusOK, answer)
}

func (b embeddingsBody) check() error {
	switch {
	case len(b.Input) == 0:
		return invalid("input is empty: give a text, or a list of texts and pictures")
	case len(b.Input) > maxInputs:
		return invalid("%d inputs: there may be %d", len(b.Input), maxInputs)
	case b.EncodingFormat != "" && b.EncodingFormat != "float" && b.EncodingFormat != "base64":
		return invalid("encoding_format %q is neither float nor base64", b.EncodingFormat)
	}
	for i, in := range b.Input {
		if (in.Text == "") == (in.Image == "") {
			return invalid(`input %d is neither a text nor {"text": …} nor {"image": …}`, i)
		}
	}
	return nil
}

// encodeInputs encodes all texts at once and the pictures one by one.
func (s *Server) encodeInputs(ctx context.Context, list inputs) ([]clipsearch.Vector, error) {
	vectors := make([]clipsearch.Vector, len(list))
	var texts []string
	var at []int
	for i, in := range list {
		if in.Image == "" {
			texts, at = append(texts, in.Text), append(at, i)
			continue
		}
		file, err := s.fromBase64(in.Image)
		if err != nil {
			return nil, err
		}
		if vectors[i], err = s.encodeImage(ctx, file); err != nil {
			return nil, err
		}
	}
	if len(texts) == 0 {
		return vectors, nil
	}
	if err := checkTexts(texts); err != nil {
		return nil, err
	}
	encoded, err := s.encodeTexts(ctx, texts)
	if err != nil {
		return nil, err
	}
	for j, v := range encoded {
		vectors[at[j]] = v
	}
	return vectors, nil
}

// littleEndian is how OpenAI's clients ask for vectors: float32s in base64.
func littleEndian(v clipsearch.Vector) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
