package tablestore

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAMatrixIsWrittenOnlyWhereItCanBe(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 7))), nil)
	walk := func(versions int32, names ...string) (resp getRangeResponse) {
		c.do("GetRange", &getRangeRequest{Table: "t", From: keyRow(minCell("id")), To: keyRow(maxCell("id")), MaxVersions: &versions, Columns: names, Block: blockMatrix}, &resp)
		return resp
	}
	m := walk(1, "n")
	want := "53524d30 22000000 1b000000 01000000 01000000 0200 6964 0100 6e 0a01 03 01000000 02 03020000007531 000700000000000000 01"
	if got := m.Rows[:max(0, len(m.Rows)-1)]; m.Block != blockMatrix || !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("the matrix is %x, want %s and a checksum", got, want)
	}
	for _, resp := range []getRangeResponse{walk(1), walk(2, "n")} {
		if diff := cmp.Diff("id=u1: n=7", c.showRows(resp.Rows)); resp.Block != 0 || diff != "" {
			t.Errorf("block %d (-want +got):\n%s", resp.Block, diff)
		}
	}
}
