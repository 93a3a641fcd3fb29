package fc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestServersAreAskedHowTheyAre(t *testing.T) {
	began := time.Now()
	in, log := start(t, func(v *function.Version) {
		v.Env = map[string]string{"WELL_FROM": "300ms"}
		v.Spec.Health = &sluice.HealthCheck{Path: "/well", Every: 50 * time.Millisecond, Timeout: time.Minute, Good: 2, Bad: 2}
	})
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("it was taken for well after %v", took)
	}
	if string(call1(t, in, "echo hi").Payload) != "hi" {
		t.Error("an instance that is well takes calls")
	}
	call1(t, in, "ail")
	select {
	case <-in.Done():
	case <-time.After(time.Minute):
		t.Fatal("it is unwell and takes calls")
	}
	log.await(t, "", "health check of /well failed 2 times")
}

func TestServersThatAreNeverWell(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		says string
	}{
		"never":   {map[string]string{"WELL_FROM": "1h"}, "is not well after 3s"},
		"nothing": {map[string]string{"MODE": "exit"}, "cannot find my settings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := version(t, func(v *function.Version) {
				v.Env = tc.env
				v.Spec.Health = &sluice.HealthCheck{Path: "/well", Delay: 10 * time.Millisecond}
			})
			_, err := (&Custom{Keys: fakeKeys{}, Ready: 3 * time.Second}).Start(t.Context(), v, spawner(t), &memoryLog{})
			var s *function.StartError
			if !errors.As(err, &s) || !strings.Contains(s.Failure.Message, tc.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
