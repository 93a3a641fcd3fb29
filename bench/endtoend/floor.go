package endtoend

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lxzan/gws"
)

// ServeFloor is the least that somebody could write by hand for both apps: one program, no functions, a
// list of connections in memory, and every fact written to disk before it is answered. It checks nothing.
func ServeFloor() error {
	dir, err := os.MkdirTemp("", "floor-*")
	if err != nil {
		return err
	}
	db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	f := &floor{db: db, people: map[*gws.Conn]bool{}}
	up := gws.NewUpgrader(f, nil)
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			f.send(w, r)
			return
		}
		if c, err := up.Upgrade(w, r); err == nil {
			go c.ReadLoop() // ends with the connection
		}
	}))
}

type floor struct {
	gws.BuiltinEventHandler
	db     *pebble.DB
	next   atomic.Uint64
	mu     sync.Mutex
	people map[*gws.Conn]bool
}

func (f *floor) keep(b []byte) error {
	return f.db.Set(binary.BigEndian.AppendUint64(nil, f.next.Add(1)), b, pebble.Sync)
}

func (f *floor) OnOpen(c *gws.Conn) {
	f.keep([]byte("joined"))
	f.mu.Lock()
	f.people[c] = true
	f.mu.Unlock()
}

func (f *floor) OnClose(c *gws.Conn, _ error) {
	f.mu.Lock()
	delete(f.people, c)
	f.mu.Unlock()
}

func (f *floor) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	var in struct{ Action, Data string }
	if json.Unmarshal(m.Bytes(), &in) != nil {
		return
	}
	if in.Action == "echo" {
		c.WriteMessage(gws.OpcodeText, []byte("echo "+in.Data))
		return
	}
	f.toAll([]byte(in.Data))
}

func (f *floor) toAll(b []byte) {
	all := gws.NewBroadcaster(gws.OpcodeText, b)
	defer all.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.people {
		all.Broadcast(c)
	}
}

// send is a barrage player's message: kept, then on all screens.
func (f *floor) send(w http.ResponseWriter, r *http.Request) {
	var in map[string]string
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b, _ := json.Marshal(map[string]string{"type": "message", "message": in["message"], "from": in["fromName"], "color": in["color"]})
	if err := f.keep(b); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.toAll(b)
	w.Write([]byte(`{"id":1}`))
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
