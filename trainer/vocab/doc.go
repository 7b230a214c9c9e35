// Package vocab learns from captions the vocabulary that a model of one's own reads them
// with: CLIP's kind, of byte pairs (Sennrich et al., 2016), in which a word's last letter
// is marked by </w>. What it writes, transformers and [clip.OpenTokenizer] read alike.
//
// A vocabulary is a function of the captions, whatever their order: of pairs that are as
// frequent as each other, the one whose left token comes first is joined first, by the
// bytes of its text, and then the one whose right token does.
package vocab
