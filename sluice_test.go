package sluice_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
)

func TestNamesBecomeDNSLabels(t *testing.T) {
	for in, want := range map[string]string{
		"start-barrage": "start-barrage", "My App_1": "my-app-1", "--a--": "a", "弹幕": "", "a弹b": "a-b", "": "",
		strings.Repeat("x", 70): strings.Repeat("x", 63), strings.Repeat("x", 62) + "-y": strings.Repeat("x", 62),
	} {
		if got := sluice.DNSLabel(in); got != want {
			t.Errorf("label of %q is %q, want %q", in, got, want)
		}
	}
}
