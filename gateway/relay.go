package gateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"

	"github.com/sluicehq/sluice"
)

// Relay reaches the gateways of other nodes, each of which answers with its ServeRelay.
type Relay interface {
	// Request asks one node and waits for its answer until ctx ends. An error that is ErrNoNode says
	// that no such node lives: its connections are gone.
	Request(ctx context.Context, node uint16, body []byte) ([]byte, error)
	// Nodes lists the live nodes, with or without this one.
	Nodes() []uint16
}

// ErrNoNode is what a Relay returns for a node that does not live.
var ErrNoNode = errors.New("gateway: no such node")

// What a node asks another.
const (
	opPush byte = iota + 1
	opClose
	opGet
	opJoin
	opLeave
	opPushAliases
	opPushGroup
	opGroupSize
)

// request is a question to another node. On the wire: op, whether the frame is binary, the number of
// ids and the ids, the length of the rare parts in JSON and they, the frame's data.
type request struct {
	op      byte
	ids     []sluice.ConnID
	frame   sluice.Frame
	group   Group
	aliases []sluice.Alias
	spec    sluice.CloseSpec
}

type rareParts struct {
	Group   Group            `json:"group,omitzero"`
	Aliases []sluice.Alias   `json:"aliases,omitempty"`
	Spec    sluice.CloseSpec `json:"spec,omitzero"`
}

func (r *request) encode() []byte {
	rare := []byte{}
	if r.group != (Group{}) || len(r.aliases) > 0 || r.spec != (sluice.CloseSpec{}) {
		rare, _ = json.Marshal(rareParts{r.group, r.aliases, r.spec}) // strings and numbers: it cannot fail
	}
	b := make([]byte, 0, 10+len(r.ids)*len(sluice.ConnID{})+len(rare)+len(r.frame.Data))
	b = append(b, r.op, 0)
	if r.frame.Binary {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.ids)))
	for i := range r.ids {
		b = append(b, r.ids[i][:]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(rare)))
	return append(append(b, rare...), r.frame.Data...)
}

func (r *request) decode(b []byte) bool {
	const size = len(sluice.ConnID{})
	if len(b) < 6 {
		return false
	}
	r.op, r.frame.Binary = b[0], b[1] == 1
	n := int(binary.BigEndian.Uint32(b[2:]))
	if b = b[6:]; n > len(b)/size {
		return false
	}
	r.ids = make([]sluice.ConnID, n)
	for i := range r.ids {
		copy(r.ids[i][:], b[i*size:])
	}
	if b = b[n*size:]; len(b) < 4 {
		return false
	}
	rare := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; rare > len(b) {
		return false
	}
	if rare > 0 {
		var parts rareParts
		if json.Unmarshal(b[:rare], &parts) != nil {
			return false
		}
		r.group, r.spec = parts.Group, parts.Spec
		if len(parts.Aliases) > 0 {
			r.aliases = parts.Aliases
		}
	}
	r.frame.Data = b[rare:]
	return true
}

// ServeRelay answers a request that another node's gateway made through its Relay. An answer of no
// bytes says that the request made no sense.
func (g *Gateway) ServeRelay(ctx context.Context, body []byte) []byte {
	var r request
	if !r.decode(body) {
		return nil
	}
	for _, id := range r.ids {
		if a, _ := parse(id); a.node != g.opt.Node && r.op != opPushGroup {
			return nil // it must not go round
		}
	}
	switch r.op {
	case opPush:
		return outcomes(g.PushMany(ctx, r.ids, r.frame))
	case opPushAliases:
		b := []byte{}
		g.pushAliasesHere(ctx, r.aliases, r.frame, func(i int, o sluice.Outcome) {
			b = append(binary.BigEndian.AppendUint32(b, uint32(i)), byte(o))
		})
		return b
	case opPushGroup:
		return binary.BigEndian.AppendUint32(nil, uint32(g.pushGroupHere(ctx, r.group, r.frame, r.ids)))
	case opGroupSize:
		return binary.BigEndian.AppendUint32(nil, uint32(g.groupSizeHere(ctx, r.group)))
	}
	if len(r.ids) != 1 {
		return nil
	}
	switch r.op {
	case opClose:
		return []byte{byte(g.Close(ctx, r.ids[0], r.spec))}
	case opJoin:
		return []byte{byte(g.Join(ctx, r.ids[0], r.group))}
	case opLeave:
		return []byte{byte(g.Leave(ctx, r.ids[0], r.group))}
	case opGet:
		sn, out := g.Get(ctx, r.ids[0])
		text, err := json.Marshal(sn)
		if err != nil {
			return nil
		}
		return append([]byte{byte(out)}, text...)
	}
	return nil
}

func outcomes(outs []sluice.Outcome) []byte {
	b := make([]byte, len(outs))
	for i, o := range outs {
		b[i] = byte(o)
	}
	return b
}

// ask asks a node something that has n outcomes. They are zero when it did not answer in time.
func (g *Gateway) ask(ctx context.Context, node uint16, r request, n int) []sluice.Outcome {
	outs := make([]sluice.Outcome, n)
	answer, err := g.opt.Relay.Request(ctx, node, r.encode())
	for i := range outs {
		switch {
		case errors.Is(err, ErrNoNode):
			outs[i] = sluice.Gone
		case err == nil && len(answer) == n:
			outs[i] = sluice.Outcome(answer[i])
		}
	}
	if err != nil && !errors.Is(err, ErrNoNode) {
		g.log.Warn("node did not answer", "node", node, "err", err)
	}
	return outs
}

// askEach pushes to connections of other nodes; away says which of ids each holds.
func (g *Gateway) askEach(ctx context.Context, away map[uint16][]int, ids []sluice.ConnID, f sluice.Frame, outs []sluice.Outcome) {
	var wg sync.WaitGroup
	for node, places := range away {
		wg.Go(func() {
			r := request{op: opPush, frame: f}
			for _, i := range places {
				r.ids = append(r.ids, ids[i])
			}
			for k, o := range g.ask(ctx, node, r, len(places)) {
				outs[places[k]] = o
			}
		})
	}
	wg.Wait()
}

func (g *Gateway) askGet(ctx context.Context, node uint16, id sluice.ConnID) (sn sluice.Conn, out sluice.Outcome) {
	r := request{op: opGet, ids: []sluice.ConnID{id}}
	answer, err := g.opt.Relay.Request(ctx, node, r.encode())
	switch {
	case errors.Is(err, ErrNoNode):
		return sn, sluice.Gone
	case err == nil && len(answer) > 0 && json.Unmarshal(answer[1:], &sn) == nil:
		return sn, sluice.Outcome(answer[0])
	}
	g.log.Warn("node did not answer", "node", node, "err", err)
	return sn, 0
}

// everybody asks all other nodes the same. Nodes that do not answer are left out.
func (g *Gateway) everybody(ctx context.Context, r request) (answers [][]byte) {
	if g.opt.Relay == nil {
		return nil
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards answers
		body = r.encode()
	)
	for _, node := range g.opt.Relay.Nodes() {
		if node == g.opt.Node {
			continue
		}
		wg.Go(func() {
			answer, err := g.opt.Relay.Request(ctx, node, body)
			if err != nil {
				if !errors.Is(err, ErrNoNode) {
					g.log.Warn("node did not answer", "node", node, "err", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	}
	wg.Wait()
	return answers
}
