//go:build unix

package owner

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what fits into sockaddr_un of every unix, with its final zero.
const maxSocketPath = 103

// listenSocket listens on a socket in dir that only this user can connect to. It
// is made in a folder that nobody else can enter and moved out when it has its
// mode: between bind and chmod the umask would decide.
func listenSocket(dir string) (net.Listener, error) {
	name := filepath.Join(dir, socketName)
	if len(name) > maxSocketPath {
		return nil, fmt.Errorf("the path of a socket has at most %d bytes, %s has %d", maxSocketPath, name, len(name))
	}
	private := filepath.Join(dir, ".own") // with the "s" below not longer than name
	if err := os.RemoveAll(private); err != nil {
		return nil, err
	}
	if err := os.Mkdir(private, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it has another name by then
	if err = os.Chmod(made, 0o600); err == nil {
		err = os.Rename(made, name) // over that of a dead owner
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
