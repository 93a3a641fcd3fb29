// Command server is a function of a custom runtime that does what the tests tell it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

var ill atomic.Bool // its health check fails from now on

func main() {
	fmt.Println("hello from the start")
	switch os.Getenv("MODE") {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find my settings")
		os.Exit(3)
	case "deaf":
		time.Sleep(time.Hour)
	}
	port := os.Getenv("FC_SERVER_PORT")
	if p := os.Getenv("STUBBORN"); p != "" {
		port = p
	}
	http.HandleFunc("/invoke", invoke)
	http.HandleFunc("/initialize", func(w http.ResponseWriter, r *http.Request) {
		switch os.Getenv("INIT") {
		case "fail":
			w.WriteHeader(500)
			io.WriteString(w, `{"errorMessage":"no database","errorType":"DialError"}`)
		case "hang":
			time.Sleep(time.Hour)
		case "exit":
			fmt.Println("bye from the initializer")
			os.Exit(4)
		}
		fmt.Println("initialized with", r.Header.Get("X-Fc-Control-Path"))
	})
	began := time.Now()
	http.HandleFunc("/well", func(w http.ResponseWriter, r *http.Request) {
		from, _ := time.ParseDuration(os.Getenv("WELL_FROM"))
		if time.Since(began) < from || ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/pre-stop", func(http.ResponseWriter, *http.Request) { fmt.Println("stopping") })
	http.HandleFunc("/pre-freeze", func(http.ResponseWriter, *http.Request) { fmt.Println("freezing") })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			w.Header().Set("X-Fc-Status", "404")
			io.WriteString(w, "told")
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", "1")
		w.Header().Set("X-Fc-Secret", "1")
		w.WriteHeader(202)
		json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "uri": r.RequestURI, "host": r.Host, "body": string(body), "header": r.Header})
	})
	if err := http.ListenAndServe("127.0.0.1:"+port, nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func invoke(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Println("got", r.Header.Get("X-Fc-Request-Id"))
	verb, arg, _ := strings.Cut(string(body), " ")
	switch verb {
	case "echo":
		io.WriteString(w, arg)
	case "ail":
		ill.Store(true)
	case "headers":
		json.NewEncoder(w).Encode(r.Header)
	case "env":
		io.WriteString(w, os.Getenv(arg))
	case "throw":
		w.WriteHeader(500)
		io.WriteString(w, `{"errorMessage":"boom","errorType":"TypeError","stackTrace":["at a","at b"]}`)
	case "plain":
		w.WriteHeader(503)
		io.WriteString(w, "sorry")
	case "told":
		w.Header().Set("X-Fc-Status", "404")
		io.WriteString(w, `{"errorMessage":"told"}`)
	case "panic":
		panic(http.ErrAbortHandler)
	case "hang":
		time.Sleep(time.Hour)
	case "sleep":
		d, _ := time.ParseDuration(arg)
		time.Sleep(d)
		io.WriteString(w, "slept")
	case "exit":
		fmt.Println("last words")
		os.Exit(7)
	case "print":
		line := strings.Repeat("x", 1023)
		for range 10 << 10 {
			fmt.Println(line)
		}
		io.WriteString(w, "printed")
	case "big":
		chunk := make([]byte, 1<<20)
		for range 33 {
			w.Write(chunk)
		}
	case "garbage":
		conn, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(conn, "\x00\x01this is not HTTP\r\n\r\n")
		conn.Close()
	case "short":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "not all")
	}
}
