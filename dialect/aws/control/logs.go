package control

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// Logs is what functions have written lately.
type Logs interface {
	// Groups are the groups of the logs of an app's functions, by name; "" is every app.
	Groups(app sluice.AppName) []LogGroup
	// Lines are the kept lines of a group, oldest first.
	Lines(g LogGroup) []sluice.LogLine
}

// LogGroup is the log of one function.
type LogGroup struct {
	Name     string // "/aws/lambda/chat-Talk"
	ARN      string
	App      sluice.AppName
	Function sluice.FunctionName
	Stream   func(time.Time) string // the name of the stream of a moment
}

const (
	maxLogEvents = 10000 // of one answer
	logsTarget   = "Logs_20140328."
)

// logsQuery is a request for logs; each operation takes what it knows of it.
type logsQuery struct {
	Group       string   `json:"logGroupName"`
	Identifier  string   `json:"logGroupIdentifier"`
	GroupPrefix string   `json:"logGroupNamePrefix"`
	GroupPart   string   `json:"logGroupNamePattern"`
	Stream      string   `json:"logStreamName"`
	Streams     []string `json:"logStreamNames"`
	Prefix      string   `json:"logStreamNamePrefix"`
	Pattern     string   `json:"filterPattern"`
	Start       int64    `json:"startTime"` // inclusive, in ms
	End         int64    `json:"endTime"`   // FilterLogEvents' is inclusive, GetLogEvents' is not; 0 is none
	Head        bool     `json:"startFromHead"`
	Descending  bool     `json:"descending"`
	Limit       int      `json:"limit"`
	Token       string   `json:"nextToken"`
}

// logEvent is one line as CloudWatch tells it.
type logEvent struct {
	Stream    string `json:"logStreamName,omitempty"`
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
	Ingestion int64  `json:"ingestionTime"`
	ID        string `json:"eventId,omitempty"`
	position
}

// position is a line among those kept: its time in ms, and how many before it have the same. It holds when
// older lines are dropped.
type position struct {
	ms int64
	n  int
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.ms, q.ms), cmp.Compare(p.n, q.n))
}
func (p position) String() string { return fmt.Sprintf("%013d/%d", p.ms, p.n) }

func parsePosition(s string) (position, error) {
	ms, n, _ := strings.Cut(s, "/")
	var p position
	var bad [2]error
	p.ms, bad[0] = strconv.ParseInt(ms, 10, 64)
	p.n, bad[1] = strconv.Atoi(n)
	if bad[0] != nil || bad[1] != nil {
		return p, logsFault("InvalidParameterException", "The specified nextToken is invalid.")
	}
	return p, nil
}

func logsFault(kind, format string, args ...any) *fault {
	return &fault{status: http.StatusBadRequest, kind: kind, msg: fmt.Sprintf(format, args...)}
}

// serveLogs reads the logs of functions: what the tools that show logs ask of CloudWatch Logs.
func (c *Control) serveLogs(w http.ResponseWriter, r *http.Request, _ string) error {
	who, body, err := admit(c.logs, w, r)
	if err != nil {
		return err
	}
	op, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), logsTarget)
	var q logsQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return logsFault("SerializationException", "the request is no JSON that %s understands: %v", op, err)
	}
	if c.o.Logs == nil {
		return &fault{status: http.StatusServiceUnavailable, kind: "ServiceUnavailableException", msg: "this server keeps no logs"}
	}
	if q.Limit < 0 || q.Limit > maxLogEvents {
		return logsFault("InvalidParameterException", "limit must be between 1 and %d", maxLogEvents)
	}
	var out any
	switch op {
	case "DescribeLogGroups":
		out = c.logGroups(who.Principal, &q)
	case "DescribeLogStreams":
		out, err = c.logStreams(who.Principal, &q)
	case "FilterLogEvents":
		out, err = c.filterEvents(who.Principal, &q)
	case "GetLogEvents":
		out, err = c.getEvents(who.Principal, &q)
	default:
		err = logsFault("UnknownOperationException", "sluice does not serve %s of CloudWatch Logs", op)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, out)
}

func (c *Control) logGroups(who access.Principal, q *logsQuery) any {
	list := []map[string]any{}
	for _, g := range c.o.Logs.Groups(who.App) {
		if strings.HasPrefix(g.Name, q.GroupPrefix) && strings.Contains(strings.ToLower(g.Name), strings.ToLower(q.GroupPart)) {
			list = append(list, map[string]any{"logGroupName": g.Name, "arn": g.ARN + ":*", "logGroupArn": g.ARN, "creationTime": 0, "metricFilterCount": 0, "storedBytes": 0, "logGroupClass": "STANDARD"})
		}
	}
	return map[string]any{"logGroups": list}
}

