// Program is a function of a provided runtime: it speaks the runtime API by hand, and does what its calls
// say.
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
	"time"
)

var base = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")

// call is what a test asks for.
type call struct {
	Do      string
	Text    string
	N       int
	Records json.RawMessage
}

func main() {
	if port := os.Getenv("_LAMBDA_SERVER_PORT"); port != "" {
		serve(port)
	}
	switch os.Getenv("BOOT") {
	case "error":
		post("/2018-06-01/runtime/init/error", `{"errorMessage":"no database","errorType":"Function.NoDB","stackTrace":["a","b"]}`, "Lambda-Runtime-Function-Error-Type", "Function.NoDB")
		os.Exit(1)
	case "exit":
		fmt.Println("cannot go on")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	}
	var last string
	for {
		res, err := http.Get(base + "/2018-06-01/runtime/invocation/next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(res.Body)
		id := res.Header.Get("Lambda-Runtime-Aws-Request-Id")
		at := "/2018-06-01/runtime/invocation/" + id
		var c call
		json.Unmarshal(body, &c)
		if c.Records != nil {
			ask(at, body)
			continue
		}
		switch c.Do {
		case "env":
			answer(at, os.Getenv(c.Text))
		case "headers":
			answer(at, res.Header)
		case "print":
			fmt.Println(c.Text)
			answer(at, nil)
		case "nothing":
			post(at+"/response", "")
		case "fail":
			post(at+"/error", `{"errorMessage":"it failed","errorType":"Custom","stackTrace":["x"]}`, "Lambda-Runtime-Function-Error-Type", "Function.Custom")
		case "exit":
			os.Exit(c.N)
		case "sleep":
			time.Sleep(time.Duration(c.N) * time.Millisecond)
			answer(at, c.N)
		case "big":
			answer(at, strings.Repeat("x", c.N-2)) // and its quotes
		case "stream":
			pr, pw := io.Pipe()
			go func() {
				for _, part := range strings.Split(c.Text, "|") {
					io.WriteString(pw, part)
				}
				pw.Close()
			}()
			post1(at+"/response", pr, "Lambda-Runtime-Function-Response-Mode", "streaming", "Content-Type", "application/octet-stream")
		case "head":
			post1(at+"/response", strings.NewReader(`{"statusCode":201,"headers":{"a":"b"}}`+strings.Repeat("\x00", 8)+c.Text), "Lambda-Runtime-Function-Response-Mode", "streaming",
				"Content-Type", "application/vnd.awslambda.http-integration-response")
		case "broken": // a stream that fails in its midst
			req, _ := http.NewRequest("POST", base+at+"/response", io.MultiReader(strings.NewReader("some")))
			req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
			req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": {"Function.Late"}, "Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte(`{"errorMessage":"late"}`))}}
			if res, err := http.DefaultClient.Do(req); err == nil {
				res.Body.Close()
			}
		case "wrong":
			out := []string{
				post("/2018-06-01/runtime/invocation/another/response", "1"),
				post("/2018-06-01/runtime/invocation/another/error", "{}"),
				post(at+"/response", "1", "Lambda-Runtime-Function-Response-Mode", "sideways"),
				get("/2018-06-01/ping"), get("/2018-06-01/runtime/restore/next"),
			}
			answer(at, out)
		case "twice":
			answer(at, "once")
			last = post(at+"/response", `"again"`)
		case "last":
			answer(at, last)
		case "extension":
			res, err := http.Post(base+"/2020-01-01/extension/register", "application/json", strings.NewReader(`{"events":["INVOKE"]}`))
			if err != nil {
				os.Exit(1)
			}
			b, _ := io.ReadAll(res.Body)
			go get("/2020-01-01/extension/event/next")
			answer(at, []string{strconv.Itoa(res.StatusCode), strconv.Itoa(len(res.Header.Get("Lambda-Extension-Identifier"))), string(b)})
		default:
			post(at+"/response", string(body))
		}
	}
}

// ask lets the test's server answer a call.
func ask(at string, body []byte) {
	res, err := http.Post(os.Getenv("EAR"), "application/json", bytes.NewReader(body))
	if err != nil {
		post(at+"/error", `{"errorMessage":"nobody hears","errorType":"Deaf"}`)
		return
	}
	said, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		post(at+"/error", `{"errorMessage":"refused","errorType":"Refused"}`)
		return
	}
	post(at+"/response", string(said))
}

func answer(at string, v any) {
	b, _ := json.Marshal(v)
	post(at+"/response", string(b))
}

func post(path, body string, header ...string) string {
	return post1(path, strings.NewReader(body), header...)
}

func post1(path string, body io.Reader, header ...string) string {
	req, err := http.NewRequest("POST", base+path, body)
	if err != nil {
		os.Exit(1)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	b, _ := io.ReadAll(res.Body)
	return strconv.Itoa(res.StatusCode) + " " + strings.TrimSpace(string(b))
}

func get(path string) string {
	res, err := http.Get(base + path)
	if err != nil {
		return err.Error()
	}
	b, _ := io.ReadAll(res.Body)
	return strconv.Itoa(res.StatusCode) + " " + strings.TrimSpace(string(b))
}
