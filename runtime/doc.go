// Package runtime finds ONNX Runtime's shared library, or installs it.
//
// The library is not part of the program: it is 20 to 45 MB for each platform.
// Install fetches one pinned version, from the official release or through the
// user's own package client by package name, and whatever the source, the
// library's bytes must have the SHA-256 that pins.go holds for it.
//
// Nothing is read from the environment here; Options carry what lies outside.
package runtime
