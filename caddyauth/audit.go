package caddyauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// happening is something an operator may want to know of: its name when it comes about, and when it is refused or fails. One name is
// empty where there is only the other. docs/observability.md says what each one means.
type happening struct{ done, failed string }

// The happenings of a realm.
var (
	happenedSignUp          = happening{done: "signed_up"}
	happenedSignIn          = happening{"signed_in", "sign_in_failed"}
	happenedSingleSignOn    = happening{done: "single_sign_on"}
	happenedLink            = happening{"link_requested", "link_refused"}
	happenedStepUp          = happening{"stepped_up", "step_up_failed"}
	happenedCode            = happening{"code_requested", "code_refused"}
	happenedReauthenticated = happening{"reauthenticated", "reauthentication_failed"}
	happenedSignOut         = happening{done: "signed_out"}
	happenedSignOutAll      = happening{done: "signed_out_everywhere"}
	happenedSessionEnded    = happening{done: "session_ended"}
	happenedRefresh         = happening{"refreshed", "refresh_failed"}
	happenedAccess          = happening{failed: "access_denied"}
	happenedPasskeyAdded    = happening{"passkey_added", "passkey_add_failed"}
	happenedPasskeyDeleted  = happening{"passkey_deleted", "passkey_delete_failed"}
	happenedPasskeyRenamed  = happening{done: "passkey_renamed"}
	happenedPhoneChanged    = happening{"phone_changed", "phone_change_failed"}
	happenedPhoneVerified   = happening{"phone_verified", "phone_verification_failed"}
	happenedPhoneRemoved    = happening{"phone_removed", "phone_removal_failed"}
	happenedCrossOrigin     = happening{failed: "cross_origin_refused"}
	happenedLimit           = happening{failed: "limited"}
)

// happenings are all of them, for the documentation's test.
var happenings = []happening{
	happenedSignUp, happenedSignIn, happenedSingleSignOn, happenedLink, happenedStepUp, happenedCode, happenedReauthenticated,
	happenedSignOut, happenedSignOutAll, happenedSessionEnded, happenedRefresh, happenedAccess,
	happenedPasskeyAdded, happenedPasskeyDeleted, happenedPasskeyRenamed,
	happenedPhoneChanged, happenedPhoneVerified, happenedPhoneRemoved, happenedCrossOrigin, happenedLimit,
}

// eventPrefix goes before the names in Caddy's events.
const eventPrefix = "passwordless."

// events hands happenings to Caddy's app of that name.
type events struct {
	app *caddyevents.App
	ctx caddy.Context
}

func openEvents(ctx caddy.Context) (events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return events{}, fmt.Errorf("opening Caddy's events: %w", err)
	}
	return events{app.(*caddyevents.App), ctx}, nil
}

// record tells a happening to the audit log, to the metrics and to subscribers of Caddy's events: who, what, from where, outcome; never a
// secret. Failed is the code of what went wrong, "" for a success; codes are few, for each makes a time series.
func (rt *realm) record(what happening, failed string, fields ...zap.Field) {
	name, outcome := what.done, "success"
	if failed != "" {
		name, outcome = what.failed, "failure"
	}
	all := append([]zap.Field{zap.String("event", name), zap.String("outcome", outcome)}, fields...)
	if failed != "" {
		all = append(all, zap.String("reason", failed))
	}
	all = append(all, zap.String("realm", rt.name))
	rt.logger.Named("audit").Info(name, all...)
	rt.metrics.happened(name, failed, fields)
	rt.events.emit(name, all)
}

// emit has no say: subscribers cannot stop what has happened.
func (e events) emit(name string, fields []zap.Field) {
	if e.app == nil || !e.app.ShouldEmit(eventPrefix+name) {
		return
	}
	data := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(data)
	}
	ctx := e.ctx
	ctx.Context = context.WithoutCancel(e.ctx.Context)
	e.app.Emit(ctx, eventPrefix+name, data.Fields)
}

// audit records what happened in this request.
func (v *portalVisit) audit(what happening, failed string, fields ...zap.Field) {
	v.rt.record(what, failed, append([]zap.Field{
		zap.String("address", v.address()), zap.String("reference", reference(v.r)), zap.String("user_agent", boundedAgent(v.r)),
	}, fields...)...)
}

// maxAgent bounds what a client may write into the audit log, in bytes.
const maxAgent = 256

func boundedAgent(r *http.Request) string {
	agent := r.UserAgent()
	return agent[:min(len(agent), maxAgent)]
}

// whoIs are the audit fields that name a person.
func whoIs(s session.Session) []zap.Field {
	return []zap.Field{zap.String("user", s.Username), zap.String("subject", s.Subject), zap.String("email", s.Email), zap.String("session", session.PublicID(s))}
}
