//go:build linux && cgo

package ort

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void trim(void) { malloc_trim(0); }
#else
static void trim(void) {}
#endif
*/
import "C"

// giveBack returns to the system what a closed session has freed. The C library's
// allocator keeps it otherwise, for the thread that took it: the next session, which
// another thread loads, would take as much again.
func giveBack() { C.trim() }
