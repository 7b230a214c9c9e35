//go:build unix

package main

import "syscall"

// detached is a process that outlives the terminal it was started from.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
