package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
)

// api answers the routes. All but those that use and query a code need a session.
type api struct {
	book *codes.Book
}

// answer is what a route returns: JSON, or an error.
type answer func(r *http.Request) (any, error)

const (
	cookie = "codes"         // holds the session of the admin page
	guard  = "X-Codes"       // a header that only our page sends: other sites' forms and links cannot
	admin  = "admin"         // who administrators are, in the audit trail
	slice  = 8 * time.Second // of work on a job in one request
)

func routes(b *codes.Book) http.Handler {
	a := api{b}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "codes") })
	for pattern, f := range map[string]answer{
		"POST /use":   a.use,
		"POST /query": a.query,
	} {
		mux.Handle(pattern, serve(f))
	}
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	for pattern, f := range map[string]answer{
		"GET /session":                         a.session,
		"GET /campaigns":                       a.campaigns,
		"POST /campaigns":                      a.makeCampaign,
		"GET /campaigns/{id}":                  a.campaign,
		"PATCH /campaigns/{id}":                a.changeCampaign,
		"GET /campaigns/{id}/statistics":       a.statistics,
		"GET /campaigns/{id}/codes":            a.list,
		"POST /campaigns/{id}/generate":        a.generate,
		"POST /campaigns/{id}/import":          a.importCSV,
		"POST /campaigns/{id}/revoke":          a.revokeAll,
		"GET /campaigns/{id}/jobs":             a.jobs,
		"GET /campaigns/{id}/jobs/{job}":       a.job,
		"POST /campaigns/{id}/jobs/{job}/work": a.work,
		"GET /codes/{code}":                    a.code,
		"POST /codes/{code}/revoke":            a.revoke,
		"DELETE /codes/{code}":                 a.erase,
		"GET /audit":                           a.audit,
	} {
		mux.Handle(pattern, a.guarded(serve(f)))
	}
	mux.Handle("GET /campaigns/{id}/export", a.guarded(http.HandlerFunc(a.export)))
	return mux
}

func serve(f answer) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(rw, r.Body, 32<<20)
		v, err := f(r)
		if err != nil {
			codes.WriteError(rw, err)
			return
		}
		codes.WriteJSON(rw, http.StatusOK, v)
	})
}

// guarded lets requests with a session pass: as a bearer token, or as our page's cookie, then together
// with the header that other sites cannot send where something is changed.
func (a api) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			if c, err := r.Cookie(cookie); err == nil {
				token = c.Value
			}
			if r.Method != http.MethodGet && r.Header.Get(guard) == "" {
				codes.WriteError(rw, &codes.Error{Kind: codes.Unauthorized, Text: "a change with a cookie needs the header " + guard})
				return
			}
		}
		if err := a.book.CheckSession(r.Context(), token); err != nil {
			codes.WriteError(rw, err)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func invalid(format string, args ...any) error {
	return &codes.Error{Kind: codes.Invalid, Text: fmt.Sprintf(format, args...)}
}

// read decodes a request's JSON.
func read(r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if refusal, ok := errors.AsType[*codes.Error](err); ok {
			return refusal
		}
		return invalid("the body is not the JSON that this call takes: %v", err)
	}
	return nil
}

// key is a request's idempotency key.
func key(r *http.Request) (string, error) {
	k := r.Header.Get("Idempotency-Key")
	if len(k) > 128 {
		return "", invalid("an Idempotency-Key has up to 128 bytes")
	}
	return k, nil
}

