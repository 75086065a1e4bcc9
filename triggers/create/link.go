package create

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/templates"
)

func (m *MagicLink) validate() error {
	switch {
	case m.Mailer == nil || m.Signer == nil || m.Leases == nil || m.Links == nil:
		return errors.New("create: magic links need a mailer, a signer, leases and links")
	case len(m.AllowedRedirects) == 0:
		return errors.New("create: magic links need allowed redirects, such as https://auth.example.com/auth/link")
	case m.PerHour != 0 && m.Limiter == nil:
		return errors.New("create: a limit of mails in an hour needs a limiter")
	case m.Lifetime < 0 || m.Between < 0 || m.Outstanding < 0 || m.PerHour < 0:
		return errors.New("create: a limit of magic links is negative")
	}
	for _, p := range m.AllowedRedirects {
		u, err := plainURL(p)
		if err != nil {
			return fmt.Errorf("create: allowed redirect %q: %w", p, err)
		}
		if u.RawQuery != "" {
			return fmt.Errorf("create: allowed redirect %q: leave the query out", p)
		}
	}
	return nil
}

// magicLink sends a link, if there is anybody to send it to, and answers the same in every case.
func (h *Handler) magicLink(ctx context.Context, e event) (event, error) {
	m := h.MagicLink
	nonce := sessionNonce(e)
	if round := codeRound(e.Request.Session); round >= 0 && nonce != "" {
		// A wrong code: the next try is for the same one, and nothing is mailed.
		return h.answerCode(e, nonce, round), nil
	}
	redirect := e.Request.ClientMetadata[challenge.KeyRedirectURI]
	host, err := checkRedirect(redirect, m.AllowedRedirects)
	if errors.Is(err, errRedirect) {
		return e, &challenge.Failure{Text: errRedirect.Error()}
	}
	if err != nil {
		return e, h.fail(ctx, "magic links are not configured", err)
	}
	op, err := h.operation(nonce, e)
	if err != nil {
		return e, h.fail(ctx, "no randomness", err)
	}
	round := len(e.Request.Session)
	message := templates.MagicLinkData{Product: m.Product, Host: host, ValidFor: cmp.Or(m.Lifetime, 900*time.Second)}
	withCode := m.Code && nonce != "" && e.Request.ClientMetadata[challenge.KeyMagicLinkCode] == "yes"
	if withCode {
		message.Code = challenge.FormatCode(h.linkCode(e, nonce, round))
	}
	send := func(ctx context.Context, now time.Time) error { return h.sendLink(ctx, e, op, redirect, message, now) }
	if err := h.once(ctx, m.Leases, op, send); err != nil {
		return e, h.fail(ctx, "the magic link could not be sent", err)
	}
	if withCode {
		return h.answerCode(e, nonce, round), nil
	}
	e.Response.PublicChallengeParameters = map[string]string{}
	e.Response.PrivateChallengeParameters = present(map[string]string{
		challenge.ParamChallenge: challenge.ProvideMagicLink,
		challenge.ParamNonce:     nonce,
	})
	e.Response.ChallengeMetadata = challenge.MetadataMagicLink
	return e, nil
}

// operation is the key of this round's sending. Without a nonce (the session began under another implementation) it is
// random: then only the least time between two messages keeps a retry from sending again.
func (h *Handler) operation(nonce string, e event) ([sha256.Size]byte, error) {
	if nonce == "" {
		var op [sha256.Size]byte
		_, err := io.ReadFull(h.random(), op[:])
		return op, err
	}
	return challenge.OperationKey(nonce, len(e.Request.Session)), nil
}

// errRefused marks an error after which nothing was sent, for certain.
var errRefused = errors.New("not sent")

