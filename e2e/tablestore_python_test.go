package e2e

import "testing"

// TestTablestorePythonSDK runs testdata/python/tablestore_*.py, each against a server of its own.
func TestTablestorePythonSDK(t *testing.T) {
	t.Parallel()
	for _, module := range []string{"tablestore_rows", "tablestore_search", "tablestore_tables"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			endpoint, cred := tablestoreServer(t)
			runPython(t, module, "OTS_ENDPOINT="+endpoint, "OTS_INSTANCE=inst", "OTS_ID="+cred.ID, "OTS_SECRET="+cred.Secret)
		})
	}
}
