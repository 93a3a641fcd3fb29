package rest

import (
	"encoding/base64"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

// A stranger's form is answered, whatever is in it: it is kept when its policy lets it, and nothing is when not.
func FuzzForms(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store, err := object.Open(f.Context(), memory.New(), &objecttest.Bodies{}, object.Options{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := store.CreateBucket(f.Context(), object.Bucket{Name: "box", App: "app"}); err != nil {
		f.Fatal(err)
	}
	front := &Front{Objects: store, Log: slog.New(slog.DiscardHandler), Name: "test", Prefix: "x-test-", ObjectACL: "acl", Names: regexp.MustCompile(`^box$`),
		NewID: func() string { return "id" }, Buckets: map[string]Operation{"POST": {Run: (*Call).PostForm, Need: Anyone}},
		Identify: func(*Call) error { return nil },
		Signer: func(c *Call, form *Form) error {
			c.Who = &Who{App: "app"}
			return form.ReadPolicy(now)
		}}
	form := func(parts ...string) string {
		var b strings.Builder
		for i := 0; i+1 < len(parts); i += 2 {
			file := ""
			if parts[i] == "file" {
				file = `; filename="a.txt"`
			}
			b.WriteString("--X\r\nContent-Disposition: form-data; name=\"" + parts[i] + "\"" + file + "\r\n\r\n" + parts[i+1] + "\r\n")
		}
		return b.String() + "--X--\r\n"
	}
	const expires = `{"expiration":"2026-01-02T00:00:00Z","conditions":`
	for _, policy := range []string{expires + `[["starts-with","$key","up/"],{"bucket":"box"},["content-length-range",1,9]]}`, expires + `[]}`, `{"expiration":"x"}`, `[`, "",
		expires + `[["eq","$key"],["eq",1,2],{"a":"b","c":"d"},["content-length-range",9,"x"]]}`} {
		f.Add(form("key", "up/${filename}", "file", "text"), policy)
		f.Add(form("file", "text", "key", "up/a"), policy)
	}
	f.Add("--X\r\n", "")
	f.Fuzz(func(t *testing.T, body, policy string) {
		// The policy goes into the first part's place, in base64.
		first := strings.TrimSuffix(form("policy", base64.StdEncoding.EncodeToString([]byte(policy))), "--X--\r\n")
		body = strings.Replace(body, "--X\r\n", first+"--X\r\n", 1)
		r := httptest.NewRequest("POST", "/box", strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=X")
		w := httptest.NewRecorder()
		front.Serve(w, r, "box", "")
		list, err := store.List(t.Context(), "box", object.ListInput{Max: 10})
		if err != nil {
			t.Fatal(err)
		}
		if (w.Code/100 == 2 || w.Code == 303) != (len(list.Objects) == 1) {
			t.Errorf("%d with %d objects: %s", w.Code, len(list.Objects), w.Body)
		}
		for _, o := range list.Objects {
			if err := store.Delete(t.Context(), "box", o.Key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
