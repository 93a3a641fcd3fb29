package chat

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// reverse is a gateway's push address. lists says whether it takes lists of connections.
type reverse struct {
	lists  bool
	mu     sync.Mutex
	pushes int
	heard  map[string]string
}

func (g *reverse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pushes++
	var body struct {
		Websocket struct {
			Action, DataType, Data string
			ID                     any `json:"secConnectionID"`
		}
	}
	json.NewDecoder(r.Body).Decode(&body)
	one := func(id string) int {
		if id == "gone" {
			return notFound
		}
		g.heard[id] += body.Websocket.Action + ":" + body.Websocket.Data + ";"
		return 0
	}
	ids, many := body.Websocket.ID.([]any)
	switch {
	case many && !g.lists:
		fmt.Fprint(w, `{"errNo":1,"errMsg":"bad id"}`)
	case many:
		gone := []string{}
		for _, id := range ids {
			if one(id.(string)) != 0 {
				gone = append(gone, id.(string))
			}
		}
		json.NewEncoder(w).Encode(map[string]any{"errNo": 0, "errMsg": "ok", "sent": len(ids) - len(gone), "gone": gone, "failed": []any{}})
	default:
		fmt.Fprintf(w, `{"errNo":%d,"errMsg":"…"}`, one(body.Websocket.ID.(string)))
	}
}

func TestPushesReachEachOnce(t *testing.T) {
	ids := []string{"gone"}
	for i := range 100 {
		ids = append(ids, fmt.Sprint(i))
	}
	for name, test := range map[string]struct {
		lists  bool
		pushes int // for two rounds
	}{"in one": {true, 2}, "one by one": {false, 1 + 2*len(ids)}} {
		t.Run(name, func(t *testing.T) {
			far := &reverse{lists: test.lists, heard: map[string]string{}}
			srv := httptest.NewServer(far)
			defer srv.Close()
			g := NewGateway(srv.URL)
			for range 2 {
				gone, err := g.Push(t.Context(), ids, "hi")
				if err != nil || !slices.Equal(gone, []string{"gone"}) {
					t.Fatalf("gone %v, %v", gone, err)
				}
			}
			if far.pushes != test.pushes || len(far.heard) != 100 {
				t.Errorf("%d pushes to %d connections", far.pushes, len(far.heard))
			}
			for id, heard := range far.heard {
				if heard != "data send:hi;data send:hi;" {
					t.Errorf("%s heard %s", id, heard)
				}
			}
			if err := g.Close(t.Context(), "gone"); err != nil {
				t.Error(err)
			}
			if err := g.Close(t.Context(), "1"); err != nil || !strings.HasSuffix(far.heard["1"], "closing:;") {
				t.Errorf("%v, heard %s", err, far.heard["1"])
			}
			srv.Close()
			if _, err := g.Push(t.Context(), ids, "hi"); err == nil {
				t.Error("nobody was there, and nobody was told")
			}
		})
	}
}

// cosServer answers what the store asks of COS, in pages of two keys.
type cosServer struct{ objects map[string]string }

func (s *cosServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/")
	body, _ := io.ReadAll(r.Body)
	v, there := s.objects[key]
	h := w.Header()
	h["x-cos-request-id"] = []string{"1"}
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
	switch {
	case r.Header.Get("Authorization") == "" || r.Header.Get("x-cos-security-token") != "token":
		refuse(403, "AccessDenied")
	case r.Method == "POST":
		var in struct{ Object []struct{ Key string } }
		xml.Unmarshal(body, &in)
		for _, o := range in.Object {
			delete(s.objects, o.Key)
		}
		fmt.Fprint(w, "<DeleteResult></DeleteResult>")
	case key == "":
		q := r.URL.Query()
		var keys []string
		for k := range s.objects {
			if strings.HasPrefix(k, q.Get("prefix")) && k > q.Get("marker") {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		n, _ := strconv.Atoi(q.Get("max-keys"))
		n = min(n, 2)
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", len(keys) > n)
		for _, k := range keys[:min(n, len(keys))] {
			fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", k)
		}
		fmt.Fprint(w, "</ListBucketResult>")
	case r.Method == "PUT" && there && r.Header.Get("x-cos-forbid-overwrite") == "true":
		refuse(409, "FileAlreadyExists")
	case r.Method == "PUT":
		s.objects[key] = string(body)
		h["x-cos-hash-crc64ecma"] = []string{strconv.FormatUint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)), 10)}
	case r.Method == "DELETE":
		delete(s.objects, key)
		w.WriteHeader(204)
	case !there:
		refuse(404, "NoSuchKey")
	default:
		h["ETag"] = []string{`"` + v + `"`}
		io.WriteString(w, v)
	}
}

func TestTheStoreInCOS(t *testing.T) {
	far := &cosServer{map[string]string{}}
	srv := httptest.NewServer(far)
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	s := newCOS(u, http.DefaultTransport, Keys{"id", "secret", "token"})
	ctx := t.Context()
	for i := range 5 {
		if err := s.Put(ctx, fmt.Sprint("people/", i), []byte("who")); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := s.Claim(ctx, "names/a", []byte("1")); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if ok, err := s.Claim(ctx, "names/a", []byte("2")); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if b, err := s.Get(ctx, "names/a"); string(b) != "1" || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := s.Get(ctx, "names/b"); b != nil || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	if v, err := s.Version(ctx, "names/a"); v != `"1"` || err != nil {
		t.Errorf("%s, %v", v, err)
	}
	if v, err := s.Version(ctx, "names/b"); v != "" || err != nil {
		t.Errorf("%s, %v", v, err)
	}
	for limit, want := range map[int]int{0: 5, 1: 1, 3: 3, 4: 4, 9: 5} {
		if keys, err := s.List(ctx, "people/", limit); len(keys) != want || !slices.IsSorted(keys) || err != nil {
			t.Errorf("%d: %v, %v", limit, keys, err)
		}
	}
	if err := s.Delete(ctx, "people/0"); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ctx, "people/1", "people/2", "names/a"); err != nil {
		t.Error(err)
	}
	if keys, err := s.List(ctx, "", 0); len(keys) != 2 || err != nil {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := newCOS(u, http.DefaultTransport, Keys{"id", "secret", ""}).List(ctx, "", 0); err == nil {
		t.Error("without the token it is not refused")
	}
	if _, err := OpenCOS("no bucket", "ap-guangzhou", Keys{}); err == nil {
		t.Error("a name that is none is taken")
	}
}
