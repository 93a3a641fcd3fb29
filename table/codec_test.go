package table

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice"
)

// smallBytes have few different ones, among them those that the encoding treats specially.
var smallBytes = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 5)

var anyDecimal = rapid.Custom(func(t *rapid.T) string {
	s := rapid.StringMatching(`-?[0-9]{1,19}(\.[0-9]{1,19})?`).Draw(t, "digits")
	if rapid.Bool().Draw(t, "scientific") {
		s += rapid.StringMatching(`[eE][+-]?[0-9]{1,2}`).Draw(t, "exponent")
	}
	return s
})

func drawKeyValue(t *rapid.T, of Type) Value {
	switch of {
	case Bool:
		return Value{Type: Bool, Int: rapid.Int64Range(0, 1).Draw(t, "bool")}
	case Float:
		floats := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1)}))
		return Value{Type: Float, Float: floats.Draw(t, "float")}
	case Int:
		return Value{Type: Int, Int: rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3)).Draw(t, "int")}
	case Decimal:
		return Value{Type: Decimal, Str: anyDecimal.Draw(t, "decimal")}
	case String:
		return Value{Type: String, Str: string(smallBytes.Draw(t, "string"))}
	}
	return Value{Type: Binary, Str: string(smallBytes.Draw(t, "binary"))}
}

// compareValues is the order as the clouds define it, without our encoding.
func compareValues(a, b Value) int {
	switch a.Type {
	case Bool:
		return int(a.Int - b.Int)
	case Float:
		switch {
		case a.Float < b.Float:
			return -1
		case a.Float > b.Float:
			return 1
		}
		return 0
	case Int:
		return big.NewInt(a.Int).Cmp(big.NewInt(b.Int))
	case Decimal:
		x, _ := new(big.Rat).SetString(a.Str)
		y, _ := new(big.Rat).SetString(b.Str)
		return x.Cmp(y)
	}
	return strings.Compare(a.Str, b.Str)
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestEncodedKeysOrderAsTheirValuesDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.SampledFrom([]Type{Bool, Int, Float, Decimal, String, Binary}), 1, 3).Draw(t, "types")
		s := space{prefix: []byte("Rabcd")}
		var a, b Key
		want := 0
		for _, of := range types {
			s.cols = append(s.cols, KeyColumn{Name: "c", Type: of})
			x, y := drawKeyValue(t, of), drawKeyValue(t, of)
			if rapid.Bool().Draw(t, "same") {
				y = x
			}
			a, b = append(a, x), append(b, y)
			if want == 0 {
				want = compareValues(x, y)
			}
		}
		x, err := s.key(a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := s.key(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("bytes compare %d, values %d: %x %x", got, want, x, y)
		}
		if got := sign(CompareKeys(a, b)); got != want {
			t.Fatalf("CompareKeys is %d, want %d", got, want)
		}
		back, err := s.decode(x)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var kept Key // by a client
		if err := json.Unmarshal(text, &kept); err != nil {
			t.Fatal(err)
		}
		for i := range back {
			if compareValues(back[i], a[i]) != 0 || compareValues(kept[i], a[i]) != 0 {
				t.Fatalf("%v came back as %v and %v", a[i], back[i], kept[i])
			}
		}
		// The infinities enclose everything, at any column.
		cut := rapid.IntRange(0, len(a)).Draw(t, "cut")
		for _, end := range []struct {
			v    Value
			want int
		}{{Value{Type: Min}, -1}, {Value{Type: Max}, 1}} {
			bound, err := s.bound(append(append(Key{}, a[:cut]...), end.v))
			if err != nil {
				t.Fatal(err)
			}
			if cut == len(a) {
				end.want = 1 // after the last column both are just behind the key
			}
			if got := bytes.Compare(bound, x); got != end.want {
				t.Fatalf("bound %x against %x is %d", bound, x, got)
			}
		}
	})
}

func TestDecimalsAreCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.00": "0", "0e500": "0", "1": "1", "1.0": "1", "1E0": "1", "+7": "7", "010": "10",
		"100": "100", "1e2": "100", ".5": "0.5", "5.": "5", "-0.050": "-0.05", "12345.678": "12345.678",
		"1e-3": "0.001", "-1.5e1": "-15", "1e125": "1" + strings.Repeat("0", 125),
		"1e-130":                "0." + strings.Repeat("0", 129) + "1",
		strings.Repeat("9", 38): strings.Repeat("9", 38),
	} {
		d, err := parseDecimal(in)
		if err != nil || d.String() != want {
			t.Errorf("%s is %s, %v; want %s", in, d, err, want)
		}
	}
	for _, in := range []string{"", "-", ".", "e1", "1e", "1e+", "1x", "0x1", "1_0", "1 ", "--1", "1e126", "1e-131", "1e99999999999",
		"NaN", "Infinity", "1.2.3", strings.Repeat("9", 39), "١"} {
		if d, err := parseDecimal(in); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%q is %s, %v; want an error", in, d, err)
		}
	}
}

var anyValue = rapid.Custom(func(t *rapid.T) Value { return drawValue(t, 3) })

