package table

import (
	"context"
	"encoding/binary"

	"github.com/sluicehq/sluice/kv"
)

// streamPrefix is followed by the record's number. The zero shard is the only one for now.
func streamPrefix(id uint32) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'S'}, id), 0, 0)
}

func streamKey(id uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(streamPrefix(id), seq)
}

// records reports whether writes make records now.
func (t *Spec) records() bool { return t.Stream != nil && !t.Stream.Paused }

// record gives an encoded record its number and writes it.
func (t *Spec) record(tx kv.Txn, rec []byte) error {
	seq, err := tx.Seq(counterKey(t.ID, 's'), 1)
	if err != nil {
		return storeError{err}
	}
	tx.Put(streamKey(t.ID, seq), rec)
	return nil
}

// The bits of a record's second byte.
const (
	hasBefore = 1 << iota
	hasAfter
	isExpired
	hasNote
)

// encodeRecord writes version, flags, time, and the row's key, images and note with their lengths.
func encodeRecord(rowKey []byte, r *Record) ([]byte, error) {
	b, scratch := append(make([]byte, 0, 3*fewBytes), 1, 0), make([]byte, 0, fewBytes)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
	b = appendString(b, string(rowKey[5:]))
	if r.Expired {
		b[1] |= isExpired
	}
	for _, image := range []struct {
		row *Row
		bit byte
	}{{r.Before, hasBefore}, {r.After, hasAfter}} {
		if image.row == nil {
			continue
		}
		b[1] |= image.bit
		row, err := appendRow(scratch[:0], &stored{Row: *image.row})
		if err != nil {
			return nil, err
		}
		b = append(binary.AppendUvarint(b, uint64(len(row))), row...)
		scratch = row
	}
	if len(r.Note) > 0 {
		b[1] |= hasNote
		b = appendString(b, string(r.Note))
	}
	return b, nil
}

func (t *Spec) decodeRecord(key, val []byte) (Record, error) {
	if len(key) != 15 {
		return Record{}, errCorrupt
	}
	r := Record{Seq: binary.BigEndian.Uint64(key[7:])}
	d := &decoder{s: string(val), mem: &slab{}}
	if d.byte() != 1 {
		return r, errCorrupt
	}
	flags := d.byte()
	r.Time, r.Expired = int64(d.fixed()), flags&isExpired != 0
	space := t.rows()
	var err error
	if r.Key, err = space.decode(append(space.prefix, d.str()...)); err != nil {
		return r, err
	}
	for _, image := range []struct {
		row **Row
		bit byte
	}{{&r.Before, hasBefore}, {&r.After, hasAfter}} {
		if flags&image.bit == 0 {
			continue
		}
		st, err := decodeRow([]byte(d.str()))
		if err != nil {
			return r, err
		}
		st.Key = r.Key
		*image.row = &st.Row
	}
	if flags&hasNote != 0 {
		r.Note = []byte(d.str())
	}
	if d.bad || d.s != "" {
		return r, errCorrupt
	}
	return r, nil
}

// ReadStream returns up to limit records (1,000 when 0, and no more than about 4 MiB) from number
// from on. When the first has a higher number, those between have been trimmed.
func (t *Tables) ReadStream(ctx context.Context, spec *Spec, from uint64, limit int) ([]Record, error) {
	if limit <= 0 {
		limit = 1000
	}
	var list []Record
	err := t.view(ctx, []*Spec{spec}, func(r kv.Reader, specs []*Spec) error {
		list = nil
		id := specs[0].ID
		it := r.Scan(streamKey(id, from), kv.PrefixEnd(streamPrefix(id)), kv.ScanOpts{Limit: limit, MaxBytes: 4 << 20})
		defer it.Close()
		for it.Next() {
			rec, err := specs[0].decodeRecord(it.Key(), it.Value())
			if err != nil {
				return err
			}
			list = append(list, rec)
		}
		return it.Err()
	})
	return list, err
}

// StreamBounds returns the number of the oldest record still there, and the number that the next
// record will get; they are equal when there is none.
func (t *Tables) StreamBounds(ctx context.Context, spec *Spec) (oldest, next uint64, err error) {
	err = t.view(ctx, []*Spec{spec}, func(r kv.Reader, specs []*Spec) error {
		id := specs[0].ID
		last, ok, err := r.Get(counterKey(id, 's'))
		if err != nil {
			return err
		}
		next = 1
		if ok {
			if len(last) != 8 {
				return errCorrupt
			}
			next = binary.BigEndian.Uint64(last) + 1
		}
		oldest = next
		it := r.Scan(streamPrefix(id), kv.PrefixEnd(streamPrefix(id)), kv.ScanOpts{Limit: 1, KeysOnly: true})
		defer it.Close()
		if it.Next() && len(it.Key()) == 15 {
			oldest = binary.BigEndian.Uint64(it.Key()[7:])
		}
		return it.Err()
	})
	return oldest, next, err
}