// once runs send under the operation's lease, unless it ran or runs already. A retry may follow at once where nothing was sent for
// certain; else the lease must end first.
func (h *Handler) once(ctx context.Context, leases Leases, op [sha256.Size]byte, send func(context.Context, time.Time) error) error {
	now := h.now()
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	state, err := leases.Lease(ctx, op, now, leaseTime)
	if err != nil {
		return fmt.Errorf("leasing the operation: %w", err)
	}
	switch state {
	case LeaseSent, LeaseRunning:
		return nil
	case LeaseHeld:
	default:
		return fmt.Errorf("unknown lease state %d", state)
	}
	if err := send(ctx, now); err != nil {
		if errors.Is(err, errRefused) && ctx.Err() == nil {
			if rerr := leases.Release(ctx, op); rerr != nil {
				err = errors.Join(err, fmt.Errorf("releasing the operation: %w", rerr))
			}
		}
		return err
	}
	if err := leases.Sent(ctx, op); err != nil {
		// The message is out: an error now would make Cognito call again and, once the lease is over, send a second one.
		_ = h.fail(ctx, "cannot mark a message as sent", err)
	}
	return nil
}

// sendLink makes, stores and mails one link. For a user who cannot get mail it does all but the mailing, so that calls and times
// stay alike.
func (h *Handler) sendLink(ctx context.Context, e event, op [sha256.Size]byte, redirect string, content templates.MagicLinkData, now time.Time) error {
	m := h.MagicLink
	l := Link{
		UserNameHash: challenge.TableHash(m.Salt, []byte(e.UserName)),
		IssuedAt:     time.Unix(now.Unix(), 0),
		Operation:    op,
	}
	l.Expires = time.Unix(l.IssuedAt.Add(content.ValidFor).Unix(), 0)
	if m.Limiter != nil {
		key := limiterKey("magic link", l.UserNameHash)
		ok, err := m.Limiter.Take(ctx, key, op, cmp.Or(m.PerHour, 10), time.Hour, now)
		if err != nil {
			return fmt.Errorf("%w: counting mails: %w", errRefused, err)
		}
		if !ok {
			return nil
		}
	}
	to := ""
	if a := e.Request.UserAttributes["email"]; !e.Request.UserNotFound && deliverable(a) {
		to = a
		l.AddressHash = challenge.TableHash(m.Salt, []byte(a))
	}
	message := challenge.EncodeLinkMessage(challenge.LinkMessage{UserName: e.UserName, IssuedAt: l.IssuedAt.Unix(), Expires: l.Expires.Unix()})
	digest := challenge.LinkDigest(message, challenge.LinkContext{UserPoolID: e.UserPoolID, ClientID: e.CallerContext.ClientID})
	signature, keyID, err := m.Signer.Sign(ctx, digest)
	if err != nil {
		return fmt.Errorf("%w: signing the link: %w", errRefused, err)
	}
	l.SignatureHash, l.KeyID = challenge.TableHash(m.Salt, signature), keyID
	rules := LinkRules{Outstanding: cmp.Or(m.Outstanding, 3), Between: cmp.Or(m.Between, 60*time.Second)}
	if err := m.Links.Put(ctx, l, rules); errors.Is(err, ErrTooManyLinks) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: storing the link: %w", errRefused, err)
	}
	if to == "" {
		return nil
	}
	content.Link = challenge.Link{Raw: message, Signature: signature}.URL(redirect)
	if err := m.mail(ctx, to, e.Request.UserAttributes["locale"], content); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if werr := m.Links.Withdraw(ctx, l); werr != nil {
			err = errors.Join(err, fmt.Errorf("withdrawing the link: %w", werr))
		}
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

func (m *MagicLink) mail(ctx context.Context, to, locale string, d templates.MagicLinkData) error {
	content := m.Content
	if content == nil {
		content = templates.MagicLinkMail
	}
	message, err := content(locale, d)
	if err != nil {
		return fmt.Errorf("writing the mail: %w", err)
	}
	mail := Mail{To: to, Locale: locale, Subject: message.Subject, Text: message.Text, HTML: message.HTML}
	if err := m.Mailer.Send(ctx, mail); err != nil {
		return fmt.Errorf("sending the mail: %w", err)
	}
	return nil
}

// deliverable refuses what is no single bare address, such as one that would bring headers or further recipients along.
func deliverable(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != "" && len(address) <= 320 && !strings.Contains(domain, "@") &&
		!strings.ContainsFunc(address, func(r rune) bool {
			return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune("\",;:<>()[]\\", r)
		})
}

// limiterKey separates what is counted for a user.
func limiterKey(kind string, userNameHash [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(kind+"\x00"), userNameHash[:]...))
}
