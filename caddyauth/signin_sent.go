package caddyauth

import (
	"cmp"
	"context"
	"strings"
	"time"

	"go.uber.org/zap"
)

// sentLink is the newest link that was asked for to an address, whether or not the address has an account.
type sentLink struct {
	At      time.Time `json:"t"`           // before the pool was asked
	Sent    time.Time `json:"s,omitzero"`  // after it answered
	Flow    string    `json:"i"`           // ID of the flow that waits for it
	Browser string    `json:"b,omitempty"` // that asked
}

// sent is the latest time at which the pool can have sent the link.
func (l sentLink) sent() time.Time { return cmp.Or(l.Sent, l.At) }

// wait is how long the pool sends no other: it sends one a minute, and keeps silent about a request that comes too early.
func (l sentLink) wait(now time.Time) time.Duration {
	if l.At.IsZero() {
		return 0
	}
	return resendAfter - max(0, now.Sub(l.sent()))
}

// sentKey tells addresses apart as user pools do.
func sentKey(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// newestLink is what is known of the newest link to an address.
func (v *portalVisit) newestLink(ctx context.Context, email string) (sent sentLink, known bool, err error) {
	known, err = v.rt.recall(ctx, markSent, sentKey(email), &sent)
	return sent, known, err
}

// claimLink notes that a flow asks for a link, unless another one has a moment ago; that one is returned then. Of all who ask at once
// one may.
func (v *portalVisit) claimLink(flow Flow) (before sentLink, recent bool, err error) {
	err = v.rt.alone(v.r.Context(), markSent, sentKey(flow.Email), func(ctx context.Context) error {
		var err error
		if before, _, err = v.newestLink(ctx, flow.Email); err != nil {
			return err
		}
		if recent = before.wait(v.rt.now()) > 0; recent {
			return nil
		}
		return v.rt.remember(ctx, markSent, sentKey(flow.Email), sentLink{At: flow.Issued, Flow: flow.ID, Browser: flow.Browser}, flowLifetime)
	})
	return before, recent, err
}

// noteSent starts the minute again once the pool has answered: its own minute began while it was asked. It returns the flow as of then.
func (v *portalVisit) noteSent(flow Flow) Flow {
	asked := flow.Issued
	flow.Issued = v.rt.now()
	sent := sentLink{At: asked, Sent: flow.Issued, Flow: flow.ID, Browser: flow.Browser}
	if err := v.rt.remember(context.WithoutCancel(v.r.Context()), markSent, sentKey(flow.Email), sent, flowLifetime); err != nil {
		v.rt.logger.Warn("noting that a link was sent", zap.Error(err)) // it was: the person waits for it all the same
	}
	return flow
}

// releaseLink takes a claim back: nothing was sent, and the person may ask again at once.
func (v *portalVisit) releaseLink(flow Flow, before sentLink) {
	ctx := context.WithoutCancel(v.r.Context())
	var err error
	if before.At.IsZero() {
		_, _, err = v.rt.takeMark(ctx, markSent, sentKey(flow.Email), new(sentLink))
	} else {
		err = v.rt.remember(ctx, markSent, sentKey(flow.Email), before, flowLifetime)
	}
	if err != nil {
		v.rt.logger.Warn("taking back the note of a link that was not sent", zap.Error(err))
	}
}

// waitForSent leads to the page that waits for the link of a moment ago. In the browser that asked for it, this tab waits for it in the
// place of the other one, and takes its code.
func (v *portalVisit) waitForSent(flow Flow, sent sentLink) error {
	var by string
	used, err := v.rt.recall(v.r.Context(), markFlow, sent.Flow, &by)
	if err != nil {
		return err
	}
	if sameBrowser(sent.Browser, flow.Browser) && !used {
		flow.ID = sent.Flow
	}
	flow.Issued = sent.sent()
	location, err := v.rt.flowURL("check-mail", flow)
	if err != nil {
		return err
	}
	return v.seeOther(location + "&notice=link_recent")
}
