package gateway

import (
	"encoding/binary"

	"github.com/sluicehq/sluice"
)

// An id is 88 bits: node 16, shard 6, slot 26, generation 24, check 16. A slot's generation grows
// with each connection that uses it, so an old id never finds a new connection.
const (
	shardBits = 6
	slotBits  = 26
	genBits   = 24

	maxShards = 1 << shardBits
	maxSlots  = 1 << slotBits
	genMask   = 1<<genBits - 1
)

type address struct {
	node  uint16
	shard uint8
	slot  uint32
	gen   uint32
}

func (a address) id() sluice.ConnID {
	var id sluice.ConnID
	binary.BigEndian.PutUint16(id[:], a.node)
	binary.BigEndian.PutUint32(id[2:], uint32(a.shard)<<slotBits|a.slot)
	id[6], id[7], id[8] = byte(a.gen>>16), byte(a.gen>>8), byte(a.gen)
	binary.BigEndian.PutUint16(id[9:], checkOf(&id))
	return id
}

func parse(id sluice.ConnID) (a address, ok bool) {
	word := binary.BigEndian.Uint32(id[2:])
	a = address{
		node:  binary.BigEndian.Uint16(id[:]),
		shard: uint8(word >> slotBits),
		slot:  word & (maxSlots - 1),
		gen:   uint32(id[6])<<16 | uint32(id[7])<<8 | uint32(id[8]),
	}
	return a, binary.BigEndian.Uint16(id[9:]) == checkOf(&id)
}

// checkOf mixes the rest of an id: it tells a mistyped or invented one, it keeps no secret.
func checkOf(id *sluice.ConnID) uint16 {
	h := (binary.BigEndian.Uint64(id[:]) ^ 0x5bd1e9955bd1e995) * 0x9e3779b97f4a7c15 // the zero id is nobody's
	h = (h ^ h>>32 ^ uint64(id[8])) * 0xd6e8feb86659fd93
	return uint16(h >> 48)
}

// Check reports whether an id is well formed, that is whether some gateway may have made it. Clouds
// answer a malformed id and a connection that is gone in different ways.
func Check(id sluice.ConnID) bool {
	_, ok := parse(id)
	return ok
}