// client is the address of a request, as the gateway tells it.
func client(r *http.Request) string {
	if f := r.Header.Get("X-Forwarded-For"); f != "" {
		last := f[strings.LastIndexByte(f, ',')+1:] // what the gateway itself has added
		return strings.TrimSpace(last)
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

func (a api) use(r *http.Request) (any, error) {
	var u codes.Use
	if err := read(r, &u); err != nil {
		return nil, err
	}
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	if k != "" {
		u.Key = k
	}
	u.Client = client(r)
	return a.book.Use(r.Context(), u)
}

// query tells anyone who has a code what it is.
func (a api) query(r *http.Request) (any, error) {
	var q struct {
		Code string `json:"code"`
	}
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return a.book.Query(r.Context(), q.Code, client(r))
}

func (a api) login(rw http.ResponseWriter, r *http.Request) {
	var l struct {
		Password string `json:"password"`
	}
	err := read(r, &l)
	var token string
	var expires time.Time
	if err == nil {
		token, expires, err = a.book.Login(r.Context(), l.Password)
		who := client(r)
		if e, ok := errors.AsType[*codes.Error](err); ok && e.Kind == codes.Unauthorized {
			if err := a.book.Note(r.Context(), who, "login refused", "", ""); err != nil {
				codes.WriteError(rw, err)
				return
			}
		}
		if err == nil {
			err = a.book.Note(r.Context(), admin, "login", "", "from "+who)
		}
	}
	if err != nil {
		codes.WriteError(rw, err)
		return
	}
	http.SetCookie(rw, &http.Cookie{
		Name: cookie, Value: token, Path: "/", Expires: expires, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.Header.Get("X-Forwarded-Proto") == "https",
	})
	codes.WriteJSON(rw, http.StatusOK, map[string]any{"token": token, "expires": expires.UnixMilli()})
}

func (a api) logout(rw http.ResponseWriter, r *http.Request) {
	http.SetCookie(rw, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	codes.WriteJSON(rw, http.StatusOK, struct{}{})
}

// session is for a page that wants to know whether its cookie still works.
func (a api) session(r *http.Request) (any, error) { return struct{}{}, nil }

func (a api) campaigns(r *http.Request) (any, error) {
	list, err := a.book.Campaigns(r.Context())
	return map[string]any{"campaigns": list}, err
}

func (a api) makeCampaign(r *http.Request) (any, error) {
	var n codes.NewCampaign
	if err := read(r, &n); err != nil {
		return nil, err
	}
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	return a.book.MakeCampaign(r.Context(), n, k, admin)
}

func (a api) campaign(r *http.Request) (any, error) {
	return a.book.Campaign(r.Context(), r.PathValue("id"))
}

func (a api) changeCampaign(r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 64<<10))
	if err != nil {
		return nil, invalid("the body is too large")
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var ch codes.CampaignChange
	if err := read(r, &ch); err != nil {
		return nil, err
	}
	c, err := a.book.ChangeCampaign(r.Context(), r.PathValue("id"), ch)
	if err != nil {
		return nil, err
	}
	return c, a.book.Note(r.Context(), admin, "change campaign", c.ID, string(body))
}

func (a api) statistics(r *http.Request) (any, error) {
	c, err := a.book.Campaign(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Get("exact") != "" {
		return a.book.Recount(r.Context(), c.ID)
	}
	return a.book.Statistics(r.Context(), c.ID)
}

// filter reads the query of a list or an export.
func (a api) filter(r *http.Request) (q codes.Filter, limit int, err error) {
	c, err := a.book.Campaign(r.Context(), r.PathValue("id"))
	if err != nil {
		return q, 0, err
	}
	if s := r.URL.Query().Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			return q, 0, invalid("limit is a number of codes")
		}
	}
	return codes.Filter{
		Campaign: c.ID, After: r.URL.Query().Get("after"), State: codes.State(strings.ToUpper(r.URL.Query().Get("state"))), Batch: r.URL.Query().Get("batch"),
	}, limit, nil
}

func (a api) list(r *http.Request) (any, error) {
	q, limit, err := a.filter(r)
	if err != nil {
		return nil, err
	}
	if limit == 0 || limit > 1000 {
		limit = 100
	}
	list, more := []codes.Code{}, false
	err = a.book.Walk(r.Context(), q, func(c codes.Code) (bool, error) {
		if more = len(list) == limit; !more {
			list = append(list, c)
		}
		return !more, nil
	})
	return map[string]any{"codes": list, "more": more}, err
}

// maxExport is how many codes one answer holds: functions answer with 32 MB at most.
const maxExport = 100_000

// export answers with CSV. With a limit it is one part, and the header X-Next tells what the next one's
// after is. Without one it is everything, and refused where that does not fit: nobody is to take a part
// for the whole.
func (a api) export(rw http.ResponseWriter, r *http.Request) {
	q, limit, err := a.filter(r)
	whole := limit == 0
	if limit > maxExport {
		err = invalid("limit is at most %d codes", maxExport)
	}
	var file strings.Builder
	next := ""
	if err == nil {
		next, err = a.book.Export(r.Context(), &file, q, cmp.Or(limit, maxExport))
	}
	if err == nil && whole && next != "" {
		err = invalid("there are more than %d codes: ask for parts with limit=%d, then with after= what the header X-Next tells", maxExport, maxExport)
	}
	if err == nil && q.After == "" {
		err = a.book.Note(r.Context(), admin, "export", q.Campaign, string(q.State))
	}
	if err != nil {
		codes.WriteError(rw, err)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="codes-%s.csv"`, q.Campaign))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Next", next)
	io.WriteString(rw, file.String())
}

// begun answers with a job after some work on it: a small one is done then.
func (a api) begun(r *http.Request, j codes.Job, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	budget := slice
	if s := r.URL.Query().Get("wait"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 50 {
			return nil, invalid("wait is 0 to 50 seconds")
		}
		budget = time.Duration(n) * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), budget)
	defer cancel()
	return a.book.Work(ctx, j.Campaign, j.ID)
}

func (a api) generate(r *http.Request) (any, error) {
	var o struct {
		Num   int64      `json:"num"`
		Start codes.Time `json:"start"`
		End   codes.Time `json:"end"`
	}
	if err := read(r, &o); err != nil {
		return nil, err
	}
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	j, err := a.book.Order(r.Context(), codes.Order{Campaign: r.PathValue("id"), Num: o.Num, Start: o.Start, End: o.End, Key: k, By: admin})
	return a.begun(r, j, err)
}

func (a api) revokeAll(r *http.Request) (any, error) {
	var o struct {
		Batch string `json:"batch"`
	}
	if err := read(r, &o); err != nil {
		return nil, err
	}
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	j, err := a.book.RevokeAll(r.Context(), r.PathValue("id"), o.Batch, k, admin)
	return a.begun(r, j, err)
}

// importCSV takes a file, or a part of one: its first line's number and the names of its columns are in
// the query then, and the idempotency key is that of the whole.
func (a api) importCSV(r *http.Request) (any, error) {
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	line, header := 1, []string(nil)
	if s := r.URL.Query().Get("line"); s != "" {
		if line, err = strconv.Atoi(s); err != nil || line < 1 {
			return nil, invalid("line is the number of the part's first line")
		}
	}
	if s := r.URL.Query().Get("columns"); s != "" {
		header = strings.Split(s, ",")
	}
	return a.book.Import(r.Context(), r.PathValue("id"), k, admin, bufio.NewReader(r.Body), header, line)
}

func (a api) jobs(r *http.Request) (any, error) {
	list, err := a.book.Jobs(r.Context(), r.PathValue("id"))
	slices.SortFunc(list, func(a, b codes.Job) int { return int(b.Created - a.Created) })
	return map[string]any{"jobs": list}, err
}

func (a api) job(r *http.Request) (any, error) {
	return a.book.Job(r.Context(), r.PathValue("id"), r.PathValue("job"))
}

func (a api) work(r *http.Request) (any, error) {
	j, err := a.book.Job(r.Context(), r.PathValue("id"), r.PathValue("job"))
	return a.begun(r, j, err)
}

func (a api) code(r *http.Request) (any, error) {
	return a.book.Code(r.Context(), r.PathValue("code"))
}

func (a api) revoke(r *http.Request) (any, error) {
	c, err := a.book.Revoke(r.Context(), r.PathValue("code"))
	if err != nil {
		return nil, err
	}
	return c, a.book.Note(r.Context(), admin, "revoke", c.Code, "campaign "+c.Campaign)
}

func (a api) erase(r *http.Request) (any, error) {
	if err := a.book.Erase(r.Context(), r.PathValue("code")); err != nil {
		return nil, err
	}
	return struct{}{}, a.book.Note(r.Context(), admin, "delete", r.PathValue("code"), "")
}

func (a api) audit(r *http.Request) (any, error) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	deeds, err := a.book.Trail(r.Context(), before, 100)
	return map[string]any{"audit": deeds}, err
}
