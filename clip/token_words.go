package clip

import "iter"

// TextWords yields the words of a text that CLIP's tokenizer cuts into tokens, one by one:
// the text is cleaned and lowered as open_clip does it, and each byte of a word is
// written as the letter that [ByteLetters] has for it. A vocabulary is learnt from them.
func TextWords(text string) iter.Seq[string] {
	text = lowerPython(cleanText(cutText(text, maxText)))
	split := chain([]splitter{cut(matchClip(), "Removed", true), byteLevel(false, false)})
	return func(yield func(string) bool) {
		split(word{text, true}, func(w word) bool { return yield(w.text) })
	}
}

// ByteLetters returns the letter that stands for each byte in a vocabulary of bytes.
func ByteLetters() [256]rune { return byteLetters() }
