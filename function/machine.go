package function

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// processors tells whether the machine's have time to spare.
type processors struct {
	read func() (idle, all uint64) // their time since the boot; all is 0 where nobody tells

	mu        sync.Mutex // guards the fields below
	at        time.Time  // of the last look
	idle, all uint64     // then
	free      bool
}

// spare reports whether they were idle for a quarter of their time of late. It is false until it has been looked
// twice, and where nobody tells.
func (p *processors) spare(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := now.Sub(p.at)
	if since < backlogTime {
		return p.free
	}
	idle, all := p.read()
	p.free = since < 10*backlogTime && all > p.all && idle > p.idle && 4*(idle-p.idle) >= all-p.all
	p.at, p.idle, p.all = now, idle, all
	return p.free
}

// processorTime is what Linux tells of all processors: the first line of /proc/stat has user, nice, system, idle,
// iowait, irq, softirq and steal.
func processorTime() (idle, all uint64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range bytes.Fields(line) {
		if i == 0 || i > 8 {
			continue
		}
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return 0, 0
		}
		if all += n; i == 4 || i == 5 {
			idle += n
		}
	}
	return idle, all
}

// machineMB is the machine's memory; 4096 when it does not tell.
func machineMB() int {
	const unknown = 4096
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown
	}
	_, rest, ok := bytes.Cut(b, []byte("MemTotal:"))
	if !ok {
		return unknown
	}
	kb := 0
	for _, c := range bytes.TrimLeft(rest, " ") {
		if c < '0' || c > '9' {
			break
		}
		kb = kb*10 + int(c-'0')
	}
	if kb == 0 {
		return unknown
	}
	return kb >> 10
}
