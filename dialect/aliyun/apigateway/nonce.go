package apigateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/sluicehq/sluice/kv"
)

// fresh refuses a nonce that was used before with the same AppKey, "" for nobody's. Those of strangers,
// who could fill the store, are remembered by this process alone.
func (g *Group) fresh(c *call, key string) error {
	nonce := c.r.Header.Get("X-Ca-Nonce")
	if nonce == "" {
		return faultf(I400NC, "X-Ca-Nonce is required")
	}
	unused, err := false, error(nil)
	if key != "" && g.o.Store != nil {
		unused, err = takeNonce(c.r.Context(), g.o.Store, key+"\x00"+nonce, g.o.Now())
	} else {
		unused = g.nonces.take(key+"\x00"+nonce, g.o.Now())
	}
	if err == nil && !unused {
		err = faultf(S403NU, "Nonce Used")
	}
	return err
}

// Nonces in the store:
//
//	K apigateway/nonce/ period hash
//
// A period is a skew long. A nonce counts while its period and the two after last, which is longer than a
// timestamp can be good for; whoever brings a new one takes some of the dead away, so they need no sweeper.
const noncePrefix = "Kapigateway/nonce/"

const nonceSweep = 8

func noncesFrom(period int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(noncePrefix), uint64(period))
}

// takeNonce reports whether a nonce is new, and remembers it.
func takeNonce(ctx context.Context, store kv.Store, nonce string, now time.Time) (unused bool, err error) {
	hash, period := sha256.Sum256([]byte(nonce)), now.UnixNano()/int64(skew)
	var keys [][]byte
	for i := range int64(3) {
		keys = append(keys, append(noncesFrom(period-i), hash[:16]...))
	}
	err = store.Update(ctx, kv.Locks{Keys: keys}, func(tx kv.Txn) error {
		unused = true
		found, err := tx.GetMany(keys)
		if err != nil {
			return err
		}
		for _, v := range found {
			unused = unused && v == nil
		}
		if !unused {
			return nil
		}
		tx.Put(keys[0], []byte{1})
		dead := tx.Scan([]byte(noncePrefix), noncesFrom(period-2), kv.ScanOpts{Limit: nonceSweep, KeysOnly: true})
		defer dead.Close()
		for dead.Next() {
			tx.Delete(dead.Key())
		}
		return dead.Err()
	})
	return unused, err
}

// maxNonces bounds one generation of nonces: about 20 MB at most.
const maxNonces = 1 << 17

// nonces remembers what was used, for at least twice the skew or the last maxNonces, in two
// generations that take turns. It knows this process only. The zero value is ready.
type nonces struct {
	mu     sync.Mutex // guards all
	young  map[string]struct{}
	old    map[string]struct{}
	turned time.Time
}

// take reports whether a nonce is new, and remembers it.
func (n *nonces) take(nonce string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.turned) > 2*skew || len(n.young) >= maxNonces || n.young == nil {
		n.old, n.young, n.turned = n.young, map[string]struct{}{}, now
	}
	if _, used := n.young[nonce]; used {
		return false
	}
	if _, used := n.old[nonce]; used {
		return false
	}
	n.young[nonce] = struct{}{}
	return true
}
