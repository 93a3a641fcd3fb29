package gateway

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/measure"
)

// nginxConf is nginx with nchan: whoever connects hears what anybody says. Its arguments are the folder of the
// packages and a port.
const nginxConf = `user root root;
load_module %s/usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
	access_log off;
	nchan_max_reserved_memory 256M;
	server {
		listen 127.0.0.1:%d backlog=4096;
		location / {
			nchan_pubsub websocket;
			nchan_channel_id all;
			nchan_subscriber_first_message newest;
			nchan_message_buffer_length 100;
			nchan_message_timeout 5s;
		}
	}
}
`

// privately runs a command in a namespace of its own where /var/lib is empty but for nginx's folder: nchan makes
// nginx create temporary folders where its package was built for, whatever its configuration says.
const privately = `mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$@"`

// nchan gets nginx and nchan and says how to start them.
func nchan(ctx context.Context, w *measure.Workshop) (start func() (*measure.Process, error), versions map[string]string, err error) {
	packages, versions, err := w.Unpacked(ctx, "nginx", "libnginx-mod-nchan")
	if err != nil {
		return nil, nil, err
	}
	start = func() (*measure.Process, error) {
		port, err := measure.FreePort()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp(w.Temp, "nchan-*")
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, packages, port), 0o644); err != nil {
			return nil, err
		}
		p, err := measure.Start(exec.Command("unshare", "-rm", "sh", "-c", privately, "sh", filepath.Join(packages, "usr/sbin/nginx"), "-p", dir, "-c", conf), true)
		if err != nil {
			return nil, err
		}
		p.Addr = fmt.Sprintf("%s127.0.0.1:%d", inCrowd, port)
		return p, untilOpen(p)
	}
	p, err := start()
	if err != nil {
		return nil, nil, err
	}
	p.Kill()
	return start, versions, nil
}
