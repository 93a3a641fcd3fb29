package websocket

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/gateway"
)

// The extensions of sluice to the management API, signed like the rest of it: one push to many
// connections, and groups of connections, which belong to a stage. A connection leaves its groups when
// it closes.
//
//	POST   /{stage}/@connections            {"connectionIds":["…"],"data":"text"} or "dataBase64"
//	PUT    /{stage}/@groups/{group}/{id}    joins; 204
//	DELETE /{stage}/@groups/{group}/{id}    leaves; 204
//	POST   /{stage}/@groups/{group}         the message as it is; X-Sluice-Except: id,id leaves some out
//	GET    /{stage}/@groups/{group}         {"size":n}

// maxIDs is the most connections of one push, maxGroup the longest name of a group.
const (
	maxIDs   = 10_000
	maxGroup = 256
)

func badRequest(text string) *fault {
	return &fault{status: http.StatusBadRequest, kind: "BadRequestException", text: text}
}

// failure is a connection that a batched push did not reach.
type failure struct {
	ConnectionID string `json:"connectionId"`
	Code         string `json:"code"`
}

// toMany is the body of a batched push, of which its names are parts.
type toMany struct {
	names        [][]byte
	data, base64 []byte // nil when it is not there
}

// readToMany reads the body of a batched push.
func readToMany(body []byte) (in toMany, err error) {
	text := func(raw []byte) (text []byte, err error) {
		text, ok := document.Unquote(raw)
		if !ok && string(raw) != "null" {
			err = errors.New("no text")
		}
		return text, err
	}
	return in, document.Members(body, func(key, raw []byte) (err error) {
		switch is := func(name string) bool { return strings.EqualFold(string(key), name) }; {
		case is("connectionIds"):
			in.names = make([][]byte, 0, len(raw)/len(`"0123456789abcde=",`)+1)
			err = document.Items(raw, func(raw []byte) error {
				name, err := text(raw)
				in.names = append(in.names, name)
				return err
			})
		case is("data"):
			in.data, err = text(raw)
		case is("dataBase64"):
			in.base64, err = text(raw)
		}
		return err
	})
}

// batch pushes one message to many connections.
func (m *management) batch() *fault {
	in, err := readToMany(m.body)
	if err != nil {
		return badRequest("The body is not JSON with connectionIds and data or dataBase64")
	}
	f := sluice.Frame{}
	switch {
	case len(in.names) == 0:
		return badRequest("connectionIds is empty")
	case len(in.names) > maxIDs:
		return badRequest("connectionIds has more than 10000 ids")
	case in.data != nil && in.base64 == nil:
		f.Data = in.data
	case in.data == nil && in.base64 != nil:
		raw, err := base64.StdEncoding.DecodeString(string(in.base64))
		if err != nil {
			return badRequest("dataBase64 is not base64")
		}
		f.Data = raw
	default:
		return badRequest("The body needs either data or dataBase64")
	}
	if len(f.Data) > m.apis.o.MaxMessage {
		return outcome(sluice.TooLarge)
	}
	out := struct {
		Sent   int       `json:"sent"`
		Gone   []string  `json:"gone"`
		Failed []failure `json:"failed"`
	}{Gone: []string{}, Failed: []failure{}}
	ids, names := m.owned(in.names, func(name string, f *fault) {
		if f.status == http.StatusGone {
			out.Gone = append(out.Gone, name)
		} else {
			out.Failed = append(out.Failed, failure{name, f.kind})
		}
	})
	for i, o := range m.apis.o.Sockets.PushMany(m.r.Context(), ids, f) {
		switch f := outcome(o); {
		case f == nil:
			out.Sent++
		case f.status == http.StatusGone:
			out.Gone = append(out.Gone, string(names[i]))
		default:
			out.Failed = append(out.Failed, failure{string(names[i]), f.kind})
		}
	}
	m.answer(http.StatusOK, encode(out))
	return nil
}

// owned finds those of many connections that belong to the stage, each once; lost is told of others.
func (m *management) owned(list [][]byte, lost func(name string, f *fault)) (ids []sluice.ConnID, names [][]byte) {
	ids, names = make([]sluice.ConnID, 0, len(list)), make([][]byte, 0, len(list))
	seen := make(map[sluice.ConnID]bool, len(list))
	for _, name := range list {
		id, err := sluice.ParseConnID(string(name))
		if err != nil {
			lost(string(name), badRequest("no id"))
			continue
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		if f := m.reach(id); f != nil {
			lost(string(name), f)
			continue
		}
		ids, names = append(ids, id), append(names, name)
	}
	return ids, names
}

// crowd is a group of the stage. Stages do not see each other's.
func (m *management) crowd(name string) gateway.Group {
	return gateway.Group{App: m.stage.api.app.name, Name: m.stage.endpoint.Name + "/" + name}
}

// group pushes to a group, or counts it.
func (m *management) group(name string) *fault {
	if name == "" || len(name) > maxGroup {
		return badRequest("The name of a group has 1 to 256 bytes")
	}
	switch m.r.Method {
	case http.MethodPost:
		var except []sluice.ConnID
		for _, list := range m.r.Header.Values("X-Sluice-Except") {
			for text := range strings.SplitSeq(list, ",") {
				id, err := sluice.ParseConnID(strings.TrimSpace(text))
				if err != nil {
					return badRequest("X-Sluice-Except has an id that is none")
				}
				except = append(except, id)
			}
		}
		sent := m.apis.o.Sockets.PushGroup(m.r.Context(), m.crowd(name), sluice.Frame{Data: m.body}, except...)
		m.answer(http.StatusOK, encode(map[string]int{"sent": sent}))
	case http.MethodGet:
		m.answer(http.StatusOK, encode(map[string]int{"size": m.apis.o.Sockets.GroupSize(m.r.Context(), m.crowd(name))}))
	default:
		return noSuchCall()
	}
	return nil
}

// member takes a connection into a group, or out of it.
func (m *management) member(name, text string) *fault {
	if name == "" || len(name) > maxGroup {
		return badRequest("The name of a group has 1 to 256 bytes")
	}
	do := m.apis.o.Sockets.Join
	switch m.r.Method {
	case http.MethodPut:
	case http.MethodDelete:
		do = m.apis.o.Sockets.Leave
	default:
		return noSuchCall()
	}
	id, f := m.find(text)
	if f == nil {
		f = outcome(do(m.r.Context(), id, m.crowd(name)))
	}
	if f == nil {
		m.answer(http.StatusNoContent, nil)
	}
	return f
}
