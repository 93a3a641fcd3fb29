package attr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

var (
	nines = strings.Repeat("9", 38)
	huge  = nines + strings.Repeat("0", 88)         // 9.99…E+125
	tiny  = "0." + strings.Repeat("0", 129) + "1"   // 1E-130
	frac  = "0." + strings.Repeat("0", 129) + nines // 38 digits from 1E-130 on
	inv   = "One or more parameter values were invalid: "
	ssDup = inv + "Input collection [b, a, b] contains duplicates."
)

func TestNumbersBecomeCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "+7": "7", "007": "7", "-1.50": "-1.5", "1e3": "1000", "1E-3": "0.001",
		".5": "0.5", "5.": "5", "12.34e1": "123.4", "0e125": "0", "0.0e126": "0", "100": "100", "-9e0": "-9", "-0.0e-5": "0",
		"123456789012345678901234567890": "123456789012345678901234567890",
		"0042.1200":                      "42.12",
		nines:                            nines,
		"-" + nines + "000":              "-" + nines + "000",
		"9." + nines[1:] + "E125":        huge,
		"1E-130":                         tiny,
		nines + "e-167":                  frac,
		"-1e125":                         "-1" + strings.Repeat("0", 125),
	} {
		got, err := ParseNumber(in)
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
		if again, err := ParseNumber(got); err != nil || again != got {
			t.Errorf("%s: its text %q is read as %q %v", in, got, again, err)
		}
	}
}

