package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func TestDescribe(t *testing.T) {
	s := newSite(t, func(s *Server) { s.Model = func(context.Context) Model { return Model{LogitScale: 10} } })
	lines := read[described](t, s.postForm("/describe", []part{image1(0), {"labels", "", "a cat\n\n dog \r\na long label\n"}}))
	fields := read[described](t, s.postForm("/describe", []part{{"labels", "", "a cat"}, {"labels", "", "dog"}, {"labels", "", "a long label"}, image1(0)}))
	if diff := cmp.Diff(lines, fields); diff != "" {
		t.Errorf("labels in lines and in fields (-lines +fields):\n%s", diff)
	}
	var texts []string
	var sum float64
	for i, r := range lines.Results {
		texts, sum = append(texts, r.Text), sum+r.Probability
		if want := lines.Results[0].Probability * math.Exp(10*(r.Score-lines.Results[0].Score)); math.Abs(r.Probability-want) > 1e-6 {
			t.Errorf("probability %d is %v, want %v", i, r.Probability, want)
		}
	}
	if diff := cmp.Diff([]string{"dog", "a cat", "a long label"}, texts); diff != "" || math.Abs(sum-1) > 1e-9 {
		t.Errorf("texts, best first (-want +got), probabilities %v:\n%s", sum, diff)
	}
	if one := read[described](t, s.postForm("/describe", []part{image1(0), {"labels", "", "a cat\ndog"}, {"limit", "", "1"}})); len(one.Results) != 1 || one.Results[0].Probability > 0.99 {
		t.Errorf("limit 1: %+v", one) // of all labels, not of the one shown
	}
	if own := read[described](t, s.postForm("/describe", []part{image1(0)})); len(own.Results) != 7 || own.Image != "upload.jpg" {
		t.Errorf("without labels: %+v", own)
	}
}

func TestDescribeMistakes(t *testing.T) {
	s := newSite(t)
	labels := part{"labels", "", "a\nb"}
	for what, tt := range map[string]struct {
		parts  []part
		status int
	}{
		"no picture":      {[]part{labels}, 400},
		"text as picture": {[]part{labels, {"image", "x", "text"}}, 415},
		"half a picture":  {[]part{labels, {"image", "x", string(photo(0)[:99])}}, 422},
		"limit 0":         {[]part{labels, image1(0), {"limit", "", "0"}}, 400},
		"too many labels": {[]part{image1(0), {"labels", "", strings.Repeat("x\n", 1001)}}, 400},
		"a long label":    {[]part{image1(0), {"labels", "", strings.Repeat("x", 40_000)}}, 400},
		"huge labels":     {[]part{image1(0), {"labels", "", strings.Repeat("x", 2<<20)}}, 413},
		"not UTF-8":       {[]part{image1(0), {"labels", "", "\xff"}}, 400},
	} {
		wantProblem(t, what, s.postForm("/describe", tt.parts), tt.status)
	}
	wantProblem(t, "JSON", s.postJSON("/describe", "{}"), 415)
	s.Images = nil
	wantProblem(t, "no encoder", s.postForm("/describe", []part{image1(0)}), 501)
}

type embeddingsJSON struct {
	Object string `json:"object"`
	Model  string `json:"model"`
	Usage  usage  `json:"usage"`
	Data   []struct {
		Object    string          `json:"object"`
		Index     int             `json:"index"`
		Embedding json.RawMessage `json:"embedding"`
	} `json:"data"`
}

