package httpapi

import (
	"net/http/httptest"
	"testing"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

func FuzzRoutes(f *testing.F) {
	f.Add("GET /items/{id}", "ANY /{proxy+}", "/items/7")
	f.Add("$default", "POST /a/{}/b", "//a//")
	f.Fuzz(func(t *testing.T, one, two, path string) {
		list, err := compile([]apispec.Route{{Key: one}, {Key: two}})
		if err != nil {
			return
		}
		r, params := match(list, "GET", path)
		if r == nil && params != nil {
			t.Errorf("parameters of no route: %v", params)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":1},"multiValueHeaders":{"b":[true]},"cookies":["c=d"],"body":"eA==","isBase64Encoded":true}`))
	f.Add([]byte(`{"statusCode":"204"}`))
	f.Add([]byte(`"text"`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, v1 := range []bool{false, true} {
			w := httptest.NewRecorder()
			err := answer(w, httptest.NewRequest("GET", "/", nil), payload, v1)
			if status := w.Code; err == nil && (status < 200 || status > 599) {
				t.Errorf("%q: %d", payload, status)
			}
		}
	})
}
