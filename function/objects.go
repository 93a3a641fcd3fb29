package function

import (
	"iter"
	"strings"

	"github.com/sluicehq/sluice"
)

// Watching yields the functions of a dialect that an event of an object calls, with the triggers that
// say so. event is spelled as the dialect's templates do; a trigger's may have a * at its end. Functions
// of app alone are asked; of all apps when app is "".
func (f *Functions) Watching(dialect string, app sluice.AppName, bucket, event, key string) iter.Seq2[*Version, *sluice.ObjectEvents] {
	return func(yield func(*Version, *sluice.ObjectEvents) bool) {
		f.mu.RLock()
		pools := f.all()
		f.mu.RUnlock()
		for _, p := range pools {
			if p.v.Dialect != dialect || app != "" && p.v.App != app {
				continue
			}
			for i := range p.v.Spec.Objects {
				if o := &p.v.Spec.Objects[i]; wants(o, bucket, event, key) && !yield(p.v, o) {
					return
				}
			}
		}
	}
}

// wants reports whether a trigger is for an event.
func wants(o *sluice.ObjectEvents, bucket, event, key string) bool {
	if o.Bucket != bucket || !strings.HasPrefix(key, o.Prefix) || !strings.HasSuffix(key, o.Suffix) {
		return false
	}
	for _, e := range o.Events {
		if start, all := strings.CutSuffix(e, "*"); e == event || all && strings.HasPrefix(event, start) {
			return true
		}
	}
	return false
}
