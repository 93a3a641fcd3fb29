package samples

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sluicehq/sluice/e2e/live"
)

// Functions in Go, Python and Node reach us at addresses of AWS that they build themselves, over TLS that
// they verify. Objects call one of them, and a table's stream another, also after a kill in the midst of a call.
func TestFunctionsOfEachLanguage(t *testing.T) {
	var deaf atomic.Bool
	heard, waiting := make(chan string, 100), make(chan struct{}, 100)
	release := make(chan struct{})
	ear := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if deaf.Load() {
			waiting <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		heard <- string(b)
	}))
	defer ear.Close()
	defer close(release)
	data := t.TempDir()
	args := []string{"dev", "../testdata/aws-languages", "--no-reload", "--param", "Ear=" + ear.URL}
	s := live.Launch(t, data, args...)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	conn, _, _, err := ws.Dialer{}.Dial(ctx, "ws"+strings.TrimPrefix(s.Public[0], "http")+"/live")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for action, want := range map[string]string{"go": "from go", "py": "from python", "js": "from node"} {
		if err := wsutil.WriteClientText(conn, fmt.Appendf(nil, `{"action":%q}`, action)); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if got, err := wsutil.ReadServerText(conn); err != nil || string(got) != want {
			t.Fatalf("%s: %s, %v\n%s", action, got, err, s.Said())
		}
	}

	put := func(s *live.Server, id string) {
		t.Helper()
		db := dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Admin), Credentials: key(t, s), HTTPClient: live.Patient{}})
		if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("Things"), Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}}); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nobody tells %q", want)
		}
	}
	put(s, "first")
	hears("INSERT first 1")
	box := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Admin), UsePathStyle: true, Credentials: key(t, s), HTTPClient: live.Patient{}})
	for _, name := range []string{"out/a.txt", "in/b.txt"} {
		if _, err := box.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("languages-box"), Key: aws.String(name), Body: strings.NewReader("text")}); err != nil {
			t.Fatal(err)
		}
	}
	hears("ObjectCreated:Put languages-box in/b.txt text")
	deaf.Store(true)
	put(s, "second")
	put(s, "third")
	<-waiting
	s.Kill()
	deaf.Store(false)
	s = live.Launch(t, data, args...)
	hears("INSERT second 1")
	hears("INSERT third 1")
}

// key is the operator's.
func key(t *testing.T, s *live.Server) aws.CredentialsProvider {
	t.Helper()
	out, err := s.Sluice("env")
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]string{}
	for line := range strings.Lines(out) {
		name, val, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		v[name] = strings.Trim(val, `'"`)
	}
	return credentials.NewStaticCredentialsProvider(v["AWS_ACCESS_KEY_ID"], v["AWS_SECRET_ACCESS_KEY"], "")
}
