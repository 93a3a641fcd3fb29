package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
)

// listen binds one address, with a hint when it is taken.
func listen(addr, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		return ln, nil
	}
	e := &sluice.Error{Code: sluice.Unavailable, Msg: fmt.Sprintf("listen on %s: %v", addr, err), Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Msg = fmt.Sprintf("%s is taken by another program", addr)
		e.Hint = fmt.Sprintf("choose another with --%s HOST:PORT (port 0 takes a free one)", flag)
	case errors.Is(err, syscall.EACCES):
		e.Hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
	}
	return nil, e
}

// publicURL is how a browser on this machine, or on the network when lan, reaches a listener.
func publicURL(a net.Addr, lan bool) string {
	t := a.(*net.TCPAddr)
	host := t.IP.String()
	switch {
	case t.IP.IsUnspecified() && lan:
		host = lanAddress()
	case t.IP.IsUnspecified(), t.IP.IsLoopback():
		host = "localhost"
	}
	if t.Port == 80 {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(t.Port))
}

// lanAddress is this machine's address on its network, "localhost" when it has none.
func lanAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "localhost"
}

// writeState tells clients on this machine where the server is.
func writeState(dir string, r client.Ready) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, client.StateFile+".tmp")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write server state: %w", err)
	}
	return os.Rename(tmp, filepath.Join(dir, client.StateFile))
}
