package gateway

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

// ServeGWS does what ServeSluice does, with gws: a goroutine for each connection.
func ServeGWS() error { return serveGWS(&room{}) }

func serveGWS(h gws.Event) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	up := gws.NewUpgrader(h, nil)
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // ends with the connection
	}))
}

type room struct {
	gws.BuiltinEventHandler
	mu  sync.Mutex
	all []*gws.Conn
}

func (h *room) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if m.Bytes()[0] == 'P' {
		h.mu.Lock()
		all := h.all
		h.mu.Unlock()
		b := gws.NewBroadcaster(gws.OpcodeText, m.Bytes())
		defer b.Close()
		for _, o := range all {
			b.Broadcast(o)
		}
		return
	}
	if m.Bytes()[0] == 'J' {
		h.mu.Lock()
		h.all = append(h.all, c)
		h.mu.Unlock()
	}
	c.WriteMessage(gws.OpcodeText, m.Bytes())
}
