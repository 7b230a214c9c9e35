package query_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func mustID(s string) clipsearch.ID {
	id, err := clipsearch.ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

const someID = "000102030405060708090a0b0c0d0e0f"

func TestParse(t *testing.T) {
	type Q = query.Query
	type F = clipsearch.Filter
	tests := []struct {
		in    string
		want  Q
		notes []int // offsets
	}{
		{in: "", want: Q{}},
		{in: "  a  dog\ton\nthe beach ", want: Q{Text: "a dog on the beach"}},
		{in: `"no parking"`, want: Q{Text: "no parking", Phrases: []string{"no parking"}}},
		{in: `a sign "no  parking" here`, want: Q{Text: "a sign no parking here", Phrases: []string{"no parking"}}},
		{in: `“no parking”`, want: Q{Text: "no parking", Phrases: []string{"no parking"}}},
		{in: `beach -people -"a boat"`, want: Q{Text: "beach", Not: []string{"people", "a boat"}}},
		{in: "-rain", want: Q{Not: []string{"rain"}}},
		{in: "well-known tri-colored", want: Q{Text: "well-known tri-colored"}},
		{in: "beach + sunset", want: Q{Text: "beach", Terms: []query.Term{{1, "sunset"}}}},
		{in: "- people", want: Q{Terms: []query.Term{{-1, "people"}}}},
		{in: "king - a man + a woman", want: Q{Text: "king", Terms: []query.Term{{-1, "a man"}, {1, "a woman"}}}},
		{in: "2:sunset", want: Q{Terms: []query.Term{{2, "sunset"}}}},
		{in: "beach 0.5:sunset sky", want: Q{Text: "beach", Terms: []query.Term{{.5, "sunset sky"}}}},
		{in: "beach - 2:people -3:dogs", want: Q{Text: "beach", Terms: []query.Term{{-2, "people"}, {-3, "dogs"}}}},
		{in: `2:"red car" big`, want: Q{Terms: []query.Term{{2, "red car big"}}, Phrases: []string{"red car"}}},
		{in: "a clock at 6:30 or 12:45", want: Q{Text: "a clock at 6:30 or 12:45"}},
		{in: "path:2024 name:img", want: Q{Filter: F{{Field: "path", Op: "has", Text: "2024"}, {Field: "name", Op: "has", Text: "img"}}}},
		{in: `dog tag:sea caption:"a dog" camera:Nikon run`, want: Q{Text: "dog run", Filter: F{
			{Field: "tag", Op: "has", Text: "sea"}, {Field: "caption", Op: "has", Text: "a dog"}, {Field: "camera", Op: "has", Text: "Nikon"}}}},
		{in: "TYPE:JPG", want: Q{Filter: F{{Field: "type", Op: "has", Text: "jpeg"}}}},
		{in: "type:heic", want: Q{Filter: F{{Field: "type", Op: "has", Text: "heic"}}}, notes: []int{0}},
		{in: "width:>2000 height:<=800 width:64 bytes:>=1e6", want: Q{Filter: F{
			{Field: "width", Op: ">", Number: 2000}, {Field: "height", Op: "<=", Number: 800},
			{Field: "width", Op: "=", Number: 64}, {Field: "bytes", Op: ">=", Number: 1e6}}}},
		{in: "after:2024 after:2024-05 before:2024-06-15", want: Q{Filter: F{
			{Field: "taken", Op: ">=", Time: day(2024, 1, 1)}, {Field: "taken", Op: ">=", Time: day(2024, 5, 1)}, {Field: "taken", Op: "<", Time: day(2024, 6, 15)}}}},
		{in: "after:2024-05-01T10:00:00+02:00", want: Q{Filter: F{{Field: "taken", Op: ">=", Time: time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC)}}}},
		{in: "-path:screenshots", want: Q{Filter: F{{Field: "path", Op: "has", Text: "screenshots", Not: true}}}},
		{in: "similar:" + someID + " + snow", want: Q{Similar: []clipsearch.ID{mustID(someID)}, Terms: []query.Term{{1, "snow"}}}},
		{in: "beach - similar:" + someID, want: Q{Text: "beach", Unlike: []clipsearch.ID{mustID(someID)}}},
		{in: `\-word \"x \after:soon`, want: Q{Text: `-word "x after:soon`}},

		// lenient, with notes
		{in: "colour:red car", want: Q{Text: "colour:red car"}, notes: []int{0}},
		{in: `a "never closed`, want: Q{Text: `a "never closed`}, notes: []int{2}},
		{in: "dog -", want: Q{Text: "dog -"}, notes: []int{4}},
		{in: "+", want: Q{Text: "+"}, notes: []int{0}},
		{in: "a + - b", want: Q{Text: "a +", Terms: []query.Term{{-1, "b"}}}, notes: []int{2}},
		{in: "dog -) path:", want: Q{Text: "dog -) path:"}, notes: []int{4, 7}},
		{in: `""`, want: Q{}, notes: []int{0}},
		{in: `path:"abc`, want: Q{Text: `path:"abc`}, notes: []int{5}},
		{in: "a \xff\xfe b", want: Q{Text: "a \uFFFD b"}},

		// pasted sentences
		{in: `a shirt saying " -ependent " faces`, want: Q{Text: `a shirt saying " -ependent " faces`}},
		{in: "Two adults - a male and a female - are standing on scooters in a field .",
			want: Q{Text: "Two adults - a male and a female - are standing on scooters in a field ."}, notes: []int{11, 33}},
		{in: "a horse 's lead - behind a fence!", want: Q{Text: "a horse 's lead - behind a fence!"}, notes: []int{16}},
	}
	for _, tt := range tests {
		got, notes, err := query.Parse(tt.in, query.ParseOptions{})
		tt.want.Limit = 20
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("Parse(%q): error %v (-want +got):\n%s", tt.in, err, diff)
		}
		if diff := cmp.Diff(tt.notes, offsets(notes)); diff != "" {
			t.Errorf("Parse(%q) notes %v (-want +got):\n%s", tt.in, notes, diff)
		}
	}
}

