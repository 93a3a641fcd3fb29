package apigateway

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"testing"

	"github.com/sluicehq/sluice"
)

func TestIDsLeadToTheirConnections(t *testing.T) {
	t.Parallel()
	x := ids(t)
	shape := regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
	seen := map[string]bool{}
	for range 5000 {
		var id sluice.ConnID
		rand.Read(id[:])
		s := x.String(id)
		if !shape.MatchString(s) || seen[s] || x.String(id) != s {
			t.Fatalf("%q is not the one and only id of %v", s, id)
		}
		seen[s] = true
		if back, ok := x.Parse(s); !ok || back != id {
			t.Fatalf("%q leads to %v, %v; want %v", s, back, ok, id)
		}
	}
}

func TestIDsThatWeHaveNotMadeLeadNowhere(t *testing.T) {
	t.Parallel()
	x := ids(t)
	other, err := NewIDs(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	ours := x.String(sluice.ConnID{1})
	wrong := []string{"", "xawexasdfewezdfsdfeasdfffa==", other.String(sluice.ConnID{1}), ours + "A", ours[:31], ours[:28] + "====", ours[:31] + "\n"}
	for i := range ours {
		b := []byte(ours)
		if b[i] ^= 1; b[i] != ours[i] {
			wrong = append(wrong, string(b))
		}
	}
	for _, s := range wrong {
		if id, ok := x.Parse(s); ok {
			t.Errorf("%q leads to %v", s, id)
		}
	}
}

func FuzzIDs(f *testing.F) {
	x := ids(f)
	f.Add(x.String(sluice.ConnID{1, 2, 3}))
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := x.Parse(s); ok && x.String(id) != s {
			t.Fatalf("%q is not the id of %v", s, id)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	x := ids(b)
	s := x.String(sluice.ConnID{1, 2, 3})
	b.ReportAllocs()
	for b.Loop() {
		x.Parse(s)
	}
}