func TestEmbeddings(t *testing.T) {
	s := newSite(t, func(s *Server) {
		s.Model = func(context.Context) Model {
			return Model{Name: "fake-1", Tokens: func(text string) int { return len(text) }}
		}
	})
	file := base64.StdEncoding.EncodeToString(photo(50))
	got := read[embeddingsJSON](t, s.postJSON("/v1/embeddings",
		`{"model":"any","user":"me","input":["a dog",{"text":"a dog"},{"image":"`+file+`"},{"image":"data:image/jpeg;base64,`+file+`"}]}`))
	if got.Object != "list" || got.Model != "fake-1" || len(got.Data) != 4 || got.Usage != (usage{10, 10}) {
		t.Fatalf("embeddings: %+v", got)
	}
	text, err := s.EncodeTexts(t.Context(), []string{"a dog"})
	if err != nil {
		t.Fatal(err)
	}
	picture, err := s.EncodeImage(t.Context(), photo(50))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []clipsearch.Vector{text[0], text[0], picture, picture} {
		var v clipsearch.Vector
		if err := json.Unmarshal(got.Data[i].Embedding, &v); err != nil || !cmp.Equal(v, want) || got.Data[i].Index != i || got.Data[i].Object != "embedding" {
			t.Errorf("embedding %d is %s, want %v", i, got.Data[i].Embedding, want)
		}
	}
	one := read[embeddingsJSON](t, s.postJSON("/v1/embeddings", `{"input":"a dog","encoding_format":"base64"}`))
	var text64 string
	if err := json.Unmarshal(one.Data[0].Embedding, &text64); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text64)
	if err != nil || len(raw) != 8 {
		t.Fatalf("base64 embedding %q: %v", text64, err)
	}
	for i, x := range text[0] {
		b := raw[4*i:]
		if got := math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24); got != x {
			t.Errorf("number %d is %v, want %v", i, got, x)
		}
	}
}

func TestEmbeddingsMistakes(t *testing.T) {
	s := newSite(t)
	for body, status := range map[string]int{
		`{`:                                      400,
		`{}`:                                     400,
		`{"input":null}`:                         400,
		`{"input":[]}`:                           400,
		`{"input":""}`:                           400,
		`{"input":["a",""]}`:                     400,
		`{"input":[1,2,3]}`:                      400,
		`{"input":[[1,2]]}`:                      400,
		`{"input":[null]}`:                       400,
		`{"input":{"text":"a","image":"b"}}`:     400,
		`{"input":" "}`:                          400,
		`{"input":{"image":"!"}}`:                400,
		`{"input":{"image":"data:,"}}`:           400,
		`{"input":{"image":"aGVsbG8gd29ybGQ="}}`: 415,
		`{"input":"a","encoding_format":"float16"}`:           400,
		`{"input":"` + strings.Repeat("a", 40_000) + `"}`:     400,
		`{"input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`: 400,
	} {
		wantProblem(t, fmt.Sprintf("POST %.50s", body), s.postJSON("/v1/embeddings", body), status)
	}
	s.Texts = nil
	wantProblem(t, "no encoder", s.postJSON("/v1/embeddings", `{"input":"a"}`), 501)
}

func TestImmich(t *testing.T) {
	s := newSite(t)
	if w := s.get("/ping"); w.Code != 200 || w.Body.String() != "pong" {
		t.Errorf("GET /ping: %d %q", w.Code, w.Body)
	}
	picture, err := s.EncodeImage(t.Context(), photo(9))
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.EncodeTexts(t.Context(), []string{"a dog"})
	if err != nil {
		t.Fatal(err)
	}
	entries := func(kind string) part {
		return part{"entries", "", `{"clip":{"` + kind + `":{"modelName":"ViT-B-32__openai","options":{}}}}`}
	}
	for _, tt := range []struct {
		kind string
		data part
		want clipsearch.Vector
	}{{"textual", part{"text", "", "a dog"}, text[0]}, {"visual", image1(9), picture}} {
		got := read[map[string]string](t, s.postForm("/predict", []part{entries(tt.kind), tt.data}))
		var v clipsearch.Vector
		if err := json.Unmarshal([]byte(got["clip"]), &v); err != nil || !cmp.Equal(v, tt.want) {
			t.Errorf("predict %s: %v, want %v", tt.kind, got, tt.want)
		}
	}
	for what, parts := range map[string][]part{
		"nothing":      {},
		"no text":      {entries("textual")},
		"no image":     {entries("visual")},
		"another kind": {entries("smell"), image1(9)},
		"another task": {{"entries", "", `{"facial-recognition":{"detection":{}}}`}, image1(9)},
		"two tasks":    {{"entries", "", `{"clip":{"visual":{}},"ocr":{"detection":{}}}`}, image1(9)},
		"no JSON":      {{"entries", "", `{`}, image1(9)},
	} {
		wantProblem(t, "predict "+what, s.postForm("/predict", parts), 400)
	}
}