func offsets(notes []query.Note) (o []int) {
	for _, n := range notes {
		o = append(o, n.Offset)
	}
	return o
}

func TestParseNote(t *testing.T) {
	_, notes, err := query.Parse("a colour:red", query.ParseOptions{})
	want := []query.Note{{Offset: 2, Text: "colour: is no field; camera: is"}}
	if diff := cmp.Diff(want, notes); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for in, near := range map[string]string{"widht:5": "width:", "file:x": "name:", "Captoin:a": "caption:", "tags:x": "tag:"} {
		_, notes, _ := query.Parse(in, query.ParseOptions{})
		if len(notes) != 1 || !strings.Contains(notes[0].Text, "; "+near+" is") {
			t.Errorf("Parse(%q) notes %v, want %s suggested", in, notes, near)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		in     string
		strict bool
		offset int
		msg    string
	}{
		{in: "after:soon", msg: `"soon" is no date`},
		{in: "a after:soon", offset: 2, msg: `"soon" is no date`},
		{in: "before:2024-13", msg: `"2024-13" is no date`},
		{in: "dog width:>wide", offset: 4, msg: `">wide" is no comparison`},
		{in: "height:><5", msg: "no comparison"},
		{in: "width:NaN", msg: "no comparison"},
		{in: "é -after:soon", offset: 3, msg: "no date"},
		{in: "similar:dog", msg: "no picture id"},
		{in: `a "never closed`, strict: true, offset: 2, msg: "not closed"},
		{in: "dog colour:red", strict: true, offset: 4, msg: "colour: is no field"},
		{in: "dog -", strict: true, offset: 4, msg: "lone"},
	}
	for _, tt := range tests {
		_, _, err := query.Parse(tt.in, query.ParseOptions{Strict: tt.strict})
		syntax, ok := errors.AsType[*query.SyntaxError](err)
		if !ok || syntax.Offset != tt.offset || !strings.Contains(syntax.Msg, tt.msg) || syntax.Input != tt.in {
			t.Errorf("Parse(%q) = %v, want a SyntaxError at byte %d: %s", tt.in, err, tt.offset, tt.msg)
		}
		if !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("Parse(%q): %v is not ErrInvalid", tt.in, err)
		}
	}
	if _, _, err := query.Parse("king - man + woman -rain after:2024", query.ParseOptions{Strict: true}); err != nil {
		t.Errorf("strict refuses what is right: %v", err)
	}
}

func TestSyntaxErrorMessage(t *testing.T) {
	_, _, err := query.Parse("after:soon", query.ParseOptions{})
	if want := `query "after:soon", byte 0: "soon" is no date`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want it to begin with %q", err, want)
	}
}

// A caption may be pasted: it is text, whole and without operators.
func TestParseCaptions(t *testing.T) {
	files, _ := filepath.Glob("../../shared/data/*/karpathy*.json")
	if len(files) == 0 {
		t.Skip("no captions: ../../shared/data is absent")
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var set struct {
			Images []struct{ Sentences []struct{ Raw string } }
		}
		if err := json.Unmarshal(file, &set); err != nil {
			t.Fatal(err)
		}
		for _, m := range set.Images {
			for _, s := range m.Sentences {
				checkCaption(t, s.Raw)
			}
		}
	}
}

func checkCaption(t *testing.T, caption string) {
	t.Helper()
	q, _, err := query.Parse(caption, query.ParseOptions{})
	if err != nil {
		t.Errorf("Parse(%q): %v", caption, err)
	}
	want := strings.Join(strings.Fields(caption), " ")
	if len(q.Phrases) == 0 && len(q.Not) == 0 && q.Text != want || len(q.Terms) > 0 || len(q.Filter) > 0 {
		t.Errorf("Parse(%q) = %+v", caption, q)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a dog", `"no parking" -x`, "a + b - 2:c", `-"x y" path:"abc`, `tag:"a b" -path:"abc`, "similar:" + someID + " - b",
		`1:\5 2:"a" \\ \`, `" - " - " b c d e f g h - i`, "A b c d e f g h - i", "after:0000-01-01T00:00:00+01:00", "-2:a b c d e f g h + x",
		"“a” „b“ a\u0085b \xff\xfe -\xff", `a "b" "a b" c "b"`, `5:"a`, `-5:"a" -5:"`, "path:\" a \" type:İ", "+ + - - a", "- \"\" a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, notes, err := query.Parse(s, query.ParseOptions{})
		if err != nil {
			syntax, ok := errors.AsType[*query.SyntaxError](err)
			if !ok || syntax.Offset < 0 || syntax.Offset >= len(s) {
				t.Fatalf("Parse(%q) = %v", s, err)
			}
			return
		}
		for _, n := range notes {
			if n.Offset < 0 || n.Offset >= len(s) {
				t.Fatalf("Parse(%q): note %v points outside", s, n)
			}
		}
		again, _, err := query.Parse(q.String(), query.ParseOptions{})
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Fatalf("Parse(%q).String() = %q, which parses with error %v to (-first +second):\n%s", s, q, err, diff)
		}
	})
}
