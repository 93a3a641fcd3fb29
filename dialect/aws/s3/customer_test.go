package s3

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

// keyed is the headers with a key of the client's that is all of one letter.
func keyed(letter, prefix string) []string {
	key := []byte(strings.Repeat(letter, 32))
	name := "x-amz-" + prefix + "server-side-encryption-customer-"
	return []string{name + "algorithm: AES256", name + "key: " + base64.StdEncoding.EncodeToString(key), name + "key-MD5: " + sumOf(key)}
}

func TestKeysOfTheClientsEncrypt(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	text := strings.Repeat("0123456789", 50_000)
	sum := md5.Sum([]byte(text))
	a := keyed("a", "")
	put := g.ok(t, "app", "PUT", "/box/k", text, append(a, "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]))...)
	if h := told(put); h.Get("x-amz-server-side-encryption-customer-algorithm") != "AES256" || h.Get("x-amz-server-side-encryption-customer-key-MD5") != sumOf(bytes.Repeat([]byte("a"), 32)) {
		t.Errorf("told %v", h)
	}
	o, err := g.Objects.Get(t.Context(), "box", "k")
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := io.ReadAll(o)
	o.Close()
	if len(kept) != len(text) || bytes.Contains(kept, []byte("0123456789")) {
		t.Error("what is kept can be read")
	}
	if got := g.ok(t, "app", "GET", "/box/k", "", a...).Body.String(); got != text {
		t.Error("what is read is not what was written")
	}
	if got := g.ok(t, "app", "GET", "/box/k", "", append(a, "Range: bytes=100003-100012")...).Body.String(); got != text[100003:100013] {
		t.Errorf("a range: %q", got)
	}
}

func TestKeysOfTheClientsAreHeldAgainstTheFirst(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	a, b := keyed("a", ""), keyed("b", "")
	g.ok(t, "app", "PUT", "/box/k", "text", a...)
	g.ok(t, "app", "PUT", "/box/open", "text")
	name := "x-amz-server-side-encryption-customer-"
	short := []string{a[0], name + "key: " + base64.StdEncoding.EncodeToString([]byte("short")), a[2]}
	attrs := "x-amz-object-attributes: ETag"
	for what, c := range map[string]struct {
		method, url, want string
		header            []string
	}{
		"none":             {"GET", "/box/k", "400 InvalidRequest", nil},
		"none, for HEAD":   {"HEAD", "/box/k", "400", nil},
		"none, attributes": {"GET", "/box/k?attributes", "400 InvalidRequest", []string{attrs}},
		"its attributes":   {"GET", "/box/k?attributes", "200", append([]string{attrs}, a...)},
		"another":          {"GET", "/box/k", "400 InvalidRequest", b},
		"not needed":       {"GET", "/box/open", "400 InvalidRequest", a},
		"its own":          {"HEAD", "/box/k", "200", a},
		"no algorithm":     {"PUT", "/box/x", "400 InvalidArgument", a[1:]},
		"no key":           {"PUT", "/box/x", "400 InvalidArgument", a[:1]},
		"no MD5":           {"PUT", "/box/x", "400 InvalidArgument", a[:2]},
		"another MD5":      {"PUT", "/box/x", "400 InvalidArgument", []string{a[0], a[1], b[2]}},
		"short":            {"PUT", "/box/x", "400 InvalidArgument", short},
		"odd algorithm":    {"PUT", "/box/x", "400 InvalidEncryptionAlgorithmError", []string{name + "algorithm: ROT13", a[1], a[2]}},
		"both kinds":       {"PUT", "/box/x", "400 InvalidArgument", append([]string{"x-amz-server-side-encryption: AES256"}, a...)},
		"wrong digest":     {"PUT", "/box/x", "400 BadDigest", append([]string{"Content-MD5: " + sumOf([]byte("other"))}, a...)},
		"copied without":   {"PUT", "/box/x", "400 InvalidRequest", []string{"x-amz-copy-source: /box/k"}},
		"copied by its":    {"PUT", "/box/x", "200", append(keyed("a", "copy-source-"), "x-amz-copy-source: /box/k")},
	} {
		if got := code(g.do(t, "app", c.method, c.url, "", c.header...)); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	if got := g.ok(t, "app", "GET", "/box/x", "").Body.String(); got != "text" {
		t.Errorf("the copy without a key: %q", got)
	}
	g.ok(t, "app", "PUT", "/box/k", "", append(append(keyed("a", "copy-source-"), b...), "x-amz-copy-source: /box/k", "x-amz-metadata-directive: REPLACE")...)
	if got := g.ok(t, "app", "GET", "/box/k", "", b...).Body.String(); got != "text" {
		t.Errorf("a copy onto itself with another key: %q", got)
	}
}

func TestPartsAreEncryptedByTheKeyOfTheirUpload(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	a, b := keyed("a", ""), keyed("b", "")
	var up struct{ UploadId string }
	w := g.ok(t, "app", "POST", "/box/big?uploads", "", a...)
	if xml.Unmarshal(w.Body.Bytes(), &up) != nil || told(w).Get("x-amz-server-side-encryption-customer-algorithm") != "AES256" {
		t.Fatal(w.Body, told(w))
	}
	first, second := strings.Repeat("x", 5<<20+7), "the end of it"
	url := func(n int) string { return fmt.Sprintf("/box/big?partNumber=%d&uploadId=%s", n, up.UploadId) }
	for what, header := range map[string][]string{"none": nil, "another": b} {
		if got := code(g.do(t, "app", "PUT", url(1), first, header...)); got != "400 InvalidRequest" {
			t.Errorf("a part with %s: %s", what, got)
		}
	}
	list := ""
	for n, text := range []string{first, second} {
		w := g.ok(t, "app", "PUT", url(n+1), text, a...)
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n+1, told(w).Get("ETag"))
	}
	g.ok(t, "app", "PUT", "/box/src", "of another", b...)
	w = g.ok(t, "app", "PUT", url(2), "", append(append(keyed("b", "copy-source-"), a...), "x-amz-copy-source: /box/src")...)
	var copied struct{ ETag string }
	if err := xml.Unmarshal(w.Body.Bytes(), &copied); err != nil {
		t.Fatal(err)
	}
	list = list[:strings.LastIndex(list, "<ETag>")] + "<ETag>" + copied.ETag + "</ETag></Part>"
	g.ok(t, "app", "POST", "/box/big?uploadId="+up.UploadId, "<CompleteMultipartUpload>"+list+"</CompleteMultipartUpload>")
	want := first + "of another"
	if got := g.ok(t, "app", "GET", "/box/big", "", a...).Body.String(); got != want {
		t.Errorf("read %d bytes that end with %q", len(got), got[max(0, len(got)-20):])
	}
	if got := g.ok(t, "app", "GET", "/box/big", "", append(a, "Range: bytes=5242880-5242890")...).Body.String(); got != want[5242880:5242891] {
		t.Errorf("a range over two parts: %q", got)
	}
	g.ok(t, "app", "PUT", "/box/copy", "", append(append(keyed("a", "copy-source-"), b...), "x-amz-copy-source: /box/big")...)
	if got := g.ok(t, "app", "GET", "/box/copy", "", b...).Body.String(); got != want {
		t.Error("a copy of all is another")
	}
}

// The key stream can be entered anywhere, also where its counter goes over from one half to the other.
func TestTheKeyStreamIsOneFromAnyOffset(t *testing.T) {
	key, start := bytes.Repeat([]byte("k"), 32), append(make([]byte, 8), bytes.Repeat([]byte{255}, 8)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 100)
	cipher.NewCTR(block, start).XORKeyStream(want, want)
	for at := range want {
		s, err := streamAt(key, start, int64(at))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want)-at)
		if s.XORKeyStream(got, got); !bytes.Equal(got, want[at:]) {
			t.Errorf("from %d", at)
		}
	}
}
