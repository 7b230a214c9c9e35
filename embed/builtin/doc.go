// Package builtin holds the default model inside the program. Only the command
// imports it. Its weights are not under the program's licence: they are for
// non-commercial research and education (model/LICENSE.model, model/NOTICE,
// model/MODEL_CARD.md). Built with -tags nomodel, the program has none.
//
// builtin is an alias: the model has a name with a version of its own, and an
// index keeps a copy of the model that made its vectors, so a later program with
// another default answers from old indexes as before.
package builtin
