package lambda

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// line is one line that Lambda writes into a function's log; "" is none.
type line struct {
	level, text string
}

// logFormat is how the log of a function is written (LoggingConfig).
type logFormat struct {
	JSON    bool
	Level   string // the least of the function's own lines; "" is INFO
	Failing bool   // of Lambda's own lines only those of calls that fail
}

// logFormat reads a function's LoggingConfig.
func (e *Extra) logFormat() logFormat {
	var s struct{ LogFormat, ApplicationLogLevel, SystemLogLevel string }
	json.Unmarshal(e.Settings["LoggingConfig"], &s) // what cannot be read is the default
	if s.LogFormat != "JSON" {
		return logFormat{}
	}
	return logFormat{true, s.ApplicationLogLevel, s.SystemLogLevel == "WARN"}
}

// write writes lines of a call into its function's log.
func (l *Lambda) write(f *Function, id string, lines ...line) {
	if l.logs == nil {
		return
	}
	for _, one := range lines {
		if one.text != "" {
			l.logs.Log(sluice.LogLine{Time: time.Now(), App: f.App, Function: f.Spec.Name, Request: id, Level: one.level, Text: one.text})
		}
	}
}

// start is the line that begins a call (section 3.6).
func (f *Function) start(id string) line {
	switch {
	case f.logs.Failing:
		return line{}
	case f.logs.JSON:
		return f.platform("platform.start", map[string]any{"requestId": id, "version": Latest})
	}
	return line{sluice.LevelPlatform, "START RequestId: " + id + " Version: " + Latest}
}

// platform is a line of Lambda's in JSON.
func (f *Function) platform(kind string, record map[string]any) line {
	b, _ := json.Marshal(struct {
		Time   string         `json:"time"`
		Type   string         `json:"type"`
		Record map[string]any `json:"record"`
	}{time.Now().UTC().Format(stamp), kind, record}) // texts and numbers always marshal
	return line{sluice.LevelPlatform, string(b)}
}

// stamp is how Lambda writes times in logs.
const stamp = "2006-01-02T15:04:05.000Z"

// unserved is the line that ends a call which did not reach its function.
func (f *Function) unserved(id string, err error) line {
	if f.logs.JSON {
		return f.platform("platform.report", map[string]any{"requestId": id, "status": "error", "errorType": err.Error()})
	}
	return line{sluice.LevelPlatform, "END RequestId: " + id + " (" + err.Error() + ")"}
}

// end are the lines that end a call: what its failure was, and how long it took.
func (f *Function) end(id string, res *sluice.Result) []line {
	ms := float64(res.Took.Microseconds()) / 1000
	status, kind := "", ""
	lines := f.complaint(id, res.Failure)
	if fail := res.Failure; fail != nil {
		switch fail.Kind {
		case sluice.TimedOut:
			status = "timeout"
		case sluice.Handled, sluice.TooBig:
		default:
			if status, kind = "error", cmp.Or(fail.Type, exitError); kind == "OutOfMemory" {
				kind = "Runtime.OutOfMemory"
			}
		}
	}
	if f.logs.JSON {
		if f.logs.Failing && status == "" {
			return lines
		}
		metrics := map[string]any{"durationMs": ms, "billedDurationMs": int(ms) + 1, "memorySizeMB": f.Spec.MemoryMB, "maxMemoryUsedMB": res.MemoryMB}
		if res.Cold {
			metrics["initDurationMs"] = float64(res.Init.Microseconds()) / 1000
		}
		record := map[string]any{"requestId": id, "metrics": metrics, "status": cmp.Or(status, "success")}
		if kind != "" {
			record["errorType"] = kind
		}
		return append(lines, f.platform("platform.report", record))
	}
	var room [256]byte
	report := append(append(room[:0], "REPORT RequestId: "...), id...)
	report = strconv.AppendFloat(append(report, "\tDuration: "...), ms, 'f', 2, 64)
	report = strconv.AppendInt(append(report, " ms\tBilled Duration: "...), int64(ms)+1, 10)
	report = strconv.AppendInt(append(report, " ms\tMemory Size: "...), int64(f.Spec.MemoryMB), 10)
	report = strconv.AppendInt(append(report, " MB\tMax Memory Used: "...), int64(res.MemoryMB), 10)
	report = append(report, " MB"...)
	if res.Cold {
		report = strconv.AppendFloat(append(report, "\tInit Duration: "...), float64(res.Init.Microseconds())/1000, 'f', 2, 64)
		report = append(report, " ms"...)
	}
	if status != "" {
		report = append(append(report, "\tStatus: "...), status...)
	}
	if kind != "" {
		report = append(append(report, "\tError Type: "...), kind...)
	}
	return append(lines, line{sluice.LevelPlatform, "END RequestId: " + id}, line{sluice.LevelPlatform, string(report)})
}

