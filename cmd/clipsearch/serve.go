package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

type serveOptions struct {
	addr       string
	anyPort    bool // where addr is taken
	keyFile    string
	cert, key  string
	allowRoots string
	readOnly   bool
	maxUpload  int64
	unload     time.Duration
}

func newServeCommand(a *app) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the search page and the API",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.valid(); err != nil {
				return err
			}
			lib, err := a.openIndex(cmd.Context(), openOptions{serve: true, warm: []string{"text", "image"}, unload: o.unload})
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), lib, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen at `HOST:PORT`; any other than loopback needs --api-key-file")
	f.StringVar(&o.keyFile, "api-key-file", "", "`FILE` of keys, one a line: NAME read|write KEY")
	f.StringVar(&o.cert, "tls-cert", "", "certificate `FILE`")
	f.StringVar(&o.key, "tls-key", "", "its key `FILE`")
	f.StringVar(&o.allowRoots, "allow-roots", "", "serve originals from below `DIR[,DIR]` alone (default: the folders ingested)")
	f.BoolVar(&o.readOnly, "read-only", false, "refuse to add or forget pictures")
	f.DurationVar(&o.unload, "unload-after", 10*time.Minute, "free the memory of the model's picture half when nobody has needed it for `DURATION`; 0: never")
	f.Int64Var(&o.maxUpload, "max-upload", 32<<20, "refuse uploads of more than `BYTES`")
	return cmd
}

func (o serveOptions) valid() error {
	host, port, err := net.SplitHostPort(o.addr)
	switch {
	case err != nil:
		return mistake("--addr %q: %v", o.addr, err)
	case !validPort(port):
		return mistake("--addr %q: %s is no port", o.addr, port)
	case o.keyFile == "" && !loopback(host):
		return mistake("--addr %s can be reached from other machines: give keys with --api-key-file FILE, or listen at 127.0.0.1", o.addr)
	case (o.cert == "") != (o.key == ""):
		return mistake("--tls-cert and --tls-key belong together")
	case o.unload < 0:
		return mistake("--unload-after %v: it must not be negative", o.unload)
	case o.maxUpload <= 0:
		return mistake("--max-upload %d: it must be positive", o.maxUpload)
	}
	return nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n < 1<<16
}

func (o serveOptions) host() string {
	host, _, _ := net.SplitHostPort(o.addr) // valid has seen it
	return host
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// listen listens at addr, or at a free port beside it if that is allowed.
func (o serveOptions) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.addr)
	if o.anyPort && errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(o.addr)
		l, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, mistake("%s is taken by another program: choose another --addr", o.addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", o.addr, err)
	}
	return l, nil
}

func splitRoots(s string) []string {
	var roots []string
	for _, r := range strings.Split(s, ",") {
		if r = strings.TrimSpace(r); r != "" {
			roots = append(roots, r)
		}
	}
	return roots
}
