package wall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Frame is one thing that a page is told over its socket. A push carries one frame, or an array
// of frames in order. A screen's messages have the fields of the original app (from, message,
// fontSize, color), a waiting message for moderators likewise (id, fromName, message, …).
type Frame struct {
	Type     string `json:"type"`
	ID       int64  `json:"id,omitempty"`
	CID      string `json:"cid,omitempty"`
	From     string `json:"from,omitempty"`
	FromName string `json:"fromName,omitempty"`
	Message  string `json:"message,omitempty"`
	FontSize string `json:"fontSize,omitempty"`
	Color    string `json:"color,omitempty"`
	SendTime string `json:"sendTime,omitempty"`

	CheckTime   string    `json:"checkTime,omitempty"`   // when it was passed
	CheckStatus *int64    `json:"checkStatus,omitempty"` // state
	IDs         []int64   `json:"ids,omitempty"`         // erase
	N           int64     `json:"n,omitempty"`           // hearts
	Action      string    `json:"action,omitempty"`      // screen
	Messages    []Message `json:"messages,omitempty"`    // passed, decided
	Settings    *Settings `json:"settings,omitempty"`    // settings
}

// frame is the message for screens. It does not say who the sender's device is.
func (m Message) frame() Frame {
	return Frame{Type: "message", ID: m.ID, From: m.FromName, Message: m.Message, FontSize: m.FontSize, Color: m.Color, SendTime: m.SendTime, CheckTime: m.CheckTime}
}

// waitingFrame is the message for moderators.
func (m Message) waitingFrame() Frame {
	return Frame{Type: "waiting", ID: m.ID, FromName: m.FromName, Message: m.Message, FontSize: m.FontSize, Color: m.Color, SendTime: m.SendTime}
}

// Notifier carries a push to devices. It returns those that the gateway does not know, and those
// that it could not reach now, with one reason.
type Notifier interface {
	Notify(ctx context.Context, devices []string, body []byte) (gone, failed []string, err error)
}

// Lanes. What is pushed into one lane arrives in that order.
const (
	screens = "screens"
	admins  = "admins"
	hearts  = "hearts" // to the screens, merged
	players = "player:"
)

// player is the lane to one player's pages.
func player(fromID string) string { return players + fromID }

const (
	maxBytes    = 60 << 10               // of one push
	crowd       = 8                      // a batch of this size opens a window before the next
	window      = 50 * time.Millisecond  // between batches under load
	heartWindow = 100 * time.Millisecond // between batches of hearts
	patience    = 2 * time.Second        // how long a request waits for its push
	attempts    = 4                      // per push
)

// Outbox pushes frames to pages, in order, many at once. While a lane's push is under way the
// next frames gather; so a single message leaves at once and a crowd's leave together.
type Outbox struct {
	wall   *Wall
	notify Notifier

	mu    sync.Mutex // guards lanes and their queues
	lanes map[string]*lane
	wg    sync.WaitGroup
}

// lane is the frames for the same listeners.
type lane struct {
	queue  []*delivery
	pushed int       // frames that were ever put in
	waited *delivery // the latest that a request waits for
}

// delivery is a frame on its way. nil has ended.
type delivery struct {
	frame Frame
	lane  *lane
	place int           // in the lane
	done  chan struct{} // closed when the frame has been pushed, or given up
	freed chan struct{} // closed when a request waits for a later one
}

func newOutbox(w *Wall, n Notifier) *Outbox {
	return &Outbox{wall: w, notify: n, lanes: map[string]*lane{}}
}

