package e2e

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var folder string // of the binary under test

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "sluice-e2e-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	return m.Run()
}

// build builds sluice, once.
var build = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(folder, "sluice")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return binary, nil
})

// serve runs the real binary on an empty data folder, and returns it and where it listens.
func serve(t *testing.T, args ...string) (binary, admin, public string) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"serve", "--json", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("server ended: %v\n%s", err, said.String())
		}
	})
	var ready struct {
		Event  string   `json:"event"`
		Admin  string   `json:"admin"`
		Public []string `json:"public"`
	}
	for sc := bufio.NewScanner(stdout); ready.Event != "ready"; {
		if !sc.Scan() {
			t.Fatal("server ended before it was ready")
		}
		json.Unmarshal(sc.Bytes(), &ready)
	}
	// By number, as in package live.
	number := strings.NewReplacer("//localhost:", "//127.0.0.1:")
	return binary, number.Replace(ready.Admin), number.Replace(ready.Public[0])
}

// fcServer is serve with the operator's key.
func fcServer(t *testing.T) (admin, public, id, secret string) {
	t.Helper()
	binary, admin, public := serve(t)
	out, err := exec.CommandContext(t.Context(), binary, "env", "--admin", admin).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		switch v = strings.Trim(v, `'"`); name {
		case "ALIBABA_CLOUD_ACCESS_KEY_ID":
			id = v
		case "ALIBABA_CLOUD_ACCESS_KEY_SECRET":
			secret = v
		}
	}
	return admin, public, id, secret
}

// fcCode makes the code package of a function that says word, and its checksum.
func fcCode(t *testing.T, word string) (file, checksum string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(strings.ReplaceAll(`
exports.handler = (event, context, callback) => {
  console.log('a line of log');
  if (String(event) === 'throw') throw new Error('thrown');
  callback(null, 'WORD ' + process.env.WHO + ' ' + event);
};
exports.web = (req, res) => {
  res.setStatusCode(201);
  res.send('WORD ' + req.method + ' ' + req.path);
};
exports.web3 = async (event) => {
  const { rawPath, requestContext } = JSON.parse(event);
  return { statusCode: 202, headers: {}, isBase64Encoded: false, body: 'WORD ' + requestContext.http.method + ' ' + rawPath };
};
`, "WORD", word)))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), word+".zip")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, strconv.FormatUint(crc64.Checksum(b.Bytes(), crc64.MakeTable(crc64.ECMA)), 10)
}

// TestFCNodeSDKs makes, alters, calls and deletes functions with both generations of the official SDK.
// They have to be installed in testdata/fc: npm ci.
func TestFCNodeSDKs(t *testing.T) {
	t.Parallel()
	const dir = "testdata/fc"
	if _, err := os.Stat(filepath.Join(dir, "node_modules/@alicloud/fc2")); err != nil {
		t.Fatal("the SDKs are not installed: run \"make test\", or npm ci in e2e/" + dir)
	}
	admin, public, id, secret := fcServer(t)
	zip1, crc1 := fcCode(t, "first")
	zip2, crc2 := fcCode(t, "second")
	cmd := exec.CommandContext(t.Context(), "node", "--test", "fc.test.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "FC_ADMIN="+admin, "FC_PUBLIC="+public, "FC_ID="+id, "FC_SECRET="+secret,
		"FC_ZIP1="+zip1, "FC_ZIP2="+zip2, "FC_CRC1="+crc1, "FC_CRC2="+crc2)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
}

// TestObjectsCallTheirFunction deploys a template with a trigger on a bucket, and puts and deletes objects
// of it without any key.
func TestObjectsCallTheirFunction(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 10)
	ear := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		heard <- string(b)
	}))
	defer ear.Close()
	binary, admin, _ := serve(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"s.yaml": `edition: 3.0.0
name: gallery
access: default
resources:
  files:
    component: oss
    props: {region: cn-hongkong, bucket: gallery-files, acl: public-read-write, codeUri: ./web}
  thumb:
    component: fc3
    props:
      region: cn-hongkong
      functionName: thumb
      runtime: nodejs20
      handler: index.handler
      code: ./code
      environmentVariables: {EAR: "` + ear.URL + `"}
      triggers:
        - triggerName: new
          triggerType: oss
          sourceArn: acs:oss:cn-hongkong:1:gallery-files
          triggerConfig: {events: ['oss:ObjectCreated:*', 'oss:ObjectRemoved:DeleteObject'], filter: {key: {prefix: in/, suffix: .jpg}}}
`,
		"web/index.html": "hi",
		"code/index.js": `exports.handler = async (event) => {
  const { events: [e] } = JSON.parse(event);
  await fetch(process.env.EAR, { method: 'POST', body: [e.eventName, e.oss.bucket.name, e.oss.object.key, e.oss.object.size].join(' ') });
};`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deploy := exec.CommandContext(t.Context(), binary, "deploy", "--admin", admin, dir)
	if out, err := deploy.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, step := range []struct{ method, key, want string }{
		{"PUT", "in/a.jpg", "ObjectCreated:PutObject gallery-files in/a.jpg 5"},
		{"PUT", "out/a.jpg", ""},
		{"DELETE", "in/a.jpg", "ObjectRemoved:DeleteObject gallery-files in/a.jpg 0"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), step.method, admin+"/"+step.key, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "gallery-files.oss-cn-hongkong.aliyuncs.com"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode >= 300 {
			t.Fatalf("%s %s: %s", step.method, step.key, res.Status)
		}
		if step.want == "" {
			continue
		}
		select {
		case got := <-heard:
			if got != step.want {
				t.Errorf("%s %s: the function got %q, want %q", step.method, step.key, got, step.want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s %s: the function was not called", step.method, step.key)
		}
	}
}
