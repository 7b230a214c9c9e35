package owner

import (
	"errors"
	"net"
	"syscall"
)

// listenSocket refuses: a socket's file mode means nothing here.
func listenSocket(string) (net.Listener, error) {
	return nil, errors.New("no sockets with a file mode on this system")
}

func isNoSpace(err error) bool {
	const handleDiskFull, diskFull = syscall.Errno(39), syscall.Errno(112)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull)
}