func TestNumbersAreRefused(t *testing.T) {
	no := notNumber + ": "
	for in, want := range map[string]string{
		"": notNumber, "b": no + "b", " 1": no + " 1", "1 ": no + "1 ", "1e": no + "1e", "--1": no + "--1", ".": no + ".", "e1": no + "e1",
		"0x10": no + "0x10", "NaN": no + "NaN", "1_0": no + "1_0", "1.2.3": no + "1.2.3", "Infinity": no + "Infinity",
		"1e126": overflow, "-1e126": overflow, "10e125": overflow, "1e2147483648": overflow, "1e99999999999": overflow, "0e126": overflow,
		"1e-131": underflow, "-1e-131": underflow, "0.1e-130": underflow, "1e-99999999999": underflow, "0e-131": underflow,
		"1e9223372036854775808": no + "1e9223372036854775808",
		nines + "1":             precision, "-1.2345678901234567890123456789012345678901": precision,
	} {
		if got, err := ParseNumber(in); err == nil || err.Message != want || err.Code != Validation {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
	}
}

func TestArithmeticIsExactOrRefused(t *testing.T) {
	for _, c := range []struct{ a, b, sum, difference string }{
		{"0.1", "0.2", "0.3", "-0.1"},
		{"9007199254740993", "1", "9007199254740994", "9007199254740992"},
		{"99999999999999999", "1", "100000000000000000", "99999999999999998"},
		{"-5", "5", "0", "-10"},
		{"5", "0", "5", "5"},
		{"1.10", "-1.10", "0", "2.2"},
		{tiny, tiny, "0." + strings.Repeat("0", 129) + "2", "0"},
		{frac, frac, "!" + overflow, "0"}, // 39 digits
		{nines, "1", "1" + strings.Repeat("0", 38), nines[:37] + "8"},
		{huge, "1", "!" + overflow, "!" + overflow},
		{huge, huge, "!" + overflow, "0"},
		{tiny, "1", "!" + overflow, "!" + overflow},
	} {
		a, b := mustNumber(t, c.a), mustNumber(t, c.b)
		for op, want := range map[string]string{"+": c.sum, "-": c.difference} {
			do := Add
			if op == "-" {
				do = Subtract
			}
			got, err := do(a, b)
			if err != nil {
				got = "!" + err.Message
			}
			if got != want {
				t.Errorf("%s %s %s = %s, want %s", c.a, op, c.b, got, want)
			}
		}
	}
}

func mustNumber(t testing.TB, s string) string {
	t.Helper()
	n, err := ParseNumber(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

// TestNumbersAgreeWithRationals compares random sums and orders with math/big, and the order with
// that of the table's keys.
func TestNumbersAgreeWithRationals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() string {
		digits := fmt.Sprint(r.Uint64N(1_000_000_000))
		s := fmt.Sprintf("%se%d", digits, r.IntN(20)-15)
		if r.IntN(2) == 0 {
			s = "-" + s
		}
		return mustNumber(t, s)
	}
	rat := func(s string) *big.Rat { x, _ := new(big.Rat).SetString(s); return x }
	for range 5000 {
		a, b := random(), random()
		if got, want := CompareNumbers(a, b), rat(a).Cmp(rat(b)); got != want {
			t.Fatalf("order of %s and %s: %d, want %d", a, b, got, want)
		}
		if got, want := CompareNumbers(a, b), table.Compare(Number(a), Number(b)); got != want {
			t.Fatalf("order of %s and %s: %d, the table has %d", a, b, got, want)
		}
		sum, err := Add(a, b)
		if err != nil || rat(sum).Cmp(new(big.Rat).Add(rat(a), rat(b))) != 0 {
			t.Fatalf("%s + %s = %s %v", a, b, sum, err)
		}
		difference, err := Subtract(a, b)
		if err != nil || rat(difference).Cmp(new(big.Rat).Sub(rat(a), rat(b))) != 0 {
			t.Fatalf("%s - %s = %s %v", a, b, difference, err)
		}
	}
}

func TestSizesAreThoseOfAWS(t *testing.T) {
	for n, want := range map[string]int{
		"0": 1, "1": 2, "12": 2, "123": 3, "1234": 3, "12345678901234567890123456789012345678": 20, "0042": 2, "100": 2,
		"1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2, "1.5": 3, "15": 2, "1.200": 3, "1.234": 4, "3.14159": 5,
		"123456": 4, "100.5": 4, "0.15": 2, "-42": 3, "-0": 1,
	} {
		if got := Size(Number(mustNumber(t, n))); got != want {
			t.Errorf("%s: %d bytes, want %d", n, got, want)
		}
	}
	for in, want := range map[string]int{
		`{"a":{"S":"xyz"}}`:                              4,
		`{"ab":{"S":"é"},"c":{"B":"AAEC"}}`:              8,
		`{"a":{"BOOL":true},"b":{"NULL":true}}`:          4,
		`{"a":{"L":[]}}`:                                 4,
		`{"a":{"L":[{"S":"x"},{"N":"1"}]}}`:              1 + 3 + 2 + 1 + 2,
		`{"a":{"M":{"k":{"S":"v"}}}}`:                    1 + 3 + 1 + 2,
		`{"a":{"SS":["x","yz"]},"b":{"NS":["1","-22"]}}`: 1 + 3 + 1 + 2 + 3,
	} {
		if got := ItemSize(decodeItem(t, in)); got != want {
			t.Errorf("%s: %d bytes, want %d", in, got, want)
		}
	}
}

func decodeItem(t testing.TB, s string) Item {
	t.Helper()
	item, err := DecodeItem(json.RawMessage(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return item
}

func TestItemsComeBackInNormalForm(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: `{}`,
		`{"b":{"S":"x\n\"\\\u00e9\u0001é"},"a":{"N":"+01.50"}}`:                            `{"a":{"N":"1.5"},"b":{"S":"x\n\"\\é\u0001é"}}`,
		`{"a":{"BOOL":true},"b":{"BOOL":false},"c":{"NULL":true},"d":{"B":""}}`:            `{"a":{"BOOL":true},"b":{"BOOL":false},"c":{"NULL":true},"d":{"B":""}}`,
		`{"a":{"BOOL":"no"},"b":{"BOOL":"1"},"c":{"NULL":"yes"}}`:                          `{"a":{"BOOL":false},"b":{"BOOL":true},"c":{"NULL":true}}`,
		`{"s":{"SS":["b","a","é"]},"n":{"NS":["10","9","-1"]},"x":{"BS":["/w==","AA=="]}}`: `{"n":{"NS":["10","9","-1"]},"s":{"SS":["a","b","é"]},"x":{"BS":["AA==","/w=="]}}`,
		`{"l":{"L":[{"M":{"z":{"L":[]},"y":{"M":{}}}},{"S":"1","N":null}]}}`:               `{"l":{"L":[{"M":{"y":{"M":{}},"z":{"L":[]}}},{"S":"1"}]}}`,
		`{"a":{"S":"1","unknown":{"deep":[1,{"x":null}],"t":true}}}`:                       `{"a":{"S":"1"}}`,
	} {
		item := decodeItem(t, in)
		got := string(AppendItem(nil, item))
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", in, got)
		}
		if again := decodeItem(t, got); !EqualItems(item, again) || cmp.Diff(item, again) != "" {
			t.Errorf("%s: comes back other: %s", in, cmp.Diff(item, again))
		}
	}
}

// deep is a string in n-1 lists.
func deep(n int) string {
	return strings.Repeat(`{"L":[`, n-1) + `{"S":"x"}` + strings.Repeat(`]}`, n-1)
}

func TestValuesAreRefusedInAWSWords(t *testing.T) {
	ser := func(s string) string { return Serialization + " " + s }
	val := func(s string) string { return Validation + " " + s }
	for in, want := range map[string]string{
		`{}`:                         val(noneSet),
		`{"a":""}`:                   val(noneSet),
		`{"S":null}`:                 val(noneSet),
		`null`:                       val(noneSet),
		`{"M":{"a":{}}}`:             val(noneSet),
		`{"L":[{"a":{}}]}`:           val(noneSet),
		`{"L":[null]}`:               val(noneSet),
		`{"S":"a","N":"1"}`:          val(manySet),
		`{"S":"a","N":""}`:           val(notNumber),
		`{"NS":["1","b"]}`:           val(notNumber + ": b"),
		`{"NULL":false}`:             val(inv + "Null attribute value types must have the value of true"),
		`{"NULL":"no"}`:              val(inv + "Null attribute value types must have the value of true"),
		`{"SS":[]}`:                  val(inv + "An string set  may not be empty"),
		`{"NS":[]}`:                  val(inv + "An number set  may not be empty"),
		`{"BS":[]}`:                  val(inv + "Binary sets should not be empty"),
		`{"SS":["b","a","b"]}`:       val(ssDup),
		`{"BS":["Yg==","Yg=="]}`:     val(inv + "Input collection [Yg==, Yg==]of type BS contains duplicates."),
		`{"NS":["1","1.0"]}`:         val("Input collection contains duplicates"),
		`{"SS":["a","a"],"N":"x"}`:   val(notNumber + ": x"),
		deep(33):                     val(tooNested),
		`"a"`:                        ser(noValue),
		`1`:                          ser(noValue),
		`[]`:                         ser(noAttr),
		`{"S":1}`:                    ser("NUMBER_VALUE cannot be converted to String"),
		`{"N":1.5}`:                  ser("DECIMAL_VALUE cannot be converted to String"),
		`{"S":true}`:                 ser("TRUE_VALUE cannot be converted to String"),
		`{"S":[]}`:                   ser("Unrecognized collection type class java.lang.String"),
		`{"S":{}}`:                   ser(noStruct),
		`{"B":1}`:                    ser(noBlob),
		`{"B":[]}`:                   ser("Unrecognized collection type class java.nio.ByteBuffer"),
		`{"B":"abc"}`:                ser("Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
		`{"B":"YQ=a"}`:               ser("Invalid last non-pad Base64 character dectected"),
		`{"B":"YR=="}`:               ser("Invalid last non-pad Base64 character dectected"),
		`{"BOOL":"maybe"}`:           ser("Unexpected token received from parser"),
		`{"BOOL":0}`:                 ser("NUMBER_VALUE cannot be converted to Boolean"),
		`{"BOOL":[]}`:                ser("Unrecognized collection type class java.lang.Boolean"),
		`{"SS":"a"}`:                 ser(noField),
		`{"SS":{}}`:                  ser(noStruct),
		`{"SS":[1]}`:                 ser("NUMBER_VALUE cannot be converted to String"),
		`{"L":{}}`:                   ser(noStruct),
		`{"L":["a"]}`:                ser(noValue),
		`{"L":[[]]}`:                 ser(noAttr),
		`{"M":[]}`:                   ser(noMap),
		`{"M":1}`:                    ser(noField),
		`{"N":"x","M":{"a":"b"}}`:    ser(noValue),
		`{"SS":[],"L":[{"B":"ab"}]}`: ser("Base64 encoded length is expected a multiple of 4 bytes but found: 2"),
	} {
		v, err := Decode(json.RawMessage(in))
		var e *Error
		if !errors.As(err, &e) || e.Code+" "+e.Message != want {
			t.Errorf("%s: %v %v, want %s", in, v, err, want)
		}
	}
	if _, err := Decode(json.RawMessage(deep(32))); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	if _, err := DecodeField(json.RawMessage(`"a"`)); err == nil || err.Error() != noField {
		t.Errorf("field: %v", err)
	}
	for in, want := range map[string]string{`"a"`: noField, `[]`: noMap, `1`: noField} {
		if _, err := DecodeItem(json.RawMessage(in)); err == nil || err.Error() != want {
			t.Errorf("item %s: %v", in, err)
		}
	}
	item, err := DecodeItem(json.RawMessage(`{":a":{"S":"1"},":b":{"N":"x"},":c":{}}`))
	var e *Error
	if !errors.As(err, &e) || e.Name != ":b" || len(item) != 3 {
		t.Errorf("which value is wrong: %v %v", item, err)
	}
}

func TestInputsKeepValidationForLater(t *testing.T) {
	var req struct{ Value, Other *Input }
	if err := json.Unmarshal([]byte(`{"Value":{"N":"x"},"Other":null}`), &req); err != nil || req.Other != nil {
		t.Fatalf("%+v %v", req, err)
	}
	if req.Value.Err == nil || req.Value.Err.Message != notNumber+": x" {
		t.Errorf("%+v", req.Value.Err)
	}
	err := json.Unmarshal([]byte(`{"Value":"x"}`), &req)
	var e *Error
	if !errors.As(err, &e) || e.Code != Serialization {
		t.Errorf("%v", err)
	}
}

func TestEmptyKeysAreRefused(t *testing.T) {
	text := "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
	for in, want := range map[string]string{
		`{"S":""}`: text + "string value. Key: k", `{"B":""}`: text + "binary value. Key: k", `{"S":"a"}`: "", `{"N":"0"}`: "",
	} {
		v, err := Decode(json.RawMessage(in))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if e := EmptyKey("k", v); e != nil {
			got = e.Message
		}
		if got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":{"S":"x"}}`, `{"a":{"L":[{"M":{"b":{"NS":["1","2e3"]}}}]}}`, `{"a":{"BS":["AA=="]}}`, `{"a":{"N":"-0.5e-3"},}`, `{"a"`, `[1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		item, err := DecodeItem(b)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("taken, but no JSON: %q", b)
		}
		if item == nil {
			return
		}
		text := AppendItem(nil, item)
		again, err := DecodeItem(text)
		if err != nil || !EqualItems(item, again) || ItemSize(item) != ItemSize(again) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1", "-0.5e-3", nines, "1E125", "+.5", "00100.00"} {
		f.Add(s, "7")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := ParseNumber(a)
		if err != nil {
			return
		}
		rat, ok := new(big.Rat).SetString(a)
		if canon, _ := new(big.Rat).SetString(x); !ok || canon.Cmp(rat) != 0 {
			t.Fatalf("%q became %q", a, x)
		}
		if y, err := ParseNumber(b); err == nil {
			if table.Compare(Number(x), Number(y)) != CompareNumbers(x, y) {
				t.Fatalf("order of %s and %s", x, y)
			}
			_, _ = Add(x, y)
		}
	})
}

const benchItem = `{"pk":{"S":"user#1234567890"},"sk":{"S":"profile"},"count":{"N":"12345"},"price":{"N":"19.99"},"tags":{"SS":["red","green","blue"]},"on":{"BOOL":true},"doc":{"M":{"name":{"S":"Ann"},"list":{"L":[{"N":"1"},{"N":"2"}]}}}}`

func BenchmarkDecodeItem(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = DecodeItem([]byte(benchItem))
	}
}

