package functions

import (
	"context"
	"os"

	"github.com/sluicehq/sluice/bench/measure"
)

// Alone is the median time in ms of calls of a Node handler for AWS, in a file of its own, by a room in this
// process: what a call costs whom nobody asks over a network. The event is the payload.
func Alone(ctx context.Context, temp, file string, payload []byte) (side measure.Side, stop func(), err error) {
	code, err := os.ReadFile(file)
	if err != nil {
		return side, nil, err
	}
	r := newRoom(ctx, temp, 1, false)
	v, err := r.function("alone", "aws", "nodejs20.x", "app.mjs", string(code), 1)
	if err == nil {
		v.Spec.Handler = "app.handler"
		err = r.Deploy(ctx, v)
	}
	for i := 0; i < 2000 && err == nil; i++ { // let the JIT do its work
		err = r.call(v, payload)
	}
	if err != nil {
		r.stop()
		return side, nil, err
	}
	return measure.Side{Name: "the call alone", Take: func() (float64, error) {
		us, err := typical(5000, 1500e6, func() error { return r.call(v, payload) })
		return us / 1e3, err
	}}, r.stop, nil
}
