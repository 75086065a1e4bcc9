package caddyauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/templates"
)

// getCheckMail shows the page that waits for the link.
func (v *portalVisit) getCheckMail() error {
	flow, err := v.ownFlow(v.r.URL.Query().Get("flow"))
	if err != nil || flow.Email == "" {
		return v.seeOther(v.rt.portal.Path + "sign-in?flow=" + url.QueryEscape(v.r.URL.Query().Get("flow")))
	}
	notice := v.r.URL.Query().Get("notice")
	if !slices.Contains(mailNotices, notice) {
		notice = ""
	}
	return v.page(http.StatusOK, templates.CheckMailPage{
		Flow: v.r.URL.Query().Get("flow"), Email: flow.Email, Notice: notice,
		ResendAfter: seconds(max(0, resendAfter-max(0, v.rt.now().Sub(flow.Issued)))),
		StepUp:      flow.linked(),
		Code:        v.awaitsCode(flow),
	})
}

// mailNotices are what the page that waits can say about the mail.
var mailNotices = []string{"link_sent", "link_recent"}

// resendAfter is how long the page makes people wait before they ask for another link; the triggers refuse before, too.
const resendAfter = time.Minute

// postResend mails another link for the same flow.
func (v *portalVisit) postResend() error {
	if err := v.form(); err != nil {
		return err
	}
	flow, err := v.ownFlow(v.r.PostForm.Get("flow"))
	if err != nil || flow.Email == "" {
		if err == nil {
			err = errFlowInvalid
		}
		return v.startAfresh(v.r.PostForm.Get("flow"), "", err)
	}
	return v.sendLink(flow, "&notice=link_sent")
}

// getMailStatus tells the waiting page what became of its link. It changes nothing: where to go on is for a navigation to find out.
func (v *portalVisit) getMailStatus() error {
	status := func(state, location string) error {
		return v.json(http.StatusOK, struct {
			State    string `json:"state"`
			Location string `json:"location,omitempty"`
		}{state, location})
	}
	flow, err := v.ownFlow(v.r.URL.Query().Get("flow"))
	if errors.Is(err, errFlowInvalid) || errors.Is(err, errFlowExpired) || err == nil && flow.Email == "" {
		return status("expired", "")
	}
	if err != nil {
		return err
	}
	if spent, err := v.spent(flow); err != nil {
		return err
	} else if spent {
		return status("confirmed", "") // the tab with the link goes on: the request is sent once
	}
	s, ok, err := v.peek()
	if err != nil {
		return err
	}
	if ok && flow.transaction() == nil && flow.done(&s) {
		location, err := v.rt.flowURL("sign-in", flow)
		if err != nil {
			return err
		}
		return status("done", location)
	}
	var by string
	finished, err := v.rt.recall(v.r.Context(), markFlow, flow.ID, &by)
	switch {
	case err != nil:
		return err
	case finished && !sameBrowser(by, flow.Browser):
		return status("elsewhere", "")
	case finished, !v.rt.recent(flow.Issued, v.rt.config.linkLifetime()):
		return status("expired", "")
	}
	return status("waiting", "")
}