func BenchmarkAppendItem(b *testing.B) {
	item := decodeItem(b, benchItem)
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendItem(buf[:0], item)
	}
}

func BenchmarkAdd(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Add("12345", "1")
	}
}

func TestNumberSetsGoOutInTheOrderThatAWSHas(t *testing.T) {
	for in, want := range map[string]string{
		`["1","2","3"]`: `["3","2","1"]`, `["234","123"]`: `["123","234"]`, `["1","2"]`: `["2","1"]`, `["7"]`: `["7"]`,
	} {
		got := string(AppendItem(nil, decodeItem(t, `{"s":{"NS":`+in+`}}`)))
		if got != `{"s":{"NS":`+want+`}}` {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPagesAreMeasuredAsAWSStores(t *testing.T) {
	for text, want := range map[string]int{
		`{"a":{"S":"x"}}`:                                   2 + 3 + 18,
		`{"a":{"S":"x"},"sort":{"S":"four"}}`:               2 + 3 + 22,
		`{"a":{"S":"` + strings.Repeat("x", 200) + `"}}`:    2 + 203 + 18,
		`{"a":{"S":"` + strings.Repeat("x", 20000) + `"}}`:  2 + 20004 + 7*18,
		`{"a":{"NULL":true},"b":{"BOOL":true}}`:             2 + 3 + 18,
		`{"a":{"L":[{"S":"x"},{"B":"AQ=="}]}}`:              2 + 1 + 3 + 3 + 3 + 18,
		`{"a":{"M":{"x":{"N":"1"}}},"b":{"SS":["p","qr"]}}`: 2 + 1 + 3 + 1 + 1 + 3 + 1 + 3 + 3 + 18,
	} {
		item, err := DecodeItem([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := PageSize(item, "sort"); got != want {
			t.Errorf("%.60s: %d, want %d", text, got, want)
		}
	}
}
