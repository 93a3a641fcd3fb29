// Package endtoend runs whole apps, from a client's socket to all clients' sockets: a chat written for AWS,
// beside serverless-offline with the same handlers, and the barrage wall; and both beside one program in Go
// that does the job without functions.
package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
)

// Area is the whole.
var Area = measure.Area{Name: "endtoend", Open: open}

const people = 200

// listens is how long serverless-offline is given after it has let clients in: before their $connect has
// ended it answers nothing that they say.
const listens = 3 * time.Second

// place is somewhere the chat runs.
type place struct {
	name, addr, path string
	err              error // why it does not
	crowd            []*socket.Conn
	few              []*socket.Conn // who only echo
	cost             func() time.Duration
	late             bool // lets clients in before they are heard
	greets           bool // has everybody in only when it has heard from them
}

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
	chat, err := w.Run("dev", filepath.Join(w.Source, "bench/endtoend/chat"), "--no-reload", "--param", "TableName=people")
	if err != nil {
		return nil, err
	}
	closers = append(closers, chat.Kill)
	floorProcess, err := w.Serve("endtoend/floor")
	if err != nil {
		return nil, err
	}
	closers = append(closers, floorProcess.Kill)
	ours := &place{name: "sluice", addr: chat.Host(), path: chat.Path("/Prod"), cost: chat.CPUOfAll}
	floor := &place{name: "one Go program", addr: floorProcess.Addr, path: "/", cost: floorProcess.CPU, greets: true}
	offline := &place{name: "serverless-offline", late: true}
	stop, versions := offline.start(ctx, w)
	closers = append(closers, stop)
	for _, p := range []*place{ours, floor, offline} {
		closers = append(closers, func() { socket.HangUp(p.crowd); socket.HangUp(p.few) })
	}
	skip := ""
	if offline.err != nil {
		skip = offline.err.Error()
	}
	wall, err := openWall(w)
	if err != nil {
		return nil, err
	}
	closers = append(closers, wall.close)
	const ms = "ms"
	return &measure.Bench{
		Versions: versions,
		Close:    closeAll,
		Cases: []measure.Case{
			{Name: "echo through Node, 1 client (G12)", Unit: ms, Cost: true, Goal: 0.25, Ours: ours.echo(), Reference: offline.echo(), Skip: skip},
			{Name: "echo through Node, 16 clients (G12)", Unit: "per s", Goal: 6, Ours: ours.echoes(), Reference: offline.echoes(), Skip: skip},
			{Name: "200 people come in", Unit: ms, Cost: true, Goal: 1.0 / 6, Ours: ours.joins(), Reference: offline.joins(), Skip: skip, Rounds: 1},
			{Name: "a word to 200", Unit: ms, Cost: true, Goal: 1.0 / 6, Ours: ours.word(), Reference: offline.word(), Skip: skip},
			{Name: "a word to 200, all processes", Unit: "CPU-ms", Cost: true, Ours: ours.wordCost(), Reference: offline.wordCost(), Skip: skip},
			{Name: "a word to 200, beside one Go program", Unit: ms, Cost: true, Goal: 1.5, Ours: ours.word(), Reference: floor.word()},
			{Name: "barrage: 1,000 players, 4 screens", Unit: "messages/s", Goal: 1 / 1.5, Ours: wall.side("sluice", &wall.ours), Reference: wall.side("one Go program", &wall.floor)},
		},
	}, nil
}

// start runs serverless-offline and dynalite for its table.
func (p *place) start(ctx context.Context, w *measure.Workshop) (stop func(), versions map[string]string) {
	names := []string{"serverless", "serverless-offline", "dynalite"}
	var running []*measure.Process
	stop = func() {
		for _, r := range running {
			r.Kill()
		}
	}
	npm, err := w.Installed(ctx, "serverless@3", "serverless-offline@13", "dynalite@4", "@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb", "@aws-sdk/client-apigatewaymanagementapi")
	if err != nil {
		p.err = err
		return stop, nil
	}
	var ports [4]int
	for i := range ports {
		if ports[i], p.err = measure.FreePort(); p.err != nil {
			return stop, nil
		}
	}
	dir := filepath.Join(npm, "chat")
	os.RemoveAll(dir)
	if p.err = os.CopyFS(dir, os.DirFS(filepath.Join(w.Source, "bench/endtoend/chat"))); p.err != nil {
		return stop, nil
	}
	run := func(program string, args ...string) *measure.Process {
		cmd := exec.Command(filepath.Join(npm, "node_modules/.bin", program), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), fmt.Sprintf("BENCH_SOCKETS=%d", ports[1]), fmt.Sprintf("BENCH_TABLES=http://127.0.0.1:%d", ports[0]), "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off")
		r, err := measure.Start(cmd, true)
		if err != nil {
			p.err = err
			return nil
		}
		running = append(running, r)
		return r
	}
	if run("dynalite", "--port", fmt.Sprint(ports[0]), "--createTableMs", "0") == nil {
		return stop, nil
	}
	tables := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if p.err = measure.Answers(tables, 20*time.Second); p.err != nil {
		return stop, nil
	}
	r, err := http.NewRequest("POST", tables, strings.NewReader(`{"TableName":"people","AttributeDefinitions":[{"AttributeName":"connectionId","AttributeType":"S"}],"KeySchema":[{"AttributeName":"connectionId","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`))
	if err != nil {
		p.err = err
		return stop, nil
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.CreateTable")
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.err = err
		return stop, nil
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.err = fmt.Errorf("dynalite makes no table: %s", resp.Status)
		return stop, nil
	}
	server := run("serverless", "offline", "start", "--websocketPort", fmt.Sprint(ports[1]), "--httpPort", fmt.Sprint(ports[2]), "--lambdaPort", fmt.Sprint(ports[3]), "--host", "127.0.0.1")
	if server == nil {
		return stop, nil
	}
	p.addr, p.path = fmt.Sprintf("127.0.0.1:%d", ports[1]), "/"
	p.cost = func() (sum time.Duration) {
		for _, r := range running {
			sum += r.CPUOfAll()
		}
		return sum
	}
	if err := measure.Answers("http://"+p.addr, 40*time.Second); err != nil {
		p.err = fmt.Errorf("serverless-offline does not start: %w: %s", err, server.Said())
	}
	return stop, measure.NpmVersions(npm, names...)
}

