package codes_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
)

func TestShortCodesAreReadAsPeopleTypeThem(t *testing.T) {
	code := codes.Short("SUMMER", 1<<54+12345)
	if len(code) != len("SUMMER-XXXX-XXXX-XXXX") {
		t.Fatal(code)
	}
	bare := strings.ReplaceAll(code, "-", "")
	sloppy := strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(bare))
	for _, typed := range []string{code, bare, strings.ToLower(code), sloppy, " " + strings.ReplaceAll(code, "-", " ") + " "} {
		if got, _, ok := codes.ReadShort(typed); !ok || got != code {
			t.Errorf("%q was read as %q %v", typed, got, ok)
		}
	}
}

func TestCheckCharacterSeesOneWrongAndTwoSwappedCharacters(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	for _, n := range []uint64{0, 1, 987654321987654, 1<<55 - 1} {
		bare := strings.ReplaceAll(codes.Short("", n), "-", "")
		for i := range len(bare) {
			for _, c := range alphabet {
				wrong := bare[:i] + string(c) + bare[i+1:]
				if _, shape, ok := codes.ReadShort(wrong); !shape || ok != (wrong == bare) {
					t.Fatalf("%s for %s: %v", wrong, bare, ok)
				}
			}
			for j := range i {
				b := []byte(bare)
				b[i], b[j] = b[j], b[i]
				if _, _, ok := codes.ReadShort(string(b)); ok != (string(b) == bare) {
					t.Fatalf("%s for %s: %v", b, bare, ok)
				}
			}
		}
	}
}

func TestAMakersCodesAreAllDifferentAndAlwaysTheSame(t *testing.T) {
	for _, uuid := range []bool{false, true} {
		m, again := codes.NewMaker("secret", "GIFT", uuid), codes.NewMaker("secret", "GIFT", uuid)
		other := codes.NewMaker("another", "GIFT", uuid)
		seen := map[string]bool{}
		for i := range int64(20_000) {
			c := m.Code(i)
			if seen[c] || c != again.Code(i) || c == other.Code(i) {
				t.Fatalf("code %d is %s", i, c)
			}
			seen[c] = true
		}
	}
}

func FuzzReadShort(f *testing.F) {
	f.Add("SUMMER-0000-0000-0000")
	f.Fuzz(func(t *testing.T, s string) {
		code, shape, ok := codes.ReadShort(s)
		if !ok {
			return
		}
		if again, _, ok2 := codes.ReadShort(code); !shape || !ok2 || again != code {
			t.Errorf("%q was read as %q, and that as %q", s, code, again)
		}
	})
}
