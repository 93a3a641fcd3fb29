package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bucket is a Store in memory. fail, if set, may fail an operation on a key.
type bucket struct {
	mu      sync.Mutex
	objects map[string]string
	lists   map[string]int // listings, by prefix
	fail    func(op, key string) error
}

func (b *bucket) do(op, key string) error {
	if b.fail != nil {
		return b.fail(op, key)
	}
	return nil
}

func (b *bucket) Get(_ context.Context, key string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v, ok := b.objects[key]; ok {
		return []byte(v), b.do("get", key)
	}
	return nil, b.do("get", key)
}

func (b *bucket) Put(_ context.Context, key string, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.do("put", key); err != nil {
		return err
	}
	b.objects[key] = string(body)
	return nil
}

func (b *bucket) Claim(_ context.Context, key string, body []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.objects[key]; ok {
		return false, nil
	}
	b.objects[key] = string(body)
	return true, nil
}

func (b *bucket) Delete(_ context.Context, keys ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range keys {
		if err := b.do("delete", k); err != nil {
			return err
		}
		delete(b.objects, k)
	}
	return nil
}

func (b *bucket) Version(_ context.Context, key string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[key], nil
}

func (b *bucket) List(_ context.Context, prefix string, limit int) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lists[prefix]++
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(b.objects)) {
		if strings.HasPrefix(k, prefix) && (limit == 0 || len(keys) < limit) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func (b *bucket) with(prefix string) int {
	keys, _ := b.List(context.Background(), prefix, 0)
	return len(keys)
}

// lines is a Pusher that keeps what connections hear. Those that it does not have are gone.
type lines struct {
	heard  map[string][]Frame
	closed []string
	fail   error
}

func (l *lines) Push(_ context.Context, ids []string, text string) (gone []string, err error) {
	if l.fail != nil {
		return nil, l.fail
	}
	var f Frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, ok := l.heard[id]; ok {
			l.heard[id] = append(l.heard[id], f)
		} else {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

func (l *lines) Close(_ context.Context, id string) error {
	l.closed = append(l.closed, id)
	return nil
}

// world is a chat with all that it needs.
type world struct {
	*testing.T
	*bucket
	*lines
	clock time.Time
	chat  *Chat // one instance; instance makes others
}

func play(t *testing.T) *world {
	w := &world{T: t, bucket: &bucket{objects: map[string]string{}, lists: map[string]int{}}, lines: &lines{heard: map[string][]Frame{}},
		clock: time.UnixMilli(1_700_000_000_000)}
	w.chat = w.instance()
	return w
}

func (w *world) instance() *Chat {
	c := New(w.bucket, w.lines, slog.New(slog.DiscardHandler))
	c.now = func() time.Time { return w.clock }
	return c
}

// come registers a connection, which can be pushed to only afterwards.
func (w *world) come(id, name, session string) {
	w.Helper()
	ev, _ := json.Marshal(map[string]any{"requestContext": map[string]any{}, "queryString": map[string]any{"name": name, "session": []string{session}},
		"websocket": map[string]any{"action": "connecting", "secConnectionID": id}})
	out, err := w.chat.Register(w.Context(), ev)
	if err != nil {
		w.Fatal(err)
	}
	if b, _ := json.Marshal(out); string(b) != `{"errNo":0,"errMsg":"ok","websocket":{"action":"connecting","secConnectionID":"`+id+`"}}` {
		w.Fatalf("%s", b)
	}
	w.heard[id] = nil
}

func (w *world) leave(id string) {
	w.Helper()
	delete(w.heard, id)
	if _, err := w.chat.Cleanup(w.Context(), fmt.Appendf(nil, `{"websocket":{"action":"closing","secConnectionID":%q}}`, id)); err != nil {
		w.Fatal(err)
	}
}

// send is a request of a page; it returns what the page hears of it.
func (w *world) send(id, data string) (heard []Frame) {
	w.Helper()
	before := len(w.heard[id])
	w.transport(id, data)
	w.clock = w.clock.Add(time.Millisecond)
	return w.heard[id][before:]
}

func (w *world) transport(id, data string) {
	w.Helper()
	b, _ := json.Marshal(map[string]any{"websocket": map[string]string{"action": "data send", "secConnectionID": id, "dataType": "text", "data": data}})
	if _, err := w.chat.Transport(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

func (w *world) say(id, message, text string) Frame {
	w.Helper()
	b, _ := json.Marshal(map[string]string{"action": "say", "id": message, "text": text})
	heard := w.send(id, string(b))
	if len(heard) != 1 {
		w.Fatalf("%s heard %+v", id, heard)
	}
	return heard[0]
}