// events are the lines of the group that a query names.
func (c *Control) events(who access.Principal, q *logsQuery) (LogGroup, []logEvent, error) {
	name := cmp.Or(q.Group, q.Identifier)
	if i := strings.Index(name, ":log-group:"); i >= 0 {
		name = strings.TrimSuffix(name[i+len(":log-group:"):], ":*")
	}
	groups := c.o.Logs.Groups(who.App)
	i := slices.IndexFunc(groups, func(g LogGroup) bool { return g.Name == name })
	if i < 0 {
		return LogGroup{}, nil, logsFault("ResourceNotFoundException", "The specified log group does not exist.")
	}
	g := groups[i]
	lines := c.o.Logs.Lines(g)
	slices.SortStableFunc(lines, func(a, b sluice.LogLine) int { return cmp.Compare(a.Time.UnixMilli(), b.Time.UnixMilli()) })
	list := make([]logEvent, len(lines))
	at := position{ms: -1}
	for i, l := range lines {
		if ms := l.Time.UnixMilli(); ms != at.ms {
			at = position{ms: ms}
		} else {
			at.n++
		}
		list[i] = logEvent{g.Stream(l.Time), at.ms, cmp.Or(l.Line, l.Text) + "\n", at.ms, fmt.Sprintf("%013d%043d", at.ms, at.n), at}
	}
	return g, list, nil
}

func (c *Control) logStreams(who access.Principal, q *logsQuery) (any, error) {
	g, events, err := c.events(who, q)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, e := range events { // in the order of time, and so are the names of streams
		if !strings.HasPrefix(e.Stream, q.Prefix) {
			continue
		}
		if n := len(list); n == 0 || list[n-1]["logStreamName"] != e.Stream {
			list = append(list, map[string]any{"logStreamName": e.Stream, "creationTime": e.ms, "firstEventTimestamp": e.ms, "storedBytes": 0, "arn": g.ARN + ":log-stream:" + e.Stream})
		}
		last := list[len(list)-1]
		last["lastEventTimestamp"], last["lastIngestionTime"] = e.ms, e.ms
	}
	if q.Descending {
		slices.Reverse(list)
	}
	return map[string]any{"logStreams": list[:min(len(list), cmp.Or(q.Limit, 50))]}, nil
}

func (c *Control) filterEvents(who access.Principal, q *logsQuery) (any, error) {
	takes, err := parsePattern(q.Pattern)
	if err != nil {
		return nil, err
	}
	after := position{ms: -1}
	if q.Token != "" {
		if after, err = parsePosition(q.Token); err != nil {
			return nil, err
		}
	}
	_, events, err := c.events(who, q)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e logEvent) bool {
		return e.ms < q.Start || q.End > 0 && e.ms > q.End || e.compare(after) <= 0 || !strings.HasPrefix(e.Stream, q.Prefix) ||
			len(q.Streams) > 0 && !slices.Contains(q.Streams, e.Stream) || !takes(e.Message)
	})
	out := map[string]any{"searchedLogStreams": []any{}}
	if limit := cmp.Or(q.Limit, maxLogEvents); len(events) > limit {
		events = events[:limit]
		out["nextToken"] = events[limit-1].String()
	}
	out["events"] = events
	return out, nil
}

// getEvents reads one stream, from its end unless told otherwise. Its tokens stand before ("b") and behind
// ("f") what it has told.
func (c *Control) getEvents(who access.Principal, q *logsQuery) (any, error) {
	way, rest, _ := strings.Cut(q.Token, "/")
	var at position
	if q.Token != "" {
		var err error
		if at, err = parsePosition(rest); err != nil || way != "f" && way != "b" {
			return nil, logsFault("InvalidParameterException", "The specified nextToken is invalid.")
		}
	}
	_, all, err := c.events(who, q)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(e logEvent) bool { return e.Stream == q.Stream }) {
		return nil, logsFault("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	events := []logEvent{}
	for _, e := range all {
		if e.Stream != q.Stream || e.ms < q.Start || q.End > 0 && e.ms >= q.End || way == "f" && e.compare(at) <= 0 || way == "b" && e.compare(at) >= 0 {
			continue
		}
		e.Stream, e.ID = "", ""
		events = append(events, e)
	}
	if extra := len(events) - cmp.Or(q.Limit, maxLogEvents); extra > 0 {
		if way == "f" || way == "" && q.Head {
			events = events[:len(events)-extra]
		} else {
			events = events[extra:]
		}
	}
	first, last := at, at
	if n := len(events); n > 0 {
		first, last = events[0].position, events[n-1].position
	}
	return map[string]any{"events": events, "nextForwardToken": "f/" + last.String(), "nextBackwardToken": "b/" + first.String()}, nil
}

// parsePattern reads a filter pattern of terms: all of them, one of those with "?", none of those with "-".
func parsePattern(s string) (func(string) bool, error) {
	var all, some, none []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ") {
		to := &all
		switch s[0] {
		case '?':
			to, s = &some, s[1:]
		case '-':
			to, s = &none, s[1:]
		case '{', '[', '%':
			return nil, logsFault("InvalidParameterException", "sluice takes filter patterns of words only, not %s", s)
		}
		var term string
		if quoted, ok := strings.CutPrefix(s, `"`); ok {
			if term, s, ok = strings.Cut(quoted, `"`); !ok {
				return nil, logsFault("InvalidParameterException", "Invalid filter pattern: a quotation does not end")
			}
		} else {
			term, s, _ = strings.Cut(s, " ")
		}
		*to = append(*to, term)
	}
	return func(text string) bool {
		in := func(term string) bool { return strings.Contains(text, term) }
		return !slices.ContainsFunc(all, func(term string) bool { return !in(term) }) && !slices.ContainsFunc(none, in) && (len(some) == 0 || slices.ContainsFunc(some, in))
	}, nil
}
