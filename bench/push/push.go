// Package push measures what AWS's apps do most: POST /@connections/{id}, signed, from a function to a
// connection; and what sluice adds, one call for many connections.
package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bench/gateway"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// Area is pushing's.
var Area = measure.Area{Name: "push", Open: open}

const (
	audience = 1000
	posters  = 16
	posts    = 6000 // of one figure
	crowd    = 10_000
	pushes   = 500 // whose p99 is a figure
	text     = `{"from":"ann","text":"a message of about one hundred bytes, as people write them in a chat, most days"}`
)

// template is an API whose connections nobody is told of.
const template = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: Push, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action } }
  Echo: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs20.x, Handler: index.handler, CodeUri: echo/ } }
  EchoRoute: { Type: AWS::ApiGatewayV2::Route, Properties: { ApiId: !Ref Api, RouteKey: echo, Target: !Sub "integrations/${EchoIntegration}" } }
  EchoIntegration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Echo.Arn}/invocations
  Deployment: { Type: AWS::ApiGatewayV2::Deployment, DependsOn: [EchoRoute], Properties: { ApiId: !Ref Api } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: Prod, DeploymentId: !Ref Deployment } }
Outputs:
  Url: { Value: !Sub "wss://${Api}.execute-api.${AWS::Region}.amazonaws.com/${Stage}" }
