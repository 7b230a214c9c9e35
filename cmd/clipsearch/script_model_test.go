//go:build !nomodel

package main

const scriptDir = "script"
