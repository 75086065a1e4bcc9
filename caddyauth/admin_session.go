package caddyauth

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// adminKey describes a key of the ring that seals cookies and records.
type adminKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Active  time.Time `json:"active"`
	State   string    `json:"state"` // "old", "sealing" or "waiting"
}

func (rt *realm) adminKeys() []adminKey {
	list, state := []adminKey{}, "old"
	for _, k := range rt.sessions.Keys.Keys() {
		switch {
		case k.Sealing:
			state = "sealing"
		case state == "sealing":
			state = "waiting"
		}
		list = append(list, adminKey{ID: k.ID, Created: k.Created, Active: k.Active, State: state})
	}
	return list
}

// adminSession is one session of a user.
type adminSession struct {
	ID        string               `json:"id"`
	Started   time.Time            `json:"started"`
	Seen      time.Time            `json:"seen"`
	Address   string               `json:"address,omitempty"`
	UserAgent string               `json:"user_agent,omitempty"`
	Factors   map[string]time.Time `json:"factors"`
}

// adminEnded says how many sessions were ended.
type adminEnded struct {
	Ended int `json:"ended"`
}

// adminSessions lists or ends the sessions of a user. A user pool that runs here finds users by address too; of others the "sub" must be
// given.
func (rt *realm) adminSessions(ctx context.Context, method string, values map[string]string) (any, error) {
	subject := values["user"]
	if subject == "" {
		return nil, &AdminError{http.StatusBadRequest, "say whose sessions: user is missing"}
	}
	if rt.admin != nil {
		var err error
		if subject, err = rt.admin.Subject(ctx, subject); err != nil {
			return nil, err
		}
	}
	operator := []zap.Field{zap.String("subject", subject), zap.String("by", "operator")}
	if id, one := values["id"]; method == http.MethodDelete && one {
		if err := rt.sessions.EndByID(ctx, subject, id); err != nil {
			return nil, err
		}
		rt.record(happenedSessionEnded, "", append(operator, zap.String("ended", id))...)
		return adminEnded{1}, nil
	}
	summaries, err := rt.sessions.List(ctx, subject)
	if err != nil {
		return nil, err
	}
	if method == http.MethodDelete {
		if err := rt.sessions.EndAll(ctx, subject); err != nil {
			return nil, err
		}
		rt.record(happenedSignOutAll, "", operator...)
		return adminEnded{len(summaries)}, nil
	}
	list := []adminSession{}
	for _, s := range summaries {
		one := adminSession{ID: s.ID, Started: s.Started, Seen: s.Seen, Address: s.Device.Address, UserAgent: s.Device.UserAgent, Factors: make(map[string]time.Time)}
		for _, passed := range s.Factors {
			one.Factors[string(passed.Factor)] = passed.At
		}
		list = append(list, one)
	}
	return list, nil
}
