package apigateway

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sluicehq/sluice"
)

// PushPath is where functions post what clients get, with an API's id behind it (section 1.7).
const PushPath = "/_tencent/push/"

const (
	maxPushBody = 8 << 20 // bytes: a message of 1 MiB, however it is escaped
	maxPushIDs  = 10_000  // in one push
)

// The errNo of pushes; upstream's are not documented, these are ours (section 1.7).
const (
	pushJSON        = 10001
	pushArgument    = 10002
	pushMethod      = 10003
	pushNotFound    = 10004
	pushOverflow    = 10005
	pushTooLarge    = 10006
	pushUnavailable = 10007 // another node holds the connection, and cannot be asked
	pushDenied      = 10008 // the caller is not on this machine
)

// pushed finds the API in the address of a push: PushPath{api}, or /{api} of the host that the cloud gives
// to pushes, set-*.cb-*.apigateway.tencentyun.com.
func pushed(r *http.Request) (api string, ok bool) {
	if api, ok := strings.CutPrefix(r.URL.Path, PushPath); ok {
		return strings.Trim(api, "/"), true
	}
	set, rest, _ := strings.Cut(bareHost(r.Host), ".")
	cb, domain, _ := strings.Cut(rest, ".")
	if domain == "apigateway.tencentyun.com" && strings.HasPrefix(set, "set-") && strings.HasPrefix(cb, "cb-") {
		return strings.Trim(r.URL.Path, "/"), true
	}
	return "", false
}

// push serves one push. Upstream takes them from its internal network without a signature. Here they come
// from this machine, where functions run, and the ids in them are proof enough: nobody can make one up.
// An API that is not known may be named, as stale addresses are; one of another app leads nowhere.
func (a *APIs) push(w http.ResponseWriter, r *http.Request, api string) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		pushFault(w, http.StatusForbidden, pushDenied, "pushes are taken from functions on this machine only")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		pushFault(w, http.StatusMethodNotAllowed, pushMethod, "method not allowed")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPushBody))
	if err != nil {
		pushFault(w, http.StatusOK, pushTooLarge, "message too large")
		return
	}
	p, f := readPush(body)
	if f != nil {
		pushFault(w, http.StatusBadRequest, f.No, f.Msg)
		return
	}
	owner := a.ownerOf(api)
	if p.many {
		answerJSON(w, http.StatusOK, a.pushMany(r, owner, p))
		return
	}
	id, ok := a.resolve(r, owner, p.ids[0])
	out := sluice.NotFound
	switch {
	case !ok:
	case p.closes:
		out = a.o.Sockets.Close(r.Context(), id, sluice.CloseSpec{Code: 1000})
	default:
		out = a.o.Sockets.Push(r.Context(), id, p.frame)
	}
	status, no, text := outcome(out)
	pushFault(w, status, no, text)
}

// resolve finds the connection that an id names, unless it is another app's than owner, which may be "".
func (a *APIs) resolve(r *http.Request, owner sluice.AppName, s string) (sluice.ConnID, bool) {
	id, ok := a.o.IDs.Parse(s)
	if ok && owner != "" {
		app, _, out := a.o.Sockets.Owner(r.Context(), id)
		ok = out != sluice.Queued || app == owner
	}
	return id, ok
}

// sent is the answer to a push to many.
type sent struct {
	errno
	Sent   int        `json:"sent"`
	Gone   []string   `json:"gone"`
	Failed []sentFail `json:"failed"`
}

type sentFail struct {
	ID string `json:"secConnectionID"`
	errno
}