`

// hall is a sluice with an audience.
type hall struct {
	*measure.Running
	sender
	ears
	workshop *measure.Workshop
	base     string           // of the management API: host and path
	crowd    *measure.Process // nil before it is needed
	all      []byte           // a push to the crowd
}

// sender signs requests.
type sender struct {
	region string
	keys   access.Credentials
	client *http.Client
}

func open(ctx context.Context, w *measure.Workshop) (*measure.Bench, error) {
	h, err := gather(w)
	if err != nil {
		return nil, err
	}
	empty, err := w.Serve("push/empty")
	if err != nil {
		h.leave()
		return nil, err
	}
	single := measure.Side{Name: "sluice, one POST each", Take: h.single}
	batch := measure.Side{Name: "sluice, one POST for 1,000", Take: func() (float64, error) { return h.batch(audience, 40, 1) }}
	together := measure.Side{Name: "sluice, 16 at a time", Take: func() (float64, error) { return h.batch(audience, 30, posters) }}
	bare := measure.Side{Name: "bare epoll", Take: func() (float64, error) {
		rate, err := gateway.BareBroadcast(w, audience)
		return 1e6 / rate, err
	}}
	nothing := measure.Side{Name: "empty net/http handler", Take: func() (float64, error) {
		return h.post(empty, "http://"+empty.Addr+"/Prod")
	}}
	const unit = "µs of CPU"
	return &measure.Bench{
		Close: func() { empty.Kill(); h.leave() },
		Cases: []measure.Case{
			{Name: "signed POST to one connection (G11)", Unit: unit, Cost: true, Goal: 30, Ours: single},
			{Name: "signed POST beside an empty handler (G11)", Unit: unit, Cost: true, Goal: 1 / 0.8, Ours: single, Reference: nothing},
			{Name: "batched push, a connection", Unit: unit, Cost: true, Goal: 1.0 / 6, Ours: batch, Reference: single},
			{Name: "batched push, 16 in flight, a connection", Unit: unit, Cost: true, Goal: 1.0 / 40, Ours: together, Reference: single},
			{Name: "batched push beside the send loop (G11)", Unit: unit, Cost: true, Goal: 1 / 0.8, Ours: batch, Reference: bare},
			{Name: "p99 of a push while 10,000 hear a broadcast each half second", Unit: "ms", Cost: true, Goal: 5,
				Ours: measure.Side{Name: "sluice", Take: h.beside}, Reference: measure.Side{Name: "without", Take: h.lateness}, Rounds: 3},
		},
		Curves: []measure.Curve{
			{Name: "one batched push", Of: "connections", Unit: "µs of CPU", At: []int{10, 100, 1000}, Take: func(n int) (float64, error) {
				each, err := h.batch(n, 40*audience/n, 1)
				return each * float64(n), err
			}},
		},
	}, nil
}

// gather starts sluice with the app and opens the connections.
func gather(w *measure.Workshop) (h *hall, err error) {
	dir := filepath.Join(w.Temp, "push")
	if err := os.MkdirAll(filepath.Join(dir, "echo"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(template), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "echo/index.js"), []byte(`exports.handler = async () => ({ statusCode: 200 })`), 0o644); err != nil {
		return nil, err
	}
	s, err := w.Run("dev", dir, "--no-reload")
	if err != nil {
		return nil, err
	}
	h = &hall{Running: s, workshop: w, sender: sender{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters}}}}
	defer func() {
		if err != nil {
			h.leave()
		}
	}()
	if err := s.Keys(); err != nil {
		return nil, err
	}
	h.keys, h.region = access.Credentials{ID: s.Env["AWS_ACCESS_KEY_ID"], Secret: s.Env["AWS_SECRET_ACCESS_KEY"]}, s.Env["AWS_REGION"]
	h.base = "http://" + s.Host() + s.Path("/Prod")
	return h, h.grow(h.Host(), h.Path("/Prod"), audience)
}

// dial opens a connection and learns its id: what no route takes is answered with it.
func dial(host, path string) (c *socket.Conn, id string, err error) {
	some, err := socket.Dial(host, path, 1)
	if err != nil {
		return nil, "", err
	}
	c = some[0]
	if err := c.Say("who am I?"); err != nil {
		return c, "", err
	}
	text, err := c.Hear()
	if err != nil {
		return c, "", err
	}
	var answer struct{ ConnectionID string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.ConnectionID == "" {
		return c, "", fmt.Errorf("not an id: %s", text)
	}
	return c, answer.ConnectionID, nil
}

// ears are connections that hear what comes.
type ears struct {
	conns []*socket.Conn
	ids   []string
	got   atomic.Int64
	wg    sync.WaitGroup
}

// grow lets them be n.
func (e *ears) grow(host, path string, n int) error {
	for len(e.ids) < n {
		c, id, err := dial(host, path)
		if c != nil {
			e.conns = append(e.conns, c)
		}
		if err != nil {
			return err
		}
		e.ids = append(e.ids, id)
		e.wg.Go(func() {
			for {
				if _, err := c.Hear(); err != nil {
					return
				}
				e.got.Add(1)
			}
		})
	}
	return nil
}

func (e *ears) hangUp() {
	socket.HangUp(e.conns)
	e.wg.Wait()
}

// ServeCrowd is ears in a process of their own, which prints their ids. Its arguments are host, path and how
// many.
func ServeCrowd() error {
	n, err := strconv.Atoi(flag.Arg(2))
	if err != nil {
		return err
	}
	var e ears
	defer e.hangUp()
	if err := e.grow(flag.Arg(0), flag.Arg(1), n); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(e.ids); err != nil {
		return err
	}
	select {}
}

// lateness is the p99, in ms, of what a push to one connection takes from its sending to its arrival. Who
// measures it is a process of its own: in this one it would stand in line behind the readers of the crowd.
func (h *hall) lateness() (float64, error) {
	p, err := h.workshop.Serve("push/prober", h.Host(), h.Path("/Prod"), h.region, h.keys.ID, h.keys.Secret)
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	return strconv.ParseFloat(p.Addr, 64)
}

// ServeProber pushes to a connection of its own and prints lateness. Its arguments are host, path, region and
// keys.
func ServeProber() error {
	host, path := flag.Arg(0), flag.Arg(1)
	c, id, err := dial(host, path)
	if err != nil {
		return err
	}
	defer c.Close()
	s := sender{region: flag.Arg(2), keys: access.Credentials{ID: flag.Arg(3), Secret: flag.Arg(4)}, client: &http.Client{}}
	to := "http://" + host + path + "/@connections/" + url.PathEscape(id)
	var took []float64
	for range pushes {
		t := time.Now()
		if err := s.send(to, []byte(text)); err != nil {
			return err
		}
		c.SetReadDeadline(t.Add(10 * time.Second))
		if _, err := c.Hear(); err != nil {
			return err
		}
		took = append(took, time.Since(t).Seconds()*1e3)
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println(measure.Percentile(took, 99))
	return nil
}

// gatherCrowd starts the crowd. It stands for people elsewhere, who take no processor of the server's: it is
// nice to all others.
func (h *hall) gatherCrowd() error {
	if h.crowd != nil {
		return nil
	}
	p, err := measure.Start(exec.Command("nice", "-n", "10", h.workshop.Self, "-serve", "push/crowd", h.Host(), h.Path("/Prod"), strconv.Itoa(crowd)), false)
	if err != nil {
		return err
	}
	h.crowd = p
	h.all, err = json.Marshal(map[string]any{"connectionIds": json.RawMessage(p.Addr), "data": text})
	return err
}

// beside is lateness while a crowd hears a broadcast every half second.
func (h *hall) beside() (late float64, err error) {
	if err := h.gatherCrowd(); err != nil {
		return 0, err
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { // waited for below
		for {
			if err := h.send(h.base+"/@connections", h.all); err != nil {
				ended <- err
				return
			}
			select {
			case <-time.After(500 * time.Millisecond):
			case <-stop:
				ended <- nil
				return
			}
		}
	}()
	late, err = h.lateness()
	close(stop)
	return late, errors.Join(err, <-ended)
}

func (h *hall) leave() {
	if h.crowd != nil {
		h.crowd.Kill()
	}
	h.hangUp()
	h.Kill()
}

// send signs and sends one POST, which has to reach all that it is for.
func (s *sender) send(to string, body []byte) error {
	r, err := http.NewRequest("POST", to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	sigv4.Sign(r, body, s.keys, s.region, "execute-api", time.Now())
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || len(said) > 0 && !bytes.HasSuffix(said, []byte(`"gone":[],"failed":[]}`)) {
		return fmt.Errorf("%s answered %s: %.300s", to, resp.Status, said)
	}
	return nil
}

// post is the CPU of one of many POSTs to the connections in turn.
func (h *hall) post(s *measure.Process, base string) (float64, error) {
	var next atomic.Int64
	errs := make(chan error, posters)
	before := s.CPU()
	for range posters {
		go func() { // waited for below
			for i := next.Add(1); i <= posts; i = next.Add(1) {
				if err := h.send(base+"/@connections/"+url.PathEscape(h.ids[i%audience]), []byte(text)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var first error
	for range posters {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return float64((s.CPU() - before).Microseconds()) / posts, first
}

func (h *hall) single() (float64, error) {
	before := h.got.Load()
	cost, err := h.post(h.Process, h.base)
	if err == nil {
		err = h.arrived(before + posts)
	}
	return cost, err
}

// batch is the CPU for each connection of a POST for n, so many times by each of so many callers.
func (h *hall) batch(n, times, callers int) (float64, error) {
	body, err := json.Marshal(map[string]any{"connectionIds": h.ids[:n], "data": text})
	if err != nil {
		return 0, err
	}
	cpu, before := h.CPU(), h.got.Load()
	errs := make(chan error, callers)
	for range callers {
		go func() { // waited for below
			for range times {
				if err := h.send(h.base+"/@connections", body); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		err = errors.Join(err, <-errs)
	}
	all := n * times * callers
	if err == nil {
		err = h.arrived(before + int64(all))
	}
	return float64((h.CPU() - cpu).Microseconds()) / float64(all), err
}

// arrived waits until the audience has got so many texts.
func (h *hall) arrived(n int64) error {
	for end := time.Now().Add(20 * time.Second); h.got.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d texts of %d arrived", h.got.Load(), n)
		}
	}
	return nil
}

// ServeEmpty reads requests and answers 200.
func ServeEmpty() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
}
