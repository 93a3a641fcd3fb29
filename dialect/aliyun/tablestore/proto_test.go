package tablestore

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMessagesReadAsTheSDKsSendThem(t *testing.T) {
	t.Parallel()
	row := plainRow(wireRow{Key: []cell{textCell("uuid", "h1")}, Cells: []cell{intCell("n", 7)}})
	key := keyRow(textCell("uuid", "h1"))
	if len(row) != 0x37 || len(key) != 0x1f {
		t.Fatalf("rows have %d and %d bytes", len(row), len(key))
	}
	// A PutRow of the Python SDK, one of the Node SDK that asks for the key, and a GetRow.
	put := unhex(t, "0a04 636f6465 1237"+hex.EncodeToString(row)+"1a02 0802")
	var got rowRequest
	if err := unmarshal(append(put, unhex(t, "2202 0801")...), &got); err != nil {
		t.Fatal(err)
	}
	want := rowRequest{Table: "code", Row: row, Condition: condition{Existence: expectNotExist}, Return: &returnContent{Type: returnKey}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PutRow (-want +got):\n%s", diff)
	}
	var get getRowRequest
	if err := unmarshal(unhex(t, "0a04 636f6465 121f"+hex.EncodeToString(key)+"2801"), &get); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(getRowRequest{Table: "code", Key: key, MaxVersions: new(int32(1))}, get); diff != "" {
		t.Errorf("GetRow (-want +got):\n%s", diff)
	}
}

func TestRequiredFieldsAreWrittenAndDemanded(t *testing.T) {
	t.Parallel()
	if got, want := hex.EncodeToString(marshal(&getRowResponse{})), "0a060a04080010001200"; got != want {
		t.Errorf("empty GetRow answer is %s, want %s", got, want)
	}
	for name, b := range map[string]string{
		"no condition":           "0a01 61 1201 62",
		"an empty condition":     "0a01 61 1201 62 1a00",
		"a table of wrong type":  "0801 1201 62 1a02 0800",
		"cut in the middle":      "0a01 61 1201 62 1a02 08",
		"a length past the end":  "0a7f 61",
		"a group without an end": "0a01 61 1201 62 1a02 0800 33",
	} {
		if err := unmarshal(unhex(t, b), &rowRequest{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	unknown := "0a01 61 1201 62 1a02 0800 9a0603 010203 a00607"
	if err := unmarshal(unhex(t, unknown), &rowRequest{}); err != nil {
		t.Errorf("unknown fields: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(marshal(&createTableRequest{Meta: tableMeta{Name: "t", Key: []keySchema{{Name: "id", Type: 1}}}, Options: &tableOptions{}, Stream: &streamSpec{}}))
	f.Add(marshal(&batchWriteRequest{Tables: []batchWriteTable{{"t", []batchWriteRow{{Type: 1, Return: &returnContent{}}}}}}))
	f.Add(marshal(&getRangeRequest{Table: "t", Time: &timeRange{Start: new(int64(1))}, Columns: []string{"a", "b"}}))
	f.Add(marshal(&percentilesBody{Field: "a", Percentiles: []float64{50, 99.9}}))
	f.Add(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), make([]byte, 16))) // packed
	f.Add(marshal(&functionsQuery{Functions: []scoreFunction{{Weight: new(float32(2)), Random: &none{}, Decay: &decayFunction{Field: "a"}}}}))
	f.Add(marshal(&groupDateBody{Field: "a", Interval: dateValue{1, 2}, Sort: &groupSort{[]groupSorter{{Key: &orderOnly{}}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, msg := range []any{&percentilesBody{}, &functionsQuery{}, &groupDateBody{}, &groupCompositeBody{}, &scanQuery{}, &streamRecordRequest{}, &createTableRequest{}, &updateTableRequest{}, &batchWriteRequest{}, &batchGetRequest{}, &getRangeRequest{}, &rowRequest{}} {
			if unmarshal(b, msg) != nil {
				continue
			}
			if err := unmarshal(marshal(msg), msg); err != nil {
				t.Errorf("%T is not read after it was written: %v", msg, err)
			}
		}
	})
}
