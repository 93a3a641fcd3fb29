package gateway

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice/bench/measure"
)

// pushpinConf is pushpin with the two daemons it needs, all in one folder, writing no log. Its arguments are the
// folder of the packages, the one to run in and a port.
const pushpinConf = `[global]
libdir=%[1]s/usr/lib/pushpin
include={libdir}/internal.conf
rundir=%[2]s
ipc_prefix=p-
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:%[3]d
logdir=%[2]s
log_level=0
client_buffer_size=8192
client_maxconn=19000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile=routes
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out
updates_check=off
[handler]
push_in_spec=ipc://{rundir}/{ipc_prefix}push
push_in_sub_specs=ipc://{rundir}/{ipc_prefix}push-sub
push_in_http_addr=127.0.0.1
push_in_http_port=0
command_spec=ipc://{rundir}/{ipc_prefix}command
`

// pushpin gets pushpin and says how to start it before a function behind HTTP, which is asked about each connection
// and each message.
func pushpin(ctx context.Context, w *measure.Workshop) (start func(function string) (*measure.Process, error), versions map[string]string, err error) {
	own := []string{"pushpin", "condure", "zurl"}
	needed, err := measure.Needed(ctx, own...)
	if err != nil {
		return nil, nil, err
	}
	packages, versions, err := w.Unpacked(ctx, needed...)
	if err != nil {
		return nil, nil, err
	}
	libraries, err := filepath.Glob(filepath.Join(packages, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return nil, nil, err
	}
	once := func(function string) (*measure.Process, error) {
		port, err := measure.FreePort()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(w.Temp, "pushpin-*")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "pushpin.conf"), fmt.Appendf(nil, pushpinConf, packages, dir, port), 0o644); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "routes"), []byte("* "+function+",over_http,trusted\n"), 0o644); err != nil {
			return nil, err
		}
		bin := filepath.Join(packages, "usr/bin")
		// Its daemons have process groups of their own; in a namespace of processes they end with it.
		cmd := exec.Command("unshare", "-rpf", "--kill-child", filepath.Join(bin, "pushpin"), "--config", filepath.Join(dir, "pushpin.conf"), "--merge-output")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		p, err := measure.Start(cmd, true)
		if err != nil {
			return nil, err
		}
		p.Addr, p.Several = fmt.Sprintf("127.0.0.1:%d", port), true
		return p, untilOpen(p)
	}
	start = func(function string) (p *measure.Process, err error) {
		for range 3 { // on a busy machine its daemons sometimes do not find each other
			if p, err = once(function); err == nil {
				return p, nil
			}
		}
		return nil, err
	}
	return start, versions, nil
}
