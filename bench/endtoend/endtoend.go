// Package endtoend runs whole apps, from a client's socket to all clients' sockets: a chat written for AWS,
// beside serverless-offline with the same handlers, and the barrage wall; and both beside one program in Go
// that does the job without functions.
package endtoend

import (
	"context"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/functions"
	"github.com/sluicehq/sluice/bench/measure"
)

// Area is the whole.
var Area = measure.Area{Name: "endtoend", Open: open}

const people = 200

func open(ctx context.Context, w *measure.Workshop) (b *measure.Bench, err error) {
	var closers []func()
	closeAll := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	peer := newOffline(ctx, w)
	start := func() (*place, error) {
		chat, err := w.Run("dev", filepath.Join(w.Source, "bench/endtoend/chat"), "--no-reload", "--param", "TableName=people")
		if err != nil {
			return nil, err
		}
		return &place{name: "sluice", addr: chat.Host(), path: chat.Path("/Prod"), cost: chat.CPUOfAll, memory: chat.Share, stop: chat.Kill}, nil
	}
	ours, err := start()
	if err != nil {
		return nil, err
	}
	closers = append(closers, ours.close)
	floorProcess, err := w.Serve("endtoend/floor")
	if err != nil {
		return nil, err
	}
	floor := &place{name: "one Go program", addr: floorProcess.Addr, path: "/", cost: floorProcess.CPU, greets: true, stop: floorProcess.Kill}
	closers = append(closers, floor.close)
	skip := ""
	offline, err := peer.start()
	if err != nil {
		skip = err.Error()
		offline = &place{name: "serverless-offline"}
	} else {
		closers = append(closers, offline.close)
	}
	alone, stop, err := functions.Alone(ctx, w.Temp, filepath.Join(w.Source, "bench/endtoend/chat/echo/app.js"), []byte(event))
	if err != nil {
		return nil, err
	}
	closers = append(closers, stop)
	wall, err := openWall(w)
	if err != nil {
		return nil, err
	}
	closers = append(closers, wall.close)

	fresh, theirs := &starts{name: "sluice", start: start}, &starts{name: "serverless-offline", start: peer.start}
	const ms, rate = "ms", "per s"
	return &measure.Bench{
		Versions: peer.versions(),
		Close:    closeAll,
		Cases: []measure.Case{
			{Name: "echo through Node, 1 client (G12)", Unit: ms, Cost: true, Goal: 0.25, Ours: ours.median(echo), Reference: offline.median(echo), Skip: skip},
			{Name: "echo through Node, 1 client, beside the call alone (G13)", Unit: ms, Cost: true, Goal: 1.6, Ours: ours.median(echo), Reference: alone},
			{Name: "answer by PostToConnection, 1 client", Unit: ms, Cost: true, Goal: 1 / 1.7, Ours: ours.median(push), Reference: offline.median(push), Skip: skip},
			{Name: "answers by PostToConnection, 16 clients (G12)", Unit: rate, Goal: 6, Ours: ours.rate(push), Reference: offline.rate(push), Skip: skip},
			{Name: "16 clients' first round after a start (G12)", Unit: rate, Goal: 6, Ours: fresh.side(firstRate), Reference: theirs.side(firstRate), Skip: skip},
			{Name: "p99 of the first round (G12)", Unit: ms, Cost: true, Goal: 0.2, Ours: fresh.side(firstLate), Reference: theirs.side(firstLate), Skip: skip},
			{Name: "16 clients' second round (G12)", Unit: rate, Goal: 6, Ours: fresh.side(secondRate), Reference: theirs.side(secondRate), Skip: skip},
			{Name: "p99 of the second round (G12)", Unit: ms, Cost: true, Goal: 0.2, Ours: fresh.side(secondLate), Reference: theirs.side(secondLate), Skip: skip},
			{Name: "first message after a start", Unit: ms, Cost: true, Goal: 1.0 / 50, Ours: fresh.side(firstMessage), Reference: theirs.side(firstMessage), Skip: skip},
			{Name: "memory after the rounds, all processes", Unit: "MB", Cost: true, Goal: 1 / 2.3, Ours: fresh.side(memory), Reference: theirs.side(memory), Skip: skip},
			{Name: "200 people come in after a start", Unit: ms, Cost: true, Goal: 1.0 / 6, Ours: fresh.joins(), Reference: theirs.joins(), Skip: skip},
			{Name: "a word to 200", Unit: ms, Cost: true, Goal: 1.0 / 6, Ours: ours.word(), Reference: offline.word(), Skip: skip},
			{Name: "a word to 200, all processes", Unit: "CPU-ms", Cost: true, Ours: ours.wordCost(), Reference: offline.wordCost(), Skip: skip},
			{Name: "a word to 200, beside one Go program", Unit: ms, Cost: true, Goal: 1.5, Ours: ours.word(), Reference: floor.word()},
			{Name: "barrage: 1,000 players, 4 screens", Unit: "messages/s", Goal: 1 / 1.5, Ours: wall.side("sluice", &wall.ours), Reference: wall.side("one Go program", &wall.floor)},
			{Name: "barrage, beside the nearest peer", Unit: "messages/s", Goal: 6, Skip: "it is an app for Alibaba's API Gateway, Function Compute and Tablestore, whose WebSocket API no other program serves"},
		},
	}, nil
}

// event is what a function gets of an echo.
const event = `{"requestContext":{"routeKey":"echo","messageId":"abcdefghijklmn0=","eventType":"MESSAGE","extendedRequestId":"abcdefghijklmn0=",` +
	`"requestTime":"21/Nov/2026:12:00:00 +0000","messageDirection":"IN","stage":"Prod","connectedAt":1795262400000,"requestTimeEpoch":1795262400000,` +
	`"identity":{"sourceIp":"127.0.0.1"},"requestId":"abcdefghijklmn0=","domainName":"abcdefghij.execute-api.us-east-1.amazonaws.com",` +
	`"connectionId":"AbCdEfGhIjKlMn0=","apiId":"abcdefghij"},"body":"{\"action\":\"echo\",\"data\":\"hello\"}","isBase64Encoded":false}`
