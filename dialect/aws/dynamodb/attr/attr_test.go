package attr

import (
	"strings"
	"testing"
)

func TestNumbersBecomeCanonical(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "+7": "7", "007": "7", "-1.50": "-1.5", "1e3": "1000", "1E-3": "0.001",
		".5": "0.5", "5.": "5", "12.34e1": "123.4", "0e999": "0", "100": "100", "-9e0": "-9",
		nines:                     nines,
		"9." + nines[1:] + "E125": nines + strings.Repeat("0", 88),
		"1E-130":                  "0." + strings.Repeat("0", 129) + "1",
		"-1e125":                  "-1" + strings.Repeat("0", 125),
	} {
		if got, err := ParseNumber(in); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
	}
}
