package scli

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aliyun/tablestore"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// world is a server, and an app's environment in which s runs.
type world struct {
	t      *testing.T
	tables *table.Tables
	env    map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	tables, err := table.Open(t.Context(), store, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := access.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(tablestore.New(tablestore.Options{Tables: tables, Keys: keys}))
	t.Cleanup(server.Close)
	key, err := keys.AppKey(t.Context(), "wall")
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, tables, map[string]string{
		"SLUICE_TABLESTORE_ENDPOINT": server.URL, AppVariable: "wall", DomainVariable: "wall.localhost:8080",
		"ALIBABA_CLOUD_ACCESS_KEY_ID": key.ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.Secret,
	}}
}

// s runs the tool.
func (w *world) s(args ...string) (code int, out, errs string) {
	w.t.Helper()
	var o, e bytes.Buffer
	tool := Tool{Version: "1.2.3", Env: func(k string) string { return w.env[k] }, Out: &o, Err: &e}
	code = tool.Run(w.t.Context(), args)
	return code, o.String(), e.String()
}

const equipment = `{"tableMeta":{"tableName":"things","primaryKey":[{"name":"gid","type":"INTEGER"},{"name":"id","type":"INTEGER","option":"AUTO_INCREMENT"}],
	"definedColumn":[{"name":"kind","type":4}]},"reservedThroughput":{"capacityUnit":{"read":0,"write":0}},
	"tableOptions":{"timeToLive":-1,"maxVersions":1},"streamSpecification":{"enableStream":true,"expirationTime":24}}`

func TestHookMakesItsTables(t *testing.T) {
	w := newWorld(t)
	create := []string{"cli", "tablestore", "createTable", "-p", equipment, "-a", "default", "endpoint", "https://elsewhere.example", "instance", "shop"}
	if code, out, errs := w.s(create...); code != 0 || out != "table things is made\n" {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	spec, err := w.tables.Lookup(t.Context(), "shop", "things")
	if err != nil {
		t.Fatal(err)
	}
	want := []table.KeyColumn{{Name: "gid", Type: table.Int}, {Name: "id", Type: table.Int, AutoIncrement: true}}
	if d := cmp.Diff(want, spec.Key); d != "" {
		t.Errorf("key (-want +got):\n%s", d)
	}
	if spec.Stream == nil || spec.Stream.Hours != 24 {
		t.Errorf("stream %v", spec.Stream)
	}
	// The hook runs again whenever it changed.
	if code, out, _ := w.s(create...); code != 0 || !strings.Contains(out, "is there already") {
		t.Errorf("a second time: exit %d: %s", code, out)
	}
}

func TestHookWritesItsRows(t *testing.T) {
	w := newWorld(t)
	w.s("cli", "tablestore", "createTable", "-p", `{"tableMeta":{"tableName":"modes","primaryKey":[{"name":"id","type":"INTEGER"}]}}`)
	insert := []string{"cli", "tablestore", "insertTable", "-p", `{"words":" ","status":2,"rate":0.5,"open":true}`, "instance", "wall", "primaryKey", "id", "primaryValue", "1", "tablename", "modes"}
	if code, out, errs := w.s(insert...); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	spec, err := w.tables.Lookup(t.Context(), "wall", "modes")
	if err != nil {
		t.Fatal(err)
	}
	row, err := w.tables.Get(t.Context(), spec, table.Key{{Type: table.Int, Int: 1}})
	if err != nil || row == nil {
		t.Fatalf("row %v, %v", row, err)
	}
	got := map[string]table.Value{}
	for _, c := range row.Columns {
		got[c.Name] = c.Cells[0].Value
	}
	want := map[string]table.Value{"words": {Type: table.String, Str: " "}, "status": {Type: table.Int, Int: 2},
		"rate": {Type: table.Float, Float: 0.5}, "open": {Type: table.Bool, Int: 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("columns (-want +got):\n%s", d)
	}
}

func TestExitCodesAndWords(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-v", 0, "sluice 1.2.3"},
		{"--version", 0, "sluice 1.2.3"},
		{"config get -a default", 0, "AccessKeyID: SLAK"},
		{"api-gateway bindDomain", 0, "wall.localhost:8080 is bound to api-gateway"},
		{"", 0, "the tool of Serverless Devs"},
		{"deploy -h", 0, "the tool of Serverless Devs"},
		{"fly", 100, "does not run"},
		{"hello fly", 100, "does not run"},
		{"cli fc invoke", 100, "does not run"},
		{"config add --AccessKeyID x -a default", 0, "makes the keys"},
		{"build --use-docker", 0, "nothing to build"},
		{"init start-barrage -d x", 100, "clone one with git"},
		{"registry list", 100, "no registry"},
		{"deploy -y", 0, "the deploy that runs this"},
		{"remove -y", 100, "not while it is deployed"},
		{"hello remove", 100, "as a whole"},
		{"download http://x", 100, "wants an address and a folder"},
		{"cli tablestore dropTable", 100, `no method "dropTable"`},
		{"cli tablestore createTable -p {", 101, "read table"},
		{`cli tablestore createTable -p {"tableMeta":{"primaryKey":[{"name":"a","type":"DATE"}]}}`, 101, "want STRING"},
		{"cli tablestore insertTable -p {} primaryValue one", 101, "one"},
		{"cli tablestore insertTable -p {} primaryKey id primaryValue 1 tablename none", 101, "OTSObjectNotExist"},
		{`cli tablestore insertTable -p {"a":[]} primaryKey id primaryValue 1 tablename none`, 101, `column "a"`},
	} {
		code, out, errs := w.s(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("s %s: exit %d: %s%s; want %d and %q", c.args, code, out, errs, c.code, c.says)
		}
	}
	delete(w.env, "SLUICE_TABLESTORE_ENDPOINT")
	if code, _, errs := w.s("cli", "tablestore", "createTable"); code != 101 || !strings.Contains(errs, "no server is known") {
		t.Errorf("without a server: exit %d: %s", code, errs)
	}
}
