package lambda

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/sluicehq/sluice/e2e/live"
)

// code tells the address in EAR of each call.
const code = `exports.handler = async (event) => { await fetch(process.env.EAR, { method: 'POST', body: String(event.n) }) }`

// client is Lambda of a server, with the operator's keys.
func client(t *testing.T, s *live.Server) *lambda.Client {
	t.Helper()
	out, err := s.Sluice("env")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(out) {
		name, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(v, `'"`)
	}
	return lambda.New(lambda.Options{Region: "us-east-1", BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Retryer: aws.NopRetryer{}, HTTPClient: live.Patient{},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")})
}

// create makes a function of one file.
func create(t *testing.T, c *lambda.Client, name, code string, env map[string]string) *string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, code)
	z.Close()
	if _, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: aws.String("arn:aws:iam::000000000000:role/any"), Runtime: types.RuntimeNodejs20x, Handler: aws.String("index.handler"),
		Code: &types.FunctionCode{ZipFile: b.Bytes()}, Timeout: aws.Int32(20), Environment: &types.Environment{Variables: env}}); err != nil {
		t.Fatal(err)
	}
	return &name
}

// TestKillLosesNoEvent kills the server while clients call a function asynchronously. Each call that was
// accepted is made, if need be after the next start.
func TestKillLosesNoEvent(t *testing.T) {
	var mu sync.Mutex
	heard := map[int]bool{}
	ear := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the instance was killed while it told
		}
		n, err := strconv.Atoi(string(b))
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		heard[n] = true
	}))
	defer ear.Close()
	s := live.Launch(t, "", "serve")
	c := client(t, s)
	name := create(t, c, "ear", code, map[string]string{"EAR": ear.URL})
	if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{"n":0}`)}); err != nil { // it runs
		t.Fatal(err)
	}
	accepted := map[int]bool{}
	var wg sync.WaitGroup
	begun := make(chan struct{})
	for worker := range 4 {
		wg.Go(func() {
			for n := worker + 1; ; n += 4 {
				out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"n":` + strconv.Itoa(n) + `}`)})
				if err != nil {
					return // the server is dead
				}
				mu.Lock()
				if accepted[n] = out.StatusCode == 202; len(accepted) == 30 {
					close(begun)
				}
				mu.Unlock()
			}
		})
	}
	<-begun
	s.Kill()
	wg.Wait()

	mu.Lock()
	before := len(heard)
	mu.Unlock()
	live.Launch(t, s.Data, "serve")
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var lost []int
		mu.Lock()
		for n := range accepted {
			if !heard[n] {
				lost = append(lost, n)
			}
		}
		mu.Unlock()
		if len(lost) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("of %d calls %d were made before the end, and these never: %v", len(accepted), before, lost)
		}
	}
	t.Logf("%d calls, %d of them made before the end", len(accepted), before)
}