// complaint is what a log tells of a failure: in the words of the runtimes for Node.js and Python, which
// other runtimes' clients find for themselves, or in Lambda's.
func (f *Function) complaint(id string, fail *sluice.Failure) []line {
	if fail == nil {
		return nil
	}
	now := time.Now().UTC().Format(stamp)
	node := strings.HasPrefix(f.Spec.Runtime, "nodejs")
	switch {
	case fail.Kind == sluice.TimedOut && !f.logs.JSON:
		return []line{{sluice.LevelPlatform, fmt.Sprintf("%s %s Task timed out after %.2f seconds", now, id, f.Spec.Timeout.Seconds())}}
	case fail.Kind == sluice.Crashed && fail.Body == nil && !f.logs.JSON:
		return []line{{sluice.LevelPlatform, "RequestId: " + id + " Error: Runtime exited " + exitReason(fail.Message)}, {sluice.LevelPlatform, exitError}}
	case fail.Body == nil || !node && !strings.HasPrefix(f.Spec.Runtime, "python"):
		return nil
	}
	type trouble struct {
		Type    string   `json:"errorType"`
		Message string   `json:"errorMessage"`
		Stack   []string `json:"stack,omitempty"`
		Trace   []string `json:"stackTrace,omitempty"`
	}
	var text string
	switch {
	case f.logs.JSON && node:
		text = inJSON(struct {
			Time    string  `json:"timestamp"`
			Level   string  `json:"level"`
			Request string  `json:"requestId"`
			Message trouble `json:"message"`
		}{now, "ERROR", id, trouble{fail.Type, fail.Message, nil, fail.Stack}})
	case f.logs.JSON:
		text = inJSON(struct {
			Time    string `json:"timestamp"`
			Level   string `json:"log_level"`
			Request string `json:"requestId"`
			trouble
		}{now, "ERROR", id, trouble{fail.Type, fail.Message, nil, fail.Stack}})
	case node:
		what := "Invoke Error"
		if fail.Type == "Runtime.UnhandledPromiseRejection" {
			what = "Unhandled Promise Rejection"
		} else if fail.Kind != sluice.Handled {
			what = "Uncaught Exception"
		}
		text = now + "\t" + id + "\tERROR\t" + what + " \t" + inJSON(trouble{fail.Type, fail.Message, fail.Stack, nil})
	default:
		text = "[ERROR] " + fail.Type + ": " + fail.Message
		if len(fail.Stack) > 0 {
			text += "\nTraceback (most recent call last):\n" + strings.TrimRight(strings.Join(fail.Stack, ""), "\n")
		}
	}
	return []line{{"ERROR", text}}
}

func inJSON(v any) string {
	b, _ := json.Marshal(v) // texts always marshal
	return string(b)
}

// tailMax is how much of a call's log its caller may ask for (section 3.1).
const tailMax = 4 << 10

// tail is the end of a call's log: its own lines between those of Lambda.
func tail(start line, own []byte, end []line) []byte {
	b := make([]byte, 0, len(own)+1<<10)
	if start.text != "" {
		b = append(append(b, start.text...), '\n')
	}
	b = append(b, own...)
	if n := len(b); n > 0 && b[n-1] != '\n' {
		b = append(b, '\n')
	}
	for _, one := range end {
		b = append(append(b, one.text...), '\n')
	}
	return b[max(0, len(b)-tailMax):]
}
