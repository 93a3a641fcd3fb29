package wall_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

// gateway answers NOTIFY calls like the platform's, for the devices that are online.
type gateway struct {
	online func(device string) bool
	status int // when not 0, the answer to everything

	mu    sync.Mutex
	calls [][]string
}

func (g *gateway) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	header := r.Header.Get("x-ca-deviceid")
	devices := strings.Split(header, ",")
	g.mu.Lock()
	g.calls = append(g.calls, devices)
	g.mu.Unlock()
	io.Copy(io.Discard, r.Body)
	if g.status != 0 {
		rw.WriteHeader(g.status)
		return
	}
	failed := slices.DeleteFunc(slices.Clone(devices), g.online)
	switch {
	case len(devices) > 1:
		wall.WriteJSON(rw, http.StatusOK, map[string]any{"delivered": len(devices) - len(failed), "failed": failed})
	case len(failed) == 1:
		rw.Header().Set("X-Ca-Error-Code", "I404DD")
		rw.WriteHeader(http.StatusNotFound)
	}
}

func TestNotifierFindsWhoIsGone(t *testing.T) {
	var devices []string
	for i := range 2000 {
		devices = append(devices, fmt.Sprintf("device-%04d", i))
	}
	for _, c := range []struct {
		name  string
		batch bool
		n     int
		calls int
	}{
		{"one device", true, 1, 1},
		{"a call for each on the cloud", false, 40, 40},
		{"many in a call on sluice", true, 40, 1},
		{"no header too long", true, 2000, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &gateway{online: func(d string) bool { return !strings.HasSuffix(d, "0") }}
			srv := httptest.NewServer(g)
			defer srv.Close()
			gone, failed, err := wall.NewHTTPNotifier(srv.URL, c.batch).Notify(t.Context(), devices[:c.n], []byte("{}"))
			if err != nil || len(failed) > 0 {
				t.Fatal(failed, err)
			}
			slices.Sort(gone)
			want := slices.DeleteFunc(slices.Clone(devices[:c.n]), g.online)
			if !slices.Equal(gone, want) || len(g.calls) != c.calls {
				t.Fatalf("%d gone of %d, in %d calls", len(gone), len(want), len(g.calls))
			}
		})
	}
}

func TestNotifierReportsAGatewayInTrouble(t *testing.T) {
	srv := httptest.NewServer(&gateway{status: http.StatusBadGateway})
	defer srv.Close()
	gone, failed, err := wall.NewHTTPNotifier(srv.URL, true).Notify(t.Context(), []string{"a", "b"}, []byte("{}"))
	if err == nil || len(gone) > 0 || !slices.Equal(failed, []string{"a", "b"}) {
		t.Fatal(gone, failed, err)
	}
}

func TestNotFoundThatIsNotTheDevicesIsAnError(t *testing.T) {
	srv := httptest.NewServer(&gateway{status: http.StatusNotFound}) // no NOTIFY API there
	defer srv.Close()
	gone, failed, err := wall.NewHTTPNotifier(srv.URL, true).Notify(t.Context(), []string{"a"}, []byte("{}"))
	if err == nil || len(gone) > 0 || len(failed) != 1 {
		t.Fatal(gone, failed, err)
	}
}
