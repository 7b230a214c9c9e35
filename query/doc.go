// Package query turns what a person typed into ranked pictures.
//
// # The language
//
// Words are meaning and text together. The rest, by example:
//
//	a dog on the beach          what the picture shows, and what it is called
//	"no parking"                must occur in caption, file name or tag
//	beach -people -"a boat"     pushed away, and dropped where it is called so
//	beach + sunset - people     arithmetic: terms added and subtracted
//	beach 2:sunset              the same, with a weight
//	similar:ID                  looks like a picture of the index
//	path:2024 name:img tag:sea caption:dog camera:nikon type:jpeg
//	width:>2000 height:<=800 bytes:>1000000
//	after:2024-05 before:2024-06-15    taken from then on; before then
//	-path:screenshots           a field, inverted
//	path:"my photos"            a value with spaces
//	\-word                      a backslash makes a word of whatever follows it
//
// It is lenient. What looks like syntax and is none (an unknown field, an
// unclosed quote, a lone sign) is text, and a [Note] says so. A pasted sentence
// is text too: a quote with a space behind it quotes nothing, and a dash is a
// dash where a side of it has more than six words or the whole ends as
// sentences do. Only a known field with a value that cannot be read is a
// [SyntaxError].
//
// # The ranking
//
// [Engine.Search] asks the index for the nearest pictures to each target and
// for those whose text matches, and fuses the ranks (see [Fuse]); scores of
// different kinds are never added, and vectors of texts and of pictures never
// averaged. A picture whose name literally has a word that only a name can be
// (with a digit or underscore), or a quoted phrase, comes before all others.
package query
