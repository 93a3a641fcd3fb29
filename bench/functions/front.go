package functions

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/post"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// front is a server in front of a function: HTTP in, JSON out.
type front struct {
	name string
	ask  func() error
	stop func()
	err  error // why it cannot be had
}

// invocations is the path of Lambda's call of a function.
func invocations(name string) string { return "/2015-03-31/functions/" + name + "/invocations" }

const frontTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  Node: { Type: AWS::Serverless::Function, Properties: { FunctionName: node, Runtime: nodejs20.x, Handler: index.handler, CodeUri: node/ } }
  Go: { Type: AWS::Serverless::Function, Properties: { FunctionName: go, Runtime: provided.al2023, Handler: bootstrap, CodeUri: go/ } }
`

// fronts is a whole sluice with the handlers, asked by Lambda's own API.
func fronts(w *measure.Workshop, program string) (node, goes *front, stop func(), err error) {
	dir := filepath.Join(w.Temp, "fronts")
	for name, text := range map[string]string{"template.yaml": frontTemplate, "node/index.js": jsonHandler, "go/bootstrap": program} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, nil, nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return nil, nil, nil, err
		}
	}
	s, err := w.Run("dev", dir, "--no-reload")
	if err != nil {
		return nil, nil, nil, err
	}
	if err := s.Keys(); err != nil {
		s.Kill()
		return nil, nil, nil, err
	}
	address, err := url.Parse(s.Env["AWS_ENDPOINT_URL"])
	if err != nil {
		s.Kill()
		return nil, nil, nil, err
	}
	server := post.To(strings.Replace(address.Host, "localhost", "127.0.0.1", 1), 1)
	make := func(name, want string) *front {
		var signed []byte
		var at time.Time
		return &front{name: "sluice", ask: func() error {
			if time.Since(at) > time.Minute { // signatures grow old
				at, signed = time.Now(), sign(s, invocations(name))
			}
			return server.Ask(signed, says(want))
		}}
	}
	return make("node", jsonAnswer), make("go", string(event)), s.Kill, nil
}

// sign is a call with the event as AWS's SDKs sign it.
func sign(s *measure.Running, path string) []byte {
	r, _ := http.NewRequest("POST", "http://localhost"+path, nil) // a constant
	keys := access.Credentials{ID: s.Env["AWS_ACCESS_KEY_ID"], Secret: s.Env["AWS_SECRET_ACCESS_KEY"]}
	sigv4.Sign(r, event, keys, s.Env["AWS_REGION"], "lambda", time.Now())
	var headers []string
	for name, values := range r.Header {
		headers = append(headers, name, values[0])
	}
	return post.Request(path, string(event), headers...)
}

// says checks an answer.
func says(want string) func([]byte) error {
	return func(body []byte) error {
		if string(body) != want {
			return fmt.Errorf("answered %.200s where it is %.200s", body, want)
		}
		return nil
	}
}

// beside compares ours with a peer in front of the same handler.
func (f *front) beside(peer *front, name string, goal float64) measure.Case {
	c := measure.Case{Name: name, Goal: goal, Reference: measure.Side{Name: peer.name}}
	if peer.err != nil {
		c.Unit, c.Cost, c.Skip = "µs", true, peer.err.Error()
		return c
	}
	return inTurns(c, f.ask, peer.ask)
}
