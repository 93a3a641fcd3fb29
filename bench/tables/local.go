package tables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// localVersion is that of AWS's DynamoDB Local, which is in Java upon SQLite.
const localVersion = "2.5.2"

const localProject = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>bench</artifactId><version>1</version>
<dependencies><dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>` + localVersion + `</version></dependency></dependencies>
</project>
`

// local is AWS's DynamoDB Local with some options; Maven brings its libraries once.
func local(ctx context.Context, w *measure.Workshop, options ...string) func(string) (*exec.Cmd, error) {
	return func(port string) (*exec.Cmd, error) {
		for _, program := range []string{"java", "mvn"} {
			if _, err := exec.LookPath(program); err != nil {
				return nil, fmt.Errorf("%s is not installed", program)
			}
		}
		dir := filepath.Join(w.Cache, "dynamodb-local-"+localVersion)
		libs := filepath.Join(dir, "libs")
		if _, err := os.Stat(libs); err != nil {
			if err := fetchLocal(ctx, dir, libs); err != nil {
				return nil, fmt.Errorf("Maven has no DynamoDB Local for us: %w", err)
			}
		}
		args := append([]string{"-Djava.library.path=" + libs, "-cp", filepath.Join(libs, "*"),
			"com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-disableTelemetry", "-port", port}, options...)
		return exec.Command("java", args...), nil
	}
}

// fetchLocal leaves libs behind only when it is whole.
func fetchLocal(ctx context.Context, dir, libs string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(localProject), 0o644); err != nil {
		return err
	}
	part := libs + ".part"
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+part)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%w: %s", err, said)
	}
	return os.Rename(part, libs)
}

// warm asks for a while what it will be asked, so that a JIT has done its work before the first figure.
func (x *wire) warm() {
	for _, of := range []func(*wire) requests{puts, gets, updates, queries, puts} {
		if x.err == nil {
			_, err := perSecond(writers, x.one(of))
			x.err = errors.Join(x.err, err)
		}
	}
}
