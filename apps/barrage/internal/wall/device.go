package wall

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"
)

// The types of devices.
const (
	TypeScreen = "screen"
	TypeAdmin  = "admin"
	TypePlayer = "player"
)

// Device is one connected page. Its id is the gateway's deviceId.
type Device struct {
	ID   string
	Type string
	User string // a player's fromId; several devices may be one player's
	Seen string // when it registered, unix ms
}

// identifier is what a device or player may call itself: nothing that could end a header's list.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_.@:-]{1,64}$`)

// Register remembers a device under its id.
func (w *Wall) Register(ctx context.Context, d Device) error {
	if !identifier.MatchString(d.ID) {
		return &Error{Kind: Invalid, Text: "deviceId is made of letters, digits and _ . @ : -, at most 64"}
	}
	if d.Type == "" || len(d.Type) > 32 {
		return &Error{Kind: Invalid, Text: "type is screen, admin or player"}
	}
	if d.User != "" && !identifier.MatchString(d.User) {
		return &Error{Kind: Invalid, Text: "userId is made of letters, digits and _ . @ : -, at most 64"}
	}
	row := Row{"deviceId": d.ID, "docId": w.room.DocID, "type": d.Type, "userId": d.User, "seen": w.millis()}
	if _, err := w.store.Put(ctx, tableEquipment, Key{{"id", d.ID}}, row, Expect{}); err != nil {
		return err
	}
	return w.touchDevices(ctx)
}

// Unregister forgets a device. One that is not known is forgotten already.
func (w *Wall) Unregister(ctx context.Context, id string) error {
	if err := w.store.Delete(ctx, tableEquipment, Key{{"id", id}}, Expect{}); err != nil {
		return err
	}
	return w.touchDevices(ctx)
}

// forget removes a device that the gateway does not know, unless it has registered anew.
func (w *Wall) forget(ctx context.Context, d Device) error {
	err := w.store.Delete(ctx, tableEquipment, Key{{"id", d.ID}}, Expect{Column: "seen", Equals: d.Seen})
	if errors.Is(err, ErrCondition) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.touchDevices(ctx)
}

// touchDevices gives the room's list of devices a new stamp, so that everyone reads it again.
func (w *Wall) touchDevices(ctx context.Context) error {
	return w.store.Update(ctx, tableRoom, w.roomKey(), Row{"devices": rand.Text()}, nil, Expect{})
}

// audience returns the devices of the room as of the stamp in the room's row. The list is read
// again only when the stamp has changed.
func (w *Wall) audience(ctx context.Context, stamp string) ([]Device, error) {
	w.mu.Lock()
	devices, known := w.devices, w.stamp
	w.mu.Unlock()
	if stamp != "" && stamp == known {
		return devices, nil
	}
	entries, err := w.store.Range(ctx, Query{Table: tableEquipment, From: Key{{"id", nil}}, To: Key{{"id", nil}}})
	if err != nil {
		return nil, err
	}
	devices = make([]Device, 0, len(entries))
	for _, e := range entries {
		if text(e.Row, "docId") != w.room.DocID {
			continue
		}
		id, _ := e.Key[0].Value.(string)
		devices = append(devices, Device{ID: id, Type: text(e.Row, "type"), User: text(e.Row, "userId"), Seen: text(e.Row, "seen")})
	}
	w.mu.Lock()
	w.devices, w.stamp = devices, stamp
	w.mu.Unlock()
	return devices, nil
}

// count returns how many devices have the type; the several pages of one player count once.
func count(devices []Device, kind string) int {
	names := map[string]bool{}
	for _, d := range devices {
		switch {
		case d.Type != kind:
		case d.User != "":
			names[d.User] = true
		default:
			names[d.ID] = true
		}
	}
	return len(names)
}
