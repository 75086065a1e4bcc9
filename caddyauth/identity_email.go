package caddyauth

import (
	"strings"

	"github.com/caddy-cognito/passwordless/internal/session"
)

const (
	// verifiedEmail is the e-mail address if the user pool says it is verified, else absent.
	verifiedEmail = "verified_email"
	// localPartOf begins the name of the part of a verified address before the "@"; one domain follows.
	localPartOf = "email_local_part@"
)

func verifiedEmailOf(s *session.Session) string {
	if !s.EmailVerified {
		return ""
	}
	return s.Email
}

// localPartDomain is the domain in "email_local_part@example.com". There is one domain per name: anna@example.com and
// anna@example.net are two people.
func localPartDomain(name string) (domain string, ok bool) {
	domain, ok = strings.CutPrefix(name, localPartOf)
	return domain, ok && domain != "" && !strings.ContainsAny(domain, "@*/:, ")
}

// localPart is the part of a verified address of that domain before the "@", in lower case. It is absent if an application could
// read it in another way than as one plain name: quoted and international local parts, and "/" and the like (RFC 5322, section 3.4.1).
func localPart(s *session.Session, domain string) string {
	address := verifiedEmailOf(s)
	at := strings.LastIndexByte(address, '@')
	if at < 1 || len(address)-at-1 != len(domain) || !strings.EqualFold(address[at+1:], domain) {
		return ""
	}
	for i := range at { // before ToLower, which makes ASCII of some other letters
		switch c := address[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', i > 0 && strings.IndexByte("._+-", c) >= 0:
		default:
			return ""
		}
	}
	return strings.ToLower(address[:at])
}
