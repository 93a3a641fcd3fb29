package e2e

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"hash/crc64"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fcServer runs the real binary on an empty data folder, and returns where it is and the operator's key.
func fcServer(t *testing.T) (admin, public, id, secret string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sluice")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/sluice")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "serve", "--json", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
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
	out, err := exec.CommandContext(t.Context(), binary, "env", "--admin", ready.Admin).Output()
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
	return ready.Admin, ready.Public[0], id, secret
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
