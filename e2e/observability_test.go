package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// auditLines are those of one happening, in Caddy's own log.
func (d *deployment) auditLines(t *testing.T, event string) []map[string]any {
	t.Helper()
	log, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	var found []map[string]any
	for line := range strings.Lines(string(log)) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["logger"] == "passwordless.default.audit" && entry["event"] == event {
			found = append(found, entry)
		}
	}
	return found
}

// An operator sees a sign-in in the audit log and in Prometheus' metrics, and the counts outlive a reload.
func TestOperatorSeesASignIn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.greets(anna, "/", "")
	lines := d.auditLines(t, "signed_in")
	if len(lines) != 1 || lines[0]["email"] != anna || lines[0]["factor"] != "magic_link" || lines[0]["application"] != d.app || lines[0]["address"] != "127.0.0.1" {
		t.Errorf("the audit log has %v", lines)
	}
	signIns := regexp.MustCompile(`(?m)^passwordless_events_total\{event="signed_in",factor="magic_link",realm="default",reason=""\} 1$`)
	requests := regexp.MustCompile(`(?m)^passwordless_guard_requests_total\{decision="session",realm="default"\} [1-9]`)
	calls := regexp.MustCompile(`(?m)^passwordless_backend_duration_seconds_count\{backend="user_pool",operation="RespondToAuthChallenge",outcome="success",realm="default"\} 2$`)
	for range 2 {
		_, metrics := get(t, "http://"+d.admin+"/metrics")
		for _, pattern := range []*regexp.Regexp{signIns, requests, calls} {
			if !pattern.MatchString(metrics) {
				t.Errorf("no %s in\n%s", pattern, ours(metrics))
			}
		}
		d.reload(t)
	}
}

func ours(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "passwordless_") && !strings.Contains(line, "_bucket") {
			b.WriteString(line)
		}
	}
	return b.String()
}
