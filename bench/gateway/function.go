package gateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/lxzan/gws"

	"github.com/sluicehq/sluice/bench/measure"
)

// functionTemplate is an API of AWS's that passes each message on to a function behind HTTP, and its answer back.
const functionTemplate = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: Ask, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action } }
  Ask: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: "http://%s/" } }
  Any: { Type: AWS::ApiGatewayV2::Route, Properties: { ApiId: !Ref Api, RouteKey: $default, RouteResponseSelectionExpression: $default, Target: !Sub "integrations/${Ask}" } }
  Answer: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref Any, RouteResponseKey: $default } }
  Deployment: { Type: AWS::ApiGatewayV2::Deployment, DependsOn: [Any], Properties: { ApiId: !Ref Api } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: Prod, DeploymentId: !Ref Deployment } }
Outputs:
  Url: { Value: !Sub "wss://${Api}.execute-api.${AWS::Region}.amazonaws.com/${Stage}" }
`

// asked takes a figure of a gateway before a function behind HTTP.
func asked(w *measure.Workshop, start func(function string) (*measure.Process, error), take func(*measure.Process) (float64, error)) (float64, error) {
	f, err := w.Serve("gateway/function")
	if err != nil {
		return 0, err
	}
	defer f.Kill()
	s, err := start(f.Addr)
	if err != nil {
		return 0, err
	}
	defer s.Kill()
	return take(s)
}

// asking starts sluice with an API that asks the function.
func asking(w *measure.Workshop, function string) (*measure.Process, error) {
	dir, err := os.MkdirTemp(w.Temp, "ask-*")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), fmt.Appendf(nil, functionTemplate, function), 0o644); err != nil {
		return nil, err
	}
	s, err := w.Run("dev", dir, "--no-reload")
	if err != nil {
		return nil, err
	}
	s.Process.Addr = s.Host() + s.Path("/Prod")
	return s.Process, nil
}

// ServeFunction answers a request with its body: to the events of WebSocket-over-HTTP, too, this says that a
// connection may be opened and that a text is sent back. Centrifugo's remote calls are answered with their data.
func ServeFunction() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		io.Copy(w, r.Body)
	})
	http.HandleFunc("/rpc", func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"result": call})
	})
	return http.Serve(ln, nil)
}

// ServeGWSAsking passes messages on as asking's API does, with gws and net/http's client. Its argument is the
// function's address.
func ServeGWSAsking() error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	return serveGWS(&asker{client: client, to: "http://" + flag.Arg(0) + "/"})
}

type asker struct {
	gws.BuiltinEventHandler
	client *http.Client
	to     string
}

func (a *asker) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	resp, err := a.client.Post(a.to, "application/json", bytes.NewReader(m.Bytes()))
	if err != nil {
		c.NetConn().Close()
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.NetConn().Close()
		return
	}
	c.WriteMessage(gws.OpcodeText, answer)
}
