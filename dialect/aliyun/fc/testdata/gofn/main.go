// Command gofn is a function of runtime go1 that does what the tests tell it. Like the cloud's SDK it
// asks for the next call before it has done the last, and again at once when that fails.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	base    = "http://" + os.Getenv("FC_RUNTIME_API") + "/2020-11-11/runtime/invocation/"
	running atomic.Int32
	most    atomic.Int32
)

func main() {
	switch os.Getenv("MODE") {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find my settings")
		os.Exit(3)
	case "deaf":
		time.Sleep(time.Hour)
	}
	for {
		res, err := http.Get(base + "next")
		if err != nil || res.StatusCode != 200 {
			fmt.Println("next failed:", err)
			os.Exit(5)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		go serve(res.Header, body)
	}
}

func serve(h http.Header, body []byte) {
	n := running.Add(1)
	defer running.Add(-1)
	for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
	}
	id := h.Get("x-fc-request-id")
	switch h.Get("x-fc-function-type") {
	case "1":
		fmt.Println("FC Initialize Start RequestId: " + id)
		switch os.Getenv("INIT") {
		case "fail":
			post(id, "error", `{"errorMessage":"no database","errorType":"DialError"}`, "")
			return
		case "hang":
			time.Sleep(time.Hour)
		case "exit":
			fmt.Println("bye from the initializer")
			os.Exit(4)
		}
		post(id, "response", "", "")
		return
	case "2", "3":
		fmt.Println("hook of type", h.Get("x-fc-function-type"))
		post(id, "response", "", "")
		return
	}
	if p := h.Get("x-fc-http-params"); p != "" {
		serveHTTP(id, p, body)
		return
	}
	fmt.Println("FC Invoke Start RequestId: " + id)
	verb, rest, _ := strings.Cut(string(body), " ")
	switch verb {
	case "echo":
		post(id, "response", rest, "")
	case "env":
		post(id, "response", os.Getenv(rest), "")
	case "headers":
		b, _ := json.Marshal(h)
		post(id, "response", string(b), "")
	case "fail":
		post(id, "error", `{"errorMessage":"boom","errorType":"errorString"}`, "")
	case "panic":
		post(id, "error", `{"errorMessage":"boom","errorType":"string","stackTrace":[{"path":"main.go","line":7,"label":"main"}]}`, "")
	case "exit":
		os.Exit(7)
	case "last words":
		post(id, "response", "bye", "")
		os.Exit(0)
	case "hang":
		time.Sleep(time.Hour)
	case "together": // with so many, as soon as they are there
		for n, _ := strconv.ParseInt(rest, 10, 32); int64(most.Load()) < n; {
			time.Sleep(time.Millisecond)
		}
		post(id, "response", fmt.Sprint(most.Load()), "")
	case "big":
		post(id, "response", strings.Repeat("x", 33<<20), "")
	case "wrong":
		post(id, "response", fmt.Sprint(post("nobody", "response", "", ""), post("nobody", "error", "", "")), "")
	}
}

func serveHTTP(id, params string, body []byte) {
	raw, _ := base64.StdEncoding.DecodeString(params)
	var p struct {
		Path string `json:"path"`
	}
	json.Unmarshal(raw, &p)
	switch p.Path {
	case "/silent":
		post(id, "response", "", base64.StdEncoding.EncodeToString([]byte(`{"status":0,"headersMap":{}}`)))
		return
	case "/fail":
		post(id, "error", `{"errorMessage":"boom","errorType":"errorString"}`, "")
		return
	}
	post(id, "response", string(raw)+string(body), base64.StdEncoding.EncodeToString([]byte(
		`{"status":201,"headersMap":{"X-Two":["a","b"],"content-type":["text/plain"],"X-Fc-Secret":["1"],"Content-Length":["7"]}}`)))
}

// post hands in what came of a call, and returns the status.
func post(id, what, body, params string) int {
	req, _ := http.NewRequest("POST", base+id+"/"+what, bytes.NewReader([]byte(body)))
	req.Header.Set("Content-Type", "application/json")
	if params != "" {
		req.Header.Set("x-fc-http-params", params)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}
