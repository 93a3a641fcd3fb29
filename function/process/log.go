package process

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sluicehq/sluice/function"
)

// logFrame hands on a LOG.
func (i *instance) logFrame(f frame) {
	l := i.version.Load()
	var meta struct {
		Lvl string
		T   int64
		P   int // bytes of the body before the text itself
	}
	if l == nil || l.logs == nil || json.Unmarshal(f.meta, &meta) != nil || meta.P < 0 || meta.P > len(f.body) {
		return
	}
	rid := ""
	if f.id != 0 {
		i.mu.Lock()
		if c := i.calls[f.id]; c != nil {
			rid = c.rid
		}
		i.mu.Unlock()
	}
	line := function.LogLine{Time: time.UnixMilli(meta.T), App: l.v.App, Function: l.v.Spec.Name, Request: rid, Instance: i.id, Level: meta.Lvl, Text: string(f.body[meta.P:])}
	if meta.P > 0 {
		line.Line = string(f.body)
	}
	l.logs.Log(line)
}

// plain takes a line that did not come by frames: from native code, a child process, or node itself.
// It belongs to the call in flight when there is only one.
func (i *instance) plain(b []byte) {
	l := i.version.Load()
	i.mu.Lock()
	rid := ""
	if len(i.calls) == 1 {
		for _, c := range i.calls {
			rid = c.rid
		}
	}
	if l == nil && len(i.words) < 4<<10 {
		i.words = append(append(i.words, b[:min(len(b), 1<<10)]...), '\n')
	}
	i.mu.Unlock()
	if l != nil && l.logs != nil {
		l.logs.Log(function.LogLine{Time: time.Now(), App: l.v.App, Function: l.v.Spec.Name, Request: rid, Instance: i.id, Text: string(b)})
	}
}

// lastWords is what a process printed that never became an instance.
func (i *instance) lastWords() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.words) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(i.words))
}