func (p *place) side(take func() (float64, error)) measure.Side {
	return measure.Side{Name: p.name, Take: take}
}

func (p *place) wait() {
	if p.late {
		time.Sleep(listens)
	}
}

// gather lets the crowd grow to n.
func (p *place) gather(n int) error {
	if p.err != nil {
		return p.err
	}
	if n == len(p.crowd) {
		return nil
	}
	more, err := socket.Dial(p.addr, p.path, n-len(p.crowd))
	p.crowd = append(p.crowd, more...)
	if err != nil {
		return err
	}
	p.wait()
	for _, c := range more {
		if p.greets {
			if err := trip(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// joins is how long it takes for everybody to come in; it is asked once.
func (p *place) joins() measure.Side {
	return p.side(func() (float64, error) {
		t := time.Now()
		err := p.gather(people)
		took := time.Since(t)
		if p.late {
			took -= listens
		}
		return took.Seconds() * 1e3, err
	})
}

// wordTo is the median time in ms from a word's saying to its last hearing.
func (p *place) wordTo(n int) (float64, error) {
	if err := p.gather(n); err != nil {
		return 0, err
	}
	var took []float64
	for i := range 4 {
		word := fmt.Sprintf("word %d of %d", i, time.Now().UnixNano())
		var wg sync.WaitGroup
		errs := make(chan error, n)
		t := time.Now()
		for _, c := range p.crowd {
			wg.Go(func() {
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				for {
					if heard, err := c.Hear(); err != nil {
						errs <- err
						return
					} else if heard == word {
						return
					}
				}
			})
		}
		if err := p.crowd[0].Say(`{"action":"sendmessage","data":"` + word + `"}`); err != nil {
			return 0, err
		}
		wg.Wait()
		if len(errs) > 0 {
			return 0, fmt.Errorf("%s: not everybody heard: %w", p.name, <-errs)
		}
		if i > 0 { // the first one wakes the function
			took = append(took, time.Since(t).Seconds()*1e3)
		}
	}
	return measure.Median(took), nil
}

func (p *place) word() measure.Side {
	return p.side(func() (float64, error) { return p.wordTo(people) })
}

// wordCost is the processor time of a word, of all processes that have to do with it.
func (p *place) wordCost() measure.Side {
	return p.side(func() (float64, error) {
		before := p.cost()
		_, err := p.wordTo(people)
		return (p.cost() - before).Seconds() * 1e3 / 4, err
	})
}

// trip is one echo.
func trip(c *socket.Conn) error {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := c.Say(`{"action":"echo","data":"hello"}`); err != nil {
		return err
	}
	for {
		heard, err := c.Hear()
		if err != nil || heard == "echo hello" {
			return err
		}
		if strings.Contains(heard, "rror") {
			return fmt.Errorf("answered %s", heard)
		}
	}
}

// echo is the median time in ms of one client's echoes.
func (p *place) echo() measure.Side {
	return p.side(func() (float64, error) {
		if err := p.hire(); err != nil {
			return 0, err
		}
		var took []float64
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			t := time.Now()
			if err := trip(p.few[0]); err != nil {
				return 0, err
			}
			took = append(took, time.Since(t).Seconds()*1e3)
		}
		return measure.Median(took), nil
	})
}

// echoes is how many of them 16 clients get in a second.
func (p *place) echoes() measure.Side {
	return p.side(func() (float64, error) {
		if err := p.hire(); err != nil {
			return 0, err
		}
		const spell = 2 * time.Second
		var wg sync.WaitGroup
		counts, errs := make([]int, len(p.few)), make([]error, len(p.few))
		end := time.Now().Add(spell)
		for i, c := range p.few {
			wg.Go(func() {
				for time.Now().Before(end) && errs[i] == nil {
					if errs[i] = trip(c); errs[i] == nil {
						counts[i]++
					}
				}
			})
		}
		wg.Wait()
		sum := 0
		for i, n := range counts {
			if errs[i] != nil {
				return 0, errs[i]
			}
			sum += n
		}
		return float64(sum) / spell.Seconds(), nil
	})
}

// hire brings in the 16 who echo, and wakes as many instances as they need.
func (p *place) hire() (err error) {
	if p.err != nil || p.few != nil {
		return p.err
	}
	few, err := socket.Dial(p.addr, p.path, 16)
	if err != nil {
		return err
	}
	p.wait()
	p.few = few
	for i, c := range few {
		if err := trip(c); err != nil {
			p.err = fmt.Errorf("client %d: %w", i, err)
			return p.err
		}
	}
	return nil
}
