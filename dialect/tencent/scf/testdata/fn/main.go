// Command fn is a function that does what the tests tell it, in the runtime whose program it is called
// like: bootstrap of a custom runtime, main of Go1, server of a web function.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	fmt.Println("hello from the start")
	switch os.Getenv("MODE") {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find my settings")
		os.Exit(3)
	case "deaf":
		time.Sleep(time.Hour)
	}
	switch filepath.Base(os.Args[0]) {
	case "main":
		serveCalls()
	case "server":
		serveHTTP()
	default:
		fetchCalls()
	}
}

// obey does what a call says, and answers with a text or an error.
func obey(event string) (string, error) {
	what, arg, _ := strings.Cut(event, " ")
	switch what {
	case "echo":
		return arg, nil
	case "env":
		return os.Getenv(arg), nil
	case "print":
		fmt.Println(arg)
	case "fail":
		return "", fmt.Errorf("boom\nat the second line")
	case "big":
		return strings.Repeat("x", 6<<20+1), nil
	case "exit":
		os.Exit(5)
	case "hang":
		time.Sleep(time.Hour)
	}
	return "", nil
}

// text is the event of a call, which is a JSON text.
func text(event []byte) string {
	var s string
	json.Unmarshal(event, &s)
	return s
}

// fetchCalls is a custom runtime.
func fetchCalls() {
	base := "http://" + os.Getenv("SCF_RUNTIME_API") + ":" + os.Getenv("SCF_RUNTIME_API_PORT") + "/runtime/"
	post := func(path, body string) int {
		res, err := http.Post(base+path, "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			fmt.Println("post failed:", err)
			os.Exit(6)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if os.Getenv("MODE") != "unready" {
		post("init/ready", " ")
	}
	for {
		res, err := http.Get(base + "invocation/next")
		if err != nil || res.StatusCode != 200 {
			os.Exit(7)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		event := text(body)
		switch event {
		case "raw":
			post("invocation/response", string(body)+fmt.Sprint(res.Header["Request_id"], res.Header["request_id"]))
			continue
		case "head":
			b, _ := json.Marshal(res.Header)
			post("invocation/response", string(b))
			continue
		case "twice":
			first := post("invocation/response", `"first"`)
			fmt.Println("twice", first, post("invocation/response", `"second"`), post("invocation/error", "third"))
			continue
		case "answer and exit":
			post("invocation/response", `"bye"`)
			os.Exit(0)
		}
		out, err := obey(event)
		if err != nil {
			post("invocation/error", err.Error())
			continue
		}
		post("invocation/response", out)
	}
}

// serveHTTP is a web function.
func serveHTTP() {
	port := os.Args[1]
	if os.Getenv("MODE") == "port" {
		port = os.Getenv("PORT")
	}
	if os.Getenv("MODE") == "stray" {
		port = "9000"
	}
	http.ListenAndServe("0.0.0.0:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/event-invoke" {
			out, err := obey(text(body))
			if err != nil {
				w.WriteHeader(500)
				out = err.Error()
			}
			io.WriteString(w, out)
			return
		}
		if r.URL.Path == "/do" {
			obey(string(body))
		}
		w.Header().Set("X-Own", "1")
		w.Header().Set("X-Scf-Secret", "1")
		w.WriteHeader(202)
		var b bytes.Buffer
		json.NewEncoder(&b).Encode(map[string]any{"Method": r.Method, "URI": r.RequestURI, "Host": r.Host, "Body": string(body), "Header": r.Header})
		w.Write(b.Bytes())
	}))
}