// pushMany serves a push whose secConnectionID is an array: our extension.
func (a *APIs) pushMany(r *http.Request, owner sluice.AppName, p *push) *sent {
	res := &sent{errno: errno{0, "ok"}, Gone: []string{}, Failed: []sentFail{}}
	var ids []sluice.ConnID
	var names []string
	for _, s := range p.ids {
		if id, ok := a.resolve(r, owner, s); ok {
			ids, names = append(ids, id), append(names, s)
		} else {
			res.Gone = append(res.Gone, s)
		}
	}
	var outs []sluice.Outcome
	if !p.closes {
		outs = a.o.Sockets.PushMany(r.Context(), ids, p.frame)
	} else {
		for _, id := range ids {
			outs = append(outs, a.o.Sockets.Close(r.Context(), id, sluice.CloseSpec{Code: 1000}))
		}
	}
	for i, out := range outs {
		switch _, no, text := outcome(out); no {
		case 0:
			res.Sent++
		case pushNotFound:
			res.Gone = append(res.Gone, names[i])
		default:
			res.Failed = append(res.Failed, sentFail{names[i], errno{no, text}})
		}
	}
	return res
}

// push is what a push asks for.
type push struct {
	ids    []string
	many   bool // ids came as an array
	closes bool
	frame  sluice.Frame
}

type pushError struct {
	No  int
	Msg string
}

// readPush reads the body of a push.
func readPush(body []byte) (*push, *pushError) {
	var in struct {
		WebSocket json.RawMessage `json:"websocket"`
	}
	if !json.Valid(body) {
		return nil, &pushError{pushJSON, "invalid json"}
	}
	var ws struct {
		Action json.RawMessage `json:"action"`
		ID     json.RawMessage `json:"secConnectionID"`
		Type   json.RawMessage `json:"dataType"`
		Data   json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &in) != nil || json.Unmarshal(in.WebSocket, &ws) != nil {
		return nil, &pushError{pushArgument, "websocket is not an object"}
	}
	p := &push{}
	var action string
	json.Unmarshal(ws.Action, &action)
	switch action {
	case actionSend, actionRecv: // the latter when a function sends back what it got
	case actionClosing:
		p.closes = true
	case "":
		return nil, &pushError{pushArgument, "action is missing"}
	default:
		return nil, &pushError{pushArgument, "unknown action " + action}
	}
	if json.Unmarshal(ws.ID, &p.ids) == nil && p.ids != nil {
		if p.many = true; len(p.ids) > maxPushIDs {
			return nil, &pushError{pushArgument, "more than 10000 secConnectionID"}
		}
	} else {
		var id string
		if json.Unmarshal(ws.ID, &id) != nil || id == "" {
			return nil, &pushError{pushArgument, "secConnectionID is missing"}
		}
		p.ids = []string{id}
	}
	if p.closes {
		return p, nil
	}
	kind := "text"
	if len(ws.Type) > 0 && (json.Unmarshal(ws.Type, &kind) != nil || kind != "" && kind != "text" && kind != "binary") {
		return nil, &pushError{pushArgument, "dataType is neither text nor binary"}
	}
	var text string
	if len(ws.Data) > 0 && (ws.Data[0] != '"' || json.Unmarshal(ws.Data, &text) != nil) {
		text = string(compact(ws.Data))
	}
	p.frame = sluice.Frame{Data: []byte(text)}
	if kind == "binary" {
		var err error
		if p.frame.Data, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, &pushError{pushArgument, "data is not base64"}
		}
		p.frame.Binary = true
	}
	return p, nil
}

// compact is JSON without its blanks.
func compact(v json.RawMessage) []byte {
	var any any
	d := json.NewDecoder(strings.NewReader(string(v)))
	d.UseNumber()
	if d.Decode(&any) != nil {
		return v
	}
	return plain(any)
}

// outcome is how a push is answered.
func outcome(o sluice.Outcome) (status, no int, text string) {
	switch o {
	case sluice.Queued:
		return http.StatusOK, 0, "ok"
	case sluice.Gone, sluice.NotFound, sluice.Pending, sluice.Forbidden:
		return http.StatusOK, pushNotFound, "connection not found"
	case sluice.Overflow:
		return http.StatusOK, pushOverflow, "connection write queue full"
	case sluice.TooLarge:
		return http.StatusOK, pushTooLarge, "message too large"
	}
	return http.StatusServiceUnavailable, pushUnavailable, "connection cannot be reached now"
}

func pushFault(w http.ResponseWriter, status, no int, text string) {
	answerJSON(w, status, errno{no, text})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(plain(v))
}
