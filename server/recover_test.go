package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPanicsOfRequestsAreTold(t *testing.T) {
	for cause, told := range map[any]bool{"own fault": true, http.ErrAbortHandler: false} {
		var log bytes.Buffer
		h := recovering(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(cause) }), slog.New(slog.NewTextHandler(&log, nil)))
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%v: net/http sees %v", cause, p)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
		}()
		if strings.Contains(log.String(), "own fault") != told {
			t.Errorf("%v: log %q", cause, log.String())
		}
	}
}
