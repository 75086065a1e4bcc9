package tables

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// A table that takes the question and never answers must not hold a person's request for ever. Who brings a client knows its limits.
func TestNoAttemptIsEndless(t *testing.T) {
	own := &http.Client{}
	for name, test := range map[string]struct {
		client aws.HTTPClient
		want   time.Duration
	}{
		"the SDK's":      {awshttp.NewBuildableClient(), attemptTimeout},
		"with a limit":   {awshttp.NewBuildableClient().WithTimeout(time.Second), time.Second},
		"somebody's own": {own, 0},
	} {
		switch got := bounded(test.client).(type) {
		case *awshttp.BuildableClient:
			if got.GetTimeout() != test.want {
				t.Errorf("%s waits %s, want %s", name, got.GetTimeout(), test.want)
			}
		default:
			if got != test.client {
				t.Errorf("%s was replaced by %v", name, got)
			}
		}
	}
}