// Push puts a frame into a lane and returns at once.
func (o *Outbox) Push(ctx context.Context, name string, f Frame) *delivery {
	if o.notify == nil {
		return nil
	}
	d := &delivery{frame: f, done: make(chan struct{}), freed: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lanes[name]
	if l == nil {
		l = new(lane)
		o.lanes[name] = l
		ctx = context.WithoutCancel(ctx)
		o.wg.Go(func() { o.drive(ctx, name, l) })
	}
	l.pushed++
	d.lane, d.place = l, l.pushed
	l.queue = append(l.queue, d)
	return d
}

// Wait keeps a request, and so its instance, until the frame has been pushed. It returns earlier when another
// request waits for a later frame of the lane, which is enough, or when ctx or a request's patience ends: the
// push goes on, and a screen asks for what it missed anyway.
func (o *Outbox) Wait(ctx context.Context, d *delivery) {
	if d == nil {
		return
	}
	o.mu.Lock()
	before := d.lane.waited
	if before != nil && before.place > d.place {
		o.mu.Unlock()
		return
	}
	d.lane.waited = d
	o.mu.Unlock()
	if before != nil {
		close(before.freed)
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-d.done:
	case <-d.freed:
	case <-ctx.Done():
	case <-t.C:
	}
}

// Close waits for all lanes to be empty.
func (o *Outbox) Close() { o.wg.Wait() }

// drive pushes a lane's frames until none is left; then the lane is gone.
func (o *Outbox) drive(ctx context.Context, name string, l *lane) {
	for {
		o.mu.Lock()
		if len(l.queue) == 0 {
			delete(o.lanes, name)
			o.mu.Unlock()
			return
		}
		batch := l.queue
		l.queue = nil
		o.mu.Unlock()

		begin := time.Now()
		n := len(batch)
		frames := make([]Frame, n)
		for i, d := range batch {
			frames[i] = d.frame
		}
		if err := o.deliver(ctx, name, frames); err != nil {
			o.wall.log.Error("push", "lane", strings.SplitN(name, ":", 2)[0], "frames", n, "err", err)
		}
		for _, d := range batch {
			close(d.done)
		}
		switch {
		case name == hearts:
			time.Sleep(time.Until(begin.Add(heartWindow)))
		case n >= crowd:
			time.Sleep(time.Until(begin.Add(window)))
		}
	}
}

// deliver counts a batch and sends it to the lane's devices. Who cannot be reached is tried again
// before anything later is sent, so that everyone's order holds.
func (o *Outbox) deliver(ctx context.Context, name string, frames []Frame) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if name == hearts {
		total := int64(0)
		for _, f := range frames {
			total += f.N
		}
		frames = []Frame{{Type: "hearts", N: total}}
	}
	uncounted := o.wall.tally(ctx, frames) // the message itself matters more
	row, err := o.wall.store.Get(ctx, tableRoom, o.wall.roomKey())
	if err != nil {
		return err
	}
	devices, err := o.wall.audience(ctx, text(row, "devices"))
	if err != nil {
		return err
	}
	listeners := map[string]Device{}
	for _, d := range devices {
		if d.in(name) {
			listeners[d.ID] = d
		}
	}
	if len(listeners) == 0 {
		return uncounted
	}
	bodies, err := pack(frames)
	if err != nil {
		return err
	}
	lost := uncounted
	for _, body := range bodies {
		to := slices.Sorted(maps.Keys(listeners))
		for try := 1; len(to) > 0; try++ {
			gone, failed, err := o.notify.Notify(ctx, to, body)
			for _, id := range gone {
				if err := o.wall.forget(ctx, listeners[id]); err != nil {
					return err
				}
				delete(listeners, id)
			}
			if to = failed; len(failed) == 0 {
				break
			}
			if try == attempts || ctx.Err() != nil {
				lost = errors.Join(lost, fmt.Errorf("%d devices not reached: %w", len(failed), err))
				break
			}
			time.Sleep(time.Duration(try*try) * 100 * time.Millisecond)
		}
	}
	return lost
}

// in reports whether the device listens to the lane.
func (d Device) in(name string) bool {
	switch name {
	case screens, hearts:
		return d.Type == TypeScreen
	case admins:
		return d.Type == TypeAdmin
	}
	return d.Type == TypePlayer && player(d.User) == name
}

// pack turns frames into bodies: one frame as it is, several as an array, none above maxBytes
// unless a single frame is.
func pack(frames []Frame) ([][]byte, error) {
	var bodies [][]byte
	var body []byte
	n := 0
	flush := func() {
		switch {
		case n == 1:
			bodies = append(bodies, body[1:])
		case n > 1:
			bodies = append(bodies, append(body, ']'))
		}
		body, n = nil, 0
	}
	for _, f := range frames {
		b, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		if n > 0 && len(body)+len(b) > maxBytes {
			flush()
		}
		if n == 0 {
			body = append(body, '[')
		} else {
			body = append(body, ',')
		}
		body = append(body, b...)
		n++
	}
	flush()
	return bodies, nil
}

// tally keeps the room's counters: messages shown, hearts, and the hearts of the newest message.
func (w *Wall) tally(ctx context.Context, frames []Frame) error {
	add := map[string]int64{}
	w.mu.Lock()
	for _, f := range frames {
		switch f.Type {
		case "hearts":
			add["likes"] += f.N
		case "message":
			add["messages"]++
			w.latest = f.ID
		}
	}
	latest := w.latest
	w.mu.Unlock()
	if len(add) == 0 {
		return nil
	}
	if err := w.store.Update(ctx, tableRoom, w.roomKey(), nil, add, Expect{}); err != nil {
		return err
	}
	if add["likes"] == 0 || latest == 0 {
		return nil
	}
	err := w.store.Update(ctx, tableBarrage, w.messageKey(latest), nil, map[string]int64{"likes": add["likes"]}, Expect{Exists: true})
	if errors.Is(err, ErrCondition) { // erased meanwhile
		return nil
	}
	return err
}
