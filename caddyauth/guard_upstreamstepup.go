package caddyauth

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// minAskedAge is the least that an upstream's max_age counts for, so that one of 0 can be met.
const minAskedAge = time.Minute

// demands are what a guard with `step_up upstream` needs to answer in the upstream's place.
type demands struct {
	asked      *http.Request // nil: no guard listens
	form       []byte        // its body, nil unless it is a form that can be kept
	navigation bool
}

// awaitDemand has the upstream's answer looked at for a step-up that it asks for. A form's body is held in memory meanwhile, for then it
// has to be kept although the upstream has read it.
func (g *Guard) awaitDemand(v *visit, w http.ResponseWriter, r *http.Request) error {
	if v.writer.asked != nil {
		return nil
	}
	g.mayKeep(v)
	v.writer.asked, v.writer.navigation = r, isNavigation(r) && v.bearer == ""
	if v.keepBody == 0 || r.ContentLength > int64(v.keepBody) || !v.isForm(r) {
		return nil
	}
	body, err := v.rt.readBounded(w, r.Body, v.keepBody)
	if err != nil {
		return err
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	v.writer.form = body
	return nil
}

// upstreamDemand reads an upstream's RFC 9470 challenge: what it asks for and this session has not met. What it asks for in words that we do
// not know is any factor; what is met already is none of our business, or we would go round in circles.
func (p *privateWriter) upstreamDemand(status int) *demand {
	if p.asked == nil || status != http.StatusUnauthorized || !p.visit.authenticated {
		return nil
	}
	for _, line := range p.ResponseWriter.Header()["Www-Authenticate"] {
		parameters, ok := bearerParameters(line)
		if !ok || parameters["error"] != insufficientAuthentication {
			continue
		}
		// An upstream that reads tokens knows of one step-up, the last.
		d := demand{newest: true, maxAge: 24 * 365 * time.Hour}
		if seconds, err := strconv.ParseUint(parameters["max_age"], 10, 31); err == nil {
			d.maxAge = max(time.Duration(seconds)*time.Second, minAskedAge)
		}
		for name := range strings.FieldsSeq(parameters["acr_values"]) {
			if factor := session.Factor(name); slices.Contains(stepUpFactors, factor) && !slices.Contains(d.factors, factor) {
				d.factors = append(d.factors, factor)
			}
		}
		if !d.met(&p.visit.session, p.visit.rt.now()) {
			return &d
		}
	}
	return nil
}

// answerDemand answers in the upstream's place.
func (p *privateWriter) answerDemand(d *demand) {
	r, h := p.asked, p.ResponseWriter.Header()
	for _, name := range [...]string{
		"Content-Length", "Content-Type", "Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Location", "Trailer", "Www-Authenticate",
	} {
		delete(h, name)
	}
	if p.form != nil {
		// The old body stays open: the proxy may still look for its end, and would break off the upstream's answer, and with it ours.
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(p.form)), int64(len(p.form))
	}
	p.replaced = true
	if err := p.visit.refuse(p.ResponseWriter, r, refusal{
		status: http.StatusUnauthorized, reason: "step_up", detail: "confirm once more that it is you", demand: d, client: !p.navigation && p.form == nil,
	}); err != nil {
		p.visit.logger.Error("answering an upstream's step-up", zap.Error(err))
	}
}

// bearerParameters reads the auth-params of one Bearer challenge (RFC 9110, section 11.6.1). A line that holds several challenges, or that is
// not well formed, is none.
func bearerParameters(line string) (map[string]string, bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, false
	}
	parameters := make(map[string]string)
	for rest = strings.TrimSpace(rest); rest != ""; {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := parameters[name]; !ok || name == "" || twice || strings.ContainsAny(name, " \t,\"") {
			return nil, false
		}
		after = strings.TrimLeft(after, " \t")
		var value string
		if strings.HasPrefix(after, `"`) {
			if value, after, ok = quotedString(after); !ok {
				return nil, false
			}
		} else {
			end := strings.IndexAny(after, ", \t")
			if end < 0 {
				end = len(after)
			}
			value, after = after[:end], after[end:]
		}
		parameters[name] = value
		after = strings.TrimLeft(after, " \t")
		if after != "" && !strings.HasPrefix(after, ",") {
			return nil, false
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return parameters, true
}

// quotedString reads one (RFC 9110, section 5.6.4) and returns what follows it.
func quotedString(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
