package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// response is what a function answers with (sections 4.2, 4.3). Values of headers may be numbers and
// truth values: functions are sloppy, and the cloud is not strict.
type response struct {
	Status  json.Number      `json:"statusCode"`
	Headers map[string]any   `json:"headers"`
	Multi   map[string][]any `json:"multiValueHeaders"`
	Cookies []string         `json:"cookies"`
	Body    any              `json:"body"`
	Base64  bool             `json:"isBase64Encoded"`
}

var errMalformed = errors.New("malformed proxy response")

// answer writes what a function returned. An error means that nothing has been written.
func answer(w http.ResponseWriter, r *http.Request, payload []byte, v1 bool) error {
	var probe map[string]json.RawMessage
	structured := json.Unmarshal(payload, &probe) == nil && probe["statusCode"] != nil
	if !structured {
		if v1 {
			return errMalformed
		}
		return plain(w, r, payload)
	}
	var res response
	if err := json.Unmarshal(payload, &res); err != nil {
		return fmt.Errorf("%w: %v", errMalformed, err)
	}
	status, err := strconv.Atoi(res.Status.String())
	if err != nil || status < 100 || status > 599 {
		return fmt.Errorf("%w: statusCode %s", errMalformed, res.Status)
	}
	body, err := bodyOf(&res, v1)
	if err != nil {
		return err
	}
	h := w.Header()
	for name, v := range res.Headers {
		if v != nil {
			h.Del(name)
			add(h, name, text(v))
		}
	}
	for name, vals := range res.Multi {
		h.Del(name)
		for _, v := range vals {
			h.Add(name, text(v))
		}
	}
	for _, c := range res.Cookies {
		h.Add("Set-Cookie", c)
	}
	if h.Get("Content-Type") == "" && len(body) > 0 {
		h.Set("Content-Type", map[bool]string{true: "application/json", false: "text/plain;charset=UTF-8"}[v1])
	}
	write(w, r, status, body)
	return nil
}

// plain answers with any JSON, in format 2.0: a text goes out as it is.
func plain(w http.ResponseWriter, r *http.Request, payload []byte) error {
	if len(payload) == 0 {
		payload = []byte("null")
	}
	if !json.Valid(payload) {
		return errMalformed
	}
	var s string
	if json.Unmarshal(payload, &s) == nil && payload[0] == '"' {
		payload = []byte(s)
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, r, http.StatusOK, payload)
	return nil
}

func bodyOf(res *response, v1 bool) ([]byte, error) {
	var s string
	switch b := res.Body.(type) {
	case nil:
	case string:
		s = b
	default:
		if v1 {
			return nil, fmt.Errorf("%w: body is no text", errMalformed)
		}
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		s = string(raw)
	}
	if !res.Base64 {
		return []byte(s), nil
	}
	body, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: body is not base64", errMalformed)
	}
	return body, nil
}

// add adds a header to the answer, but for those that are ours.
func add(h http.Header, name, v string) {
	switch strings.ToLower(name) {
	case "connection", "transfer-encoding", "content-length", "keep-alive", "upgrade":
		return
	}
	h.Add(name, v)
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	b, _ := json.Marshal(v) // it was JSON
	return string(b)
}

func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	bodiless := status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	if !bodiless {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(max(status, 200))
	if !bodiless && r.Method != http.MethodHead {
		w.Write(body)
	}
}
