package clip

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

func TestCleanText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"  a \t\n b\u3000c\x1fd ", "a b cd"},
		{"“a” ‘b’ „c‚ dʼe", `"a" 'b' "c' d'e`},
		{"ﬁne ﬃ ĳ ǅ ŉ ﬅ", "fine ffi ij Dž 'n ſt"},
		{"ＦＵＬＬ ｶﾞ １２", "FULL ガ 12"},
		{"e\u0301", "é"},
		{"a\x00b\x1b[31mc\x1b[0m\x7f\ufeff", "abc"},
		{"a\x1b[b", "a"},
		{"it\u0096s", "it–s"},
		{"&amp;amp;amp; &lt;b&gt;", "& <b>"},
		{"&EACUTE;&eacute;&hellip; &notit; &not", "Éé… ¬it; ¬"},
		{"&#39;&#x27;&#150;&#0;&#xD800;&#9999999999;&#1;.", "''–���."},
		{"&#; &#x; & &; &bogus; &#39", "&#; &#x; & &; &bogus; '"},
		{"<b> &ldquo;a&rdquo;", "<b> “a”"}, // HTML: unescaped late, so its quotes stay
		{"&ldquo;a&rdquo;", `"a"`},
		{"cafÃ© donâ€™t Â©1 ðŸ˜€ Îµ", "café don't ©1 😀 ε"},
		{"cafÃƒÂ©", "café"}, // twice
		{"voilÃ le 10Â\u00a0km", "voilà le 10 km"},
		{"il est né…» VOILÀ… CÂ MAU MANHÃ É ß™", "il est né…» VOILÀ… CÂ MAU MANHÃ É ß™"},
		{"Ångström naïve Łódź ½ ² Ünïcödé", "Ångström naïve Łódź ½ ² Ünïcödé"},
	}
	for _, tt := range tests {
		if got := cleanText(tt.in); got != tt.want {
			t.Errorf("cleanText(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// What people write is not to be taken for something else.
func TestCleanTextLeavesWords(t *testing.T) {
	for _, s := range []string{
		"Ça va très bien à Noël, où l'été naît", "Größe, Straße, Äpfel & Öl", "São João, coração, irmãs", "El niño ¿dónde está?",
		"Příliš žluťoučký kůň", "Zażółć gęślą jaźń", "Čeština, ďábelské ódy", "İstanbul'da çığ", "Ρόδος ΑΒΓ", "Съешь ещё этих булок",
		"日本語 中文 한국어", "20°C ±5 £3 €5 ©2024 naïve™",
	} {
		if got := cleanText(s); got != s {
			t.Errorf("cleanText(%q) = %q, want it as it was", s, got)
		}
	}
}

func TestCanonicalize(t *testing.T) {
	tests := []struct{ in, want string }{
		{"A photo of a CAT!", "a photo of a cat"},
		{"snake_case, don't  (really) – “ok”", "snake case dont really – ok"},
		{"ΟΔΟΣ", "οδος"},
	}
	for _, tt := range tests {
		if got := canonicalize(tt.in); got != tt.want {
			t.Errorf("canonicalize(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestLower(t *testing.T) {
	tests := []struct{ in, reference, python string }{
		{"AbC ÀÉ ẞ", "abc àé ß", "abc àé ß"},
		{"İ", "i\u0307", "i\u0307"},
		{"ΑΣ", "ασ", "ας"},
		{"ΑΣΑ ΑΣ. ΑΣ'Α Σ", "ασα ασ. ασ'α σ", "ασα ας. ασ'α σ"},
	}
	for _, tt := range tests {
		if a, b := lower(tt.in), lowerPython(tt.in); a != tt.reference || b != tt.python {
			t.Errorf("lower(%q) = %q, lowerPython = %q, want %q and %q", tt.in, a, b, tt.reference, tt.python)
		}
	}
}

// Where package norm does not put joiners in, the long way is the same.
func TestNormalForms(t *testing.T) {
	forms := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}
	for name, form := range forms {
		for r := rune(1); r <= unicode.MaxRune; r++ {
			if r%11 != 0 || !unicode.In(r, unicode.L, unicode.M, unicode.S) {
				continue
			}
			s := string([]rune{'a', 0x301, r, 0x323, 0x301, 0x1161, 0x11a8, r})
			runes := decompose(s, form == norm.NFKC || form == norm.NFKD)
			if form == norm.NFC || form == norm.NFKC {
				runes = compose(runes)
			}
			if got, want := string(runes), form.String(s); got != want {
				t.Errorf("%s of %+q the long way = %+q, want %+q", name, s, got, want)
			}
		}
		marks := strings.Repeat("\u0301\u0323", 50)
		got := normalize(form, "e"+marks)
		if strings.ContainsRune(got, '\u034f') || !strings.HasSuffix(got, strings.Repeat("\u0323", 49)+strings.Repeat("\u0301", 50)) {
			t.Errorf("%s of a hundred marks = %+q", name, got)
		}
	}
}