func drawValue(t *rapid.T, depth int) Value {
	last := int(BinarySet)
	if depth == 0 {
		last = int(Binary)
	}
	v := Value{Type: Type(rapid.IntRange(0, last).Draw(t, "type"))}
	set := func(of Type) {
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			v.List = append(v.List, drawKeyValue(t, of))
		}
	}
	switch v.Type {
	case Bool:
		v.Int = int64(rapid.IntRange(0, 1).Draw(t, "bool"))
	case Int, Decimal, String, Binary:
		v = drawKeyValue(t, v.Type)
	case Float:
		v.Float = rapid.Float64().Draw(t, "float")
	case List:
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			v.List = append(v.List, drawValue(t, depth-1))
		}
	case Map:
		v.Map = map[string]Value{}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			v.Map[string(smallBytes.Draw(t, "name"))] = drawValue(t, depth-1)
		}
	case StringSet:
		set(String)
	case NumberSet:
		set(Decimal)
	case BinarySet:
		set(Binary)
	}
	return v
}

var drawRow = rapid.Custom(func(t *rapid.T) *stored {
	r := &stored{
		Row: Row{Expires: rapid.Int64Range(0, 3).Draw(t, "expires")},
		due: rapid.Int64Range(0, 3).Draw(t, "due"), life: rapid.Int64Range(0, 3).Draw(t, "life"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "columns") {
		c := Column{Name: string(smallBytes.Draw(t, "name"))}
		for range rapid.IntRange(1, 3).Draw(t, "versions") {
			c.Cells = append(c.Cells, Cell{anyValue.Draw(t, "value"), rapid.Int64().Draw(t, "time")})
		}
		r.Columns = append(r.Columns, c)
	}
	return r
})

// sameRow compares rows by meaning: numbers by value, sets without order and repeats.
var sameRow = cmp.Options{
	cmp.AllowUnexported(stored{}),
	cmpopts.EquateEmpty(),
	cmpopts.EquateNaNs(),
	cmp.Transformer("canonical", func(v Value) Value {
		if v.Type == Decimal {
			d, _ := parseDecimal(v.Str)
			v.Str = d.String()
		}
		return v
	}),
}

func TestRowsComeBackFromTheirBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRow.Draw(t, "row")
		b, err := appendRow(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeRow(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := appendRow(nil, back)
		if err != nil {
			t.Fatal(err)
		}
		// Canonical forms are compared by their bytes, which covers order and repeats in sets.
		if !bytes.Equal(b, again) {
			t.Fatalf("%x came back as %x", b, again)
		}
		for i, c := range back.Columns {
			for j, cell := range c.Cells {
				want := r.Columns[i].Cells[j]
				if want.Time != cell.Time || want.Value.Type != cell.Value.Type || r.Columns[i].Name != c.Name {
					t.Fatalf("cell %+v came back as %+v", want, cell)
				}
				switch want.Value.Type {
				case StringSet, NumberSet, BinarySet:
					continue
				}
				if want.Value.Type == List || want.Value.Type == Map {
					continue // their leaves are covered by the scalars
				}
				if want.Value.Type == Decimal {
					if compareValues(want.Value, cell.Value) != 0 {
						t.Fatalf("%s came back as %s", want.Value.Str, cell.Value.Str)
					}
				} else if diff := cmp.Diff(want, cell, sameRow); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}

func TestValuesThatCannotBeStoredAreRefused(t *testing.T) {
	t.Parallel()
	deep := Value{Type: Null}
	for range maxDepth + 1 {
		deep = Value{Type: List, List: []Value{deep}}
	}
	for name, v := range map[string]Value{
		"too deep": deep, "infinity": {Type: Max}, "unknown type": {Type: 99}, "no number": {Type: Decimal, Str: "one"},
		"mixed set":      {Type: StringSet, List: []Value{{Type: Int}}},
		"inside a map":   {Type: Map, Map: map[string]Value{"a": {Type: Min}}},
		"number in list": {Type: List, List: []Value{{Type: Decimal}}},
	} {
		_, err := appendRow(nil, &stored{Row: Row{Columns: []Column{{"a", []Cell{{Value: v}}}}}})
		if sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeRow(f *testing.F) {
	for _, r := range []*stored{
		{}, {Row: Row{Expires: 5}, due: 6, life: 7},
		{Row: Row{Columns: []Column{
			{"a", []Cell{{Value{Type: Map, Map: map[string]Value{"k": {Type: Decimal, Str: "-1.5"}}}, 9}, {Value{Type: Float, Float: math.Inf(1)}, -9}}},
			{"b", []Cell{{Value{Type: BinarySet, List: []Value{{Type: Binary, Str: "\x00"}}}, 1}}},
		}}},
	} {
		b, err := appendRow(nil, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRow(b)
		if err != nil {
			if r != nil {
				t.Error("a row beside an error")
			}
			return
		}
		if _, err := appendRow(nil, r); err != nil {
			t.Errorf("what was decoded cannot be encoded: %v", err)
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	types := []Type{Int, Decimal, String, Binary}
	for _, of := range types {
		b, err := appendKeyValue([]byte("Rabcd"), Value{Type: of, Str: "1"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("Rabcd\x28\xa0\x80\x01\x00"))
	f.Add([]byte("Rabcd\x30a\x00\xffb\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := space{prefix: []byte("Rabcd"), cols: []KeyColumn{{Name: "a"}}}
		k, err := s.decode(b)
		if err != nil {
			return
		}
		if again, err := s.encode(k); err != nil || !bytes.Equal(again[5:], b[5:]) {
			t.Errorf("%x came back as %x: %v", b, again, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	spec := &Spec{Name: "t", Key: []KeyColumn{{Name: "a", Type: Int}}}
	key, err := spec.rows().key(Key{{Type: Int, Int: 1}})
	if err != nil {
		f.Fatal(err)
	}
	b, err := encodeRecord(key, &Record{Time: 1, Before: &Row{}, After: &Row{Expires: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		spec.decodeRecord(streamKey(1, 1), b) // it must not panic
	})
}
