//go:build !linux

package main

import (
	"errors"
	"os"
)

// dropCache has no counterpart here.
func dropCache(*os.File) error { return errors.New("only Linux can be told so") }
