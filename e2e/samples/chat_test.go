// Package samples runs apps as the clouds' own samples are written, unmodified, on the real binary.
package samples

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/e2e/live"
)

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }

// The chat is of the design that AWS's own sample has. SIMPLE_CHAT may name a checkout of the sample itself,
// github.com/aws-samples/simple-websockets-chat-app, which is not ours to ship.
func TestChatOfThreeFunctions(t *testing.T) {
	for name, dir := range map[string]string{"ours": "../testdata/aws-chat", "AWS's own": os.Getenv("SIMPLE_CHAT")} {
		t.Run(name, func(t *testing.T) {
			if dir == "" {
				t.Skip("SIMPLE_CHAT names no checkout")
			}
			s := live.Launch(t, "", "dev", dir, "--no-reload", "--param", "TableName=simplechat_connections")
			address := ""
			for _, o := range s.App.Outputs {
				if strings.HasSuffix(o.Value, "/Prod") && strings.HasPrefix(o.Value, "ws://") {
					address = o.Value
				}
			}
			if address == "" {
				t.Fatalf("no address: %+v", s.App)
			}
			_, path, _ := strings.Cut(strings.TrimPrefix(address, "ws://"), "/")
			address = "ws" + strings.TrimPrefix(s.Public[0], "http") + "/" + path
			people := rows(t, s)
			ann := wscat(t, address)
			people.become(1)
			bob := wscat(t, address)
			people.become(2)
			connected(t, s, 2) // who is in the table is at the door yet
			ann.say(`{"action":"sendmessage","data":"hello"}`)
			ann.hears("hello")
			bob.hears("hello")
			bob.say(`not for anybody`)
			bob.hears(`{"message": "Forbidden", "connectionId":"`)
			bob.leave()
			people.become(1)
			ann.say(`{"action":"sendmessage","data":"alone?"}`)
			ann.hears("alone?")
			ann.leave()
			people.become(0)
		})
	}
}

// person is somebody who chats with the npm program wscat.
type person struct {
	t     *testing.T
	in    io.WriteCloser
	heard chan string
	skip  string // what hears passes over, by how it begins
	cmd   *exec.Cmd
}

func wscat(t *testing.T, address string, args ...string) *person {
	t.Helper()
	program, err := filepath.Abs("../testdata/wscat/node_modules/.bin/wscat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: run npm ci in e2e/testdata/wscat, as make test does", err)
	}
	p := &person{t: t, heard: make(chan string, 16), cmd: exec.Command(program, append([]string{"--no-color", "-c", address}, args...)...)}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	go func() { // ends with the program
		defer close(p.heard)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if text := strings.Trim(lines.Text(), "<> "); text != "" {
				p.heard <- text
			}
		}
	}()
	return p
}

func (p *person) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) hears(text string) {
	p.t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case got, ok := <-p.heard:
			if ok && p.skip != "" && strings.HasPrefix(got, p.skip) {
				continue
			}
			if !ok || !strings.HasPrefix(got, text) {
				p.t.Fatalf("heard %q (%v), want %q", got, ok, text)
			}
			return
		case <-late:
			p.t.Fatalf("heard nothing, want %q", text)
		}
	}
}

// skips lets hears pass over what begins so, from now on.
func (p *person) skips(prefix string) { p.skip = prefix }

// leave ends the program as its user does.
func (p *person) leave() {
	p.t.Helper()
	p.in.Close()
	p.cmd.Wait()
}

// table is the app's table of connections, as the official SDK sees it.
type table struct {
	t *testing.T
	*dynamodb.Client
}

func rows(t *testing.T, s *live.Server) *table {
	t.Helper()
	out, err := s.Sluice("env", "--dialect", "aws")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(out) {
		if name, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			env[name] = strings.Trim(v, `'"`)
		}
	}
	return &table{t, dynamodb.New(dynamodb.Options{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), HTTPClient: live.Patient{},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	})}
}

// become waits until the table has n rows.
func (c *table) become(n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		out, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("simplechat_connections")})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(out.Items) == n {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond): // DynamoDB tells nobody of its rows
		case <-ctx.Done():
			c.t.Fatalf("the table has %d rows, want %d", len(out.Items), n)
		}
	}
}
