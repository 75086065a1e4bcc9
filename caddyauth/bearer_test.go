package caddyauth

import (
	"net/http"
	"testing"
)

func TestBearerToken(t *testing.T) {
	for _, tc := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"Bearer abc.def.ghi"}, "abc.def.ghi"},
		{[]string{"bearer   abc"}, "abc"},
		{[]string{"Bearer"}, ""},
		{[]string{"Bearer "}, ""},
		{[]string{"Basic abc"}, ""},
		{[]string{"Bearer abc", "Bearer def"}, ""},
		{[]string{"Bearer abc, Bearer def"}, ""},
		{[]string{"Bearer abc def"}, ""},
		{[]string{"BearerX abc"}, ""},
	} {
		got, ok := bearerToken(http.Header{"Authorization": tc.values})
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("%q: %q %v", tc.values, got, ok)
		}
	}
}

func FuzzBearerToken(f *testing.F) {
	for _, seed := range []string{"Bearer a", "bearer  b", "Basic x", "Bearer a,b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got, ok := bearerToken(http.Header{"Authorization": {value}}); (got == "") == ok {
			t.Errorf("%q: %q %v", value, got, ok)
		}
	})
}
