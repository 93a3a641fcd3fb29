package wall

import (
	"context"
	"fmt"
)

// Mode says how messages are moderated.
type Mode int64

// The modes of moderation, as the interceptor table numbers them.
const (
	ModeOpen    Mode = 0 // everything is shown
	ModeWords   Mode = 1 // the word filter decides
	ModeApprove Mode = 2 // a moderator decides
)

// What happens in ModeWords to a message with an unwanted word.
const (
	ActionMask = "mask" // it is shown with stars
	ActionHold = "hold" // it waits for a moderator
)

// Settings are a room's rules.
type Settings struct {
	ID          int64  `json:"id"`
	Status      Mode   `json:"status"`
	FilterWords string `json:"filterWords"`
	Action      string `json:"action"`
	Rate        int64  `json:"rate"`  // messages per minute and device; 0: no limit
	Title       string `json:"title"` // stands on the screens; empty: the page's own
}

// SettingsChange holds the settings to change; nil fields stay.
type SettingsChange struct {
	Status      *Mode   `json:"status"`
	FilterWords *string `json:"filterWords"`
	Action      *string `json:"action"`
	Rate        *int64  `json:"rate"`
	Title       *string `json:"title"`
}

// Settings reads the room's rules.
func (w *Wall) Settings(ctx context.Context) (Settings, error) {
	row, err := w.store.Get(ctx, tableInterceptor, w.settingsKey())
	if err != nil {
		return Settings{}, err
	}
	s := Settings{
		ID: w.room.GID, Status: Mode(number(row, "status")), FilterWords: text(row, "filterWords"),
		Action: text(row, "action"), Rate: w.rate, Title: text(row, "title"),
	}
	if rate, ok := row["rate"].(int64); ok {
		s.Rate = rate
	}
	if s.Action != ActionHold {
		s.Action = ActionMask
	}
	w.mu.Lock()
	w.lastRate = &s.Rate
	w.mu.Unlock()
	return s, nil
}

// sendRate is the rate as this instance saw it last, which is at the last message: nobody can tell how many
// one more or less other instances let through.
func (w *Wall) sendRate(ctx context.Context) (int64, error) {
	w.mu.Lock()
	rate := w.lastRate
	w.mu.Unlock()
	if rate != nil {
		return *rate, nil
	}
	s, err := w.Settings(ctx)
	return s.Rate, err
}

// ChangeSettings stores the change, tells the other moderators and returns what now holds.
func (w *Wall) ChangeSettings(ctx context.Context, c SettingsChange) (Settings, error) {
	set := Row{}
	if c.Status != nil {
		if *c.Status < ModeOpen || *c.Status > ModeApprove {
			return Settings{}, &Error{Kind: Invalid, Text: "status is 0, 1 or 2"}
		}
		set["status"] = int64(*c.Status)
	}
	if c.FilterWords != nil {
		if len(*c.FilterWords) > 64<<10 {
			return Settings{}, &Error{Kind: Invalid, Text: "filterWords may have 64 KB"}
		}
		set["filterWords"] = *c.FilterWords
	}
	if c.Action != nil {
		if *c.Action != ActionMask && *c.Action != ActionHold {
			return Settings{}, &Error{Kind: Invalid, Text: "action is mask or hold"}
		}
		set["action"] = *c.Action
	}
	if c.Rate != nil {
		if *c.Rate < 0 || *c.Rate > 6000 {
			return Settings{}, &Error{Kind: Invalid, Text: "rate is 0 to 6000 messages per minute"}
		}
		set["rate"] = *c.Rate
	}
	if c.Title != nil {
		title := clean(*c.Title)
		if characters(title) > maxTitle || len([]rune(title)) > maxRunes {
			return Settings{}, &Error{Kind: Invalid, Text: fmt.Sprintf("a title has at most %d characters", maxTitle)}
		}
		set["title"] = title
	}
	if len(set) > 0 {
		if err := w.store.Update(ctx, tableInterceptor, w.settingsKey(), set, nil, Expect{}); err != nil {
			return Settings{}, err
		}
	}
	s, err := w.Settings(ctx)
	if err != nil {
		return Settings{}, err
	}
	told := w.outbox.Push(ctx, admins, Frame{Type: "settings", Settings: &s})
	if c.Title != nil {
		w.outbox.Push(ctx, screens, Frame{Type: "title", Message: s.Title})
	}
	w.outbox.Wait(ctx, told)
	return s, nil
}

// filter returns the compiled word list of the settings.
func (w *Wall) filter(s Settings) Words {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.FilterWords != w.list {
		w.list, w.words = s.FilterWords, ParseWords(s.FilterWords)
	}
	return w.words
}
