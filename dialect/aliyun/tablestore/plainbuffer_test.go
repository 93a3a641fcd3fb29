package tablestore

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func textValue(s string) table.Value    { return table.Value{Type: table.String, Str: s} }
func intValue(n int64) table.Value      { return table.Value{Type: table.Int, Int: n} }
func textCell(name, s string) cell      { return cell{Name: name, Kind: vtString, Value: textValue(s)} }
func intCell(name string, n int64) cell { return cell{Name: name, Kind: vtInteger, Value: intValue(n)} }

const keyU1 = "01 03 04 02000000 6964 05 07000000 03 02000000 7531 0a 11"

// vectors are rows that three official SDKs encode alike.
var vectors = []struct {
	name string
	hex  string
	row  wireRow
}{
	{"put", "75000000" + keyU1 + "02 03 04 01000000 6e 05 09000000 00 0700000000000000 0a 22 09 4d",
		wireRow{Key: []cell{textCell("id", "u1")}, Cells: []cell{intCell("n", 7)}}},
	{"put with a time", "75000000" + keyU1 + "02 03 04 01000000 6e 05 09000000 00 0700000000000000 07 0068e5cf8b010000 0a d5 09 32",
		wireRow{Key: []cell{textCell("id", "u1")}, Cells: []cell{{Name: "n", Kind: vtInteger, Value: intValue(7), Time: 1700000000000, HasTime: true}}}},
	{"auto-increment", `75000000 01 03 04 03000000 676964 05 09000000 00 0100000000000000 0a 2a
		03 04 02000000 6964 05 01000000 0b 0a 6f
		02 03 04 07000000 6d657373616765 05 07000000 03 02000000 6869 0a 0d 09 39`,
		wireRow{
			Key:   []cell{intCell("gid", 1), {Name: "id", Kind: vtAuto, Value: table.Value{Type: table.Min}}},
			Cells: []cell{textCell("message", "hi")},
		}},
	{"delete all versions", "75000000" + keyU1 + "02 03 04 01000000 61 06 01 0a e7 09 e1",
		wireRow{Key: []cell{textCell("id", "u1")}, Cells: []cell{{Name: "a", Kind: vtNone, Op: opDeleteAll}}}},
	{"delete one version", "75000000" + keyU1 + "02 03 04 01000000 61 06 03 07 0068e5cf8b010000 0a de 09 a5",
		wireRow{Key: []cell{textCell("id", "u1")}, Cells: []cell{{Name: "a", Kind: vtNone, Op: opDeleteVersion, Time: 1700000000000, HasTime: true}}}},
	{"increment", "75000000" + keyU1 + "02 03 04 01000000 63 05 09000000 00 0500000000000000 06 04 0a 9b 09 bf",
		wireRow{Key: []cell{textCell("id", "u1")}, Cells: []cell{{Name: "c", Kind: vtInteger, Value: intValue(5), Op: opIncrement}}}},
	{"delete row", "75000000" + keyU1 + "08 09 45", wireRow{Key: []cell{textCell("id", "u1")}, Delete: true}},
	{"least key", "75000000 01 03 04 02000000 6964 05 01000000 09 0a 61 09 e0",
		wireRow{Key: []cell{{Name: "id", Kind: vtInfMin, Value: table.Value{Type: table.Min}}}}},
	{"greatest key", "75000000 01 03 04 02000000 6964 05 01000000 0a 0a 68 09 5d",
		wireRow{Key: []cell{{Name: "id", Kind: vtInfMax, Value: table.Value{Type: table.Max}}}}},
	{"all types", `75000000 0103040200000069640507000000 07 02000000 0102 0a0b
		02 03040100000064 0509000000 01 9a99999999194140 0aca
		03040100000062 0502000000 02 01 0a3e 03040100000066 0502000000 02 00 0a92
		03040100000073 0507000000 03 02000000 c3a9 0a00 03040100000078 0506000000 07 01000000 ff 0a93 09ab`,
		wireRow{
			Key: []cell{{Name: "id", Kind: vtBlob, Value: table.Value{Type: table.Binary, Str: "\x01\x02"}}},
			Cells: []cell{
				{Name: "d", Kind: vtDouble, Value: table.Value{Type: table.Float, Float: 34.2}},
				{Name: "b", Kind: vtBoolean, Value: table.Value{Type: table.Bool, Int: 1}},
				{Name: "f", Kind: vtBoolean, Value: table.Value{Type: table.Bool}},
				textCell("s", "é"),
				{Name: "x", Kind: vtBlob, Value: table.Value{Type: table.Binary, Str: "\xff"}},
			},
		}},
}

func TestRowsReadAndWriteAsTheSDKsDo(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			wire := unhex(t, v.hex)
			for _, tail := range []int{0, 1, 5, 22} { // the Node SDK appends zeros
				got, err := parseRow(append(bytes.Clone(wire), make([]byte, tail)...))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(v.row, got); diff != "" {
					t.Errorf("read, with %d zeros after it (-want +got):\n%s", tail, diff)
				}
			}
			if diff := cmp.Diff(hex.EncodeToString(wire), hex.EncodeToString(appendRow(appendHeader(nil), v.row))); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBrokenRowsSayWhatIsBroken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		hex  string
		want error
	}{
		{"nothing", "", errHeader},
		{"another header", "76000000" + keyU1 + "09 00", errHeader},
		{"no key part", "75000000 09 00", errNoKey},
		{"an empty key part", "75000000 01 09 00", errNoKey},
		{"no row checksum", "75000000" + keyU1, errRowEnd},
		{"wrong row checksum", "75000000" + keyU1 + "09 46", errChecksum},
		{"wrong cell checksum", "75000000 01 03 04 02000000 6964 05 07000000 03 02000000 7531 0a 12 09 45", errChecksum},
		{"no cell checksum", "75000000 01 03 04 02000000 6964 05 07000000 03 02000000 7531 09 45", errCellEnd},
		{"a name that is too long", "75000000 01 03 04 ffffff7f 6964", errTruncated},
		{"a negative length", "75000000 01 03 04 ffffffff 6964", errTruncated},
		{"an unknown type", "75000000 01 03 04 02000000 6964 05 01000000 0f 0a 00 09 00", errVariant},
		{"a value with bytes to spare", "75000000 01 03 04 02000000 6964 05 03000000 02 01 00 0a 00 09 00", errVariant},
		{"an unknown operation", "75000000" + keyU1 + "02 03 04 01000000 61 06 02 0a e7 09 e1", errOp},
	}
	for _, c := range cases {
		if _, err := parseRow(unhex(t, c.hex)); err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzRow(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := parseRow(b)
		if err != nil {
			return
		}
		wire := appendRow(appendHeader(nil), row)
		again, err := parseRow(wire)
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if !bytes.Equal(wire, appendRow(appendHeader(nil), again)) {
			t.Fatalf("row changed: %+v, then %+v", row, again)
		}
	})
}
