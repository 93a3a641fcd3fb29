package console

import (
	"io"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
)

// maxPush is how many bytes a message pushed by an operator may have.
const maxPush = 1 << 20

func (a *api) conns(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit := 1000
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return sluice.Errorf(sluice.Invalid, "limit %q: want a number from 1", s)
		}
		limit = n
	}
	out := []client.Conn{}
	for _, c := range a.Sockets.List(r.Context(), sluice.AppName(q.Get("app")), "", sluice.ConnID{}, limit) {
		out = append(out, show(c))
	}
	return answer(w, out)
}

func show(c sluice.Conn) client.Conn {
	out := client.Conn{ID: c.ID.String(), App: c.App, Endpoint: c.Endpoint, Remote: c.Remote.String(), ConnectedAt: c.ConnectedAt, LastActive: c.LastActive, Attrs: c.Attrs}
	if c.Alias != nil {
		out.Alias = c.Alias.Name
	}
	return out
}

// target is the connection that a request names.
func (a *api) target(r *http.Request) (sluice.ConnID, error) {
	id, err := sluice.ParseConnID(r.PathValue("id"))
	if err != nil {
		return id, &sluice.Error{Code: sluice.Invalid, Msg: "connection id " + strconv.Quote(r.PathValue("id")) + " is malformed", Hint: `"sluice conns ls" lists the live ones`}
	}
	return id, nil
}

func (a *api) conn(w http.ResponseWriter, r *http.Request) error {
	id, err := a.target(r)
	if err != nil {
		return err
	}
	c, o := a.Sockets.Get(r.Context(), id)
	if o != sluice.Queued {
		return outcome(id, o)
	}
	return answer(w, show(c))
}

func (a *api) push(w http.ResponseWriter, r *http.Request) error {
	id, err := a.target(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		return sluice.Errorf(sluice.TooMuch, "read message: %w", err)
	}
	if o := a.Sockets.Push(r.Context(), id, sluice.Frame{Data: body, Binary: r.URL.Query().Get("binary") != ""}); o != sluice.Queued {
		return outcome(id, o)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) close(w http.ResponseWriter, r *http.Request) error {
	id, err := a.target(r)
	if err != nil {
		return err
	}
	spec := sluice.CloseSpec{Code: 1000, Reason: r.URL.Query().Get("reason")}
	if s := r.URL.Query().Get("code"); s != "" {
		if spec.Code, err = strconv.Atoi(s); err != nil || spec.Code < 1000 || spec.Code > 4999 {
			return sluice.Errorf(sluice.Invalid, "close code %q: want 1000 to 4999", s)
		}
	}
	if len(spec.Reason) > 123 {
		return sluice.Errorf(sluice.Invalid, "close reason: at most 123 bytes")
	}
	if o := a.Sockets.Close(r.Context(), id, spec); o != sluice.Queued {
		return outcome(id, o)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func outcome(id sluice.ConnID, o sluice.Outcome) error {
	kind := map[sluice.Outcome]sluice.Kind{sluice.Gone: sluice.Missing, sluice.NotFound: sluice.Missing, sluice.Pending: sluice.Conflict,
		sluice.Overflow: sluice.Throttled, sluice.TooLarge: sluice.TooMuch, sluice.Forbidden: sluice.Denied}[o]
	what := map[sluice.Outcome]string{sluice.Gone: "is gone", sluice.NotFound: "does not exist", sluice.Pending: "is still opening",
		sluice.Overflow: "does not read: what it was sent before fills its queue", sluice.TooLarge: "takes no message as large as this",
		sluice.Forbidden: "may not be reached"}[o]
	return sluice.Errorf(kind, "connection %s %s", id, what)
}
