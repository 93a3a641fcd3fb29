// Command bad is a custom runtime that misbehaves as its path says.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		raw := func(text string) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				io.WriteString(conn, text)
				conn.Close()
			}
		}
		switch path.Base(r.URL.Path) {
		case "throws":
			panic("boom")
		case "hangs":
			select {}
		case "exits":
			os.Exit(3)
		case "prints":
			for range 10 {
				fmt.Println(strings.Repeat("y", 1<<20))
			}
		case "answers-10MB":
			io.WriteString(w, strings.Repeat("x", 10<<20))
			return
		case "answers-garbage":
			raw("\x00\xff no HTTP at all\r\n\r\n")
			return
		case "bad-status":
			raw("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n")
			return
		case "answers-half":
			raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			return
		case "pid":
			fmt.Fprint(w, os.Getpid())
			return
		}
		fmt.Fprint(w, "first")
	})
	fmt.Println(http.ListenAndServe(":"+os.Getenv("FC_SERVER_PORT"), nil))
}
