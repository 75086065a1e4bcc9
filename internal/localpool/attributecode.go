package localpool

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"html"
	"maps"
	"math/big"
	"time"

	cryptorand "crypto/rand"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/templates"
)

type attributeCodeInput struct {
	AccessToken    string            `json:"AccessToken"`
	AttributeName  string            `json:"AttributeName"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type attributeCodeOutput struct {
	CodeDeliveryDetails codeDelivery `json:"CodeDeliveryDetails"`
}

type codeDelivery struct {
	AttributeName  string `json:"AttributeName"`
	DeliveryMedium string `json:"DeliveryMedium"` // "EMAIL" or "SMS"
	Destination    string `json:"Destination"`    // masked
}

type verifyAttributeInput struct {
	AccessToken   string `json:"AccessToken"`
	AttributeName string `json:"AttributeName"`
	Code          string `json:"Code"`
}

// The limits of verification codes. Cognito's last 24 hours; a person who waits for a code uses it in minutes.
const (
	attributeCodeLifetime = 24 * time.Hour
	attributeCodeTries    = 5
	attributeCodesPerHour = 5
)

// kindAttributeCode is that of the codes' items in bucketSecrets.
const kindAttributeCode = 'v'

var (
	errCodeMismatch = &failure{Type: typeCodeMismatch, Message: "Invalid verification code provided, please try again."}
	errCodeExpired  = &failure{Type: typeExpiredCode, Message: "Invalid code provided, please request a code again."}
	errCodeLimit    = &failure{Type: typeLimitExceeded, Message: "Attempt limit exceeded, please try after some time."}
)

// attributeCode is a code under way. The value that it was sent to is what it proves.
type attributeCode struct {
	Hash  [sha256.Size]byte `json:"hash"`
	Value string            `json:"value"`
	Tries int               `json:"tries"`
	Ends  time.Time         `json:"ends"`
}

func attributeCodeKey(u user, name string) [sha256.Size]byte {
	return sha256.Sum256([]byte("attribute code\x00" + u.Username + "\x00" + name))
}

// getAttributeCode sends a code to an address or number of the access token's user.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetUserAttributeVerificationCode.html
func (p *Pool) getAttributeCode(ctx context.Context, in attributeCodeInput) (*attributeCodeOutput, error) {
	s := p.current.Load()
	u, _, err := p.signedIn(s, in.AccessToken)
	if err != nil {
		return nil, err
	}
	if in.AttributeName != "email" && in.AttributeName != "phone_number" {
		return nil, invalidParameter("Only email and phone_number can be verified.")
	}
	if u.Attributes[in.AttributeName] == "" {
		return nil, invalidParameter("User does not have a value for the attribute " + in.AttributeName + ".")
	}
	delivery, err := p.issueCode(ctx, s, u, in.AttributeName)
	if err != nil {
		return nil, err
	}
	return &attributeCodeOutput{CodeDeliveryDetails: *delivery}, nil
}

// issueCode makes a code for an address or a number of a user, which voids an earlier one, and sends it there.
func (p *Pool) issueCode(ctx context.Context, s *settings, u user, name string) (*codeDelivery, error) {
	key, value := attributeCodeKey(u, name), u.Attributes[name]
	if err := p.countCode(ctx, s, key); err != nil {
		return nil, err
	}
	n, err := cryptorand.Int(s.Rand, big.NewInt(1_000_000))
	if err != nil {
		return nil, fmt.Errorf("drawing a code: %w", err)
	}
	code := fmt.Sprintf("%06d", n)
	ends := s.Now().Add(attributeCodeLifetime)
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
		return putItem(tx, bucketSecrets, secretKey(kindAttributeCode, key), ends, attributeCode{Hash: codeHash(key, code), Value: value, Ends: ends.UTC()})
	})
	if err != nil {
		return nil, err
	}
	return p.sendAttributeCode(ctx, s, u, name, code)
}

// countCode counts one code, and refuses one too many.
func (p *Pool) countCode(ctx context.Context, s *settings, key [sha256.Size]byte) error {
	var op [sha256.Size]byte
	if _, err := cryptorand.Read(op[:]); err != nil {
		return fmt.Errorf("reading randomness: %w", err)
	}
	within, err := (&triggerStore{pool: p}).Take(ctx, key, op, attributeCodesPerHour, time.Hour, s.Now())
	if err != nil {
		return err
	}
	if !within {
		return errCodeLimit
	}
	return nil
}

// codeHash binds a code to its user and attribute. Six digits are no secret to who has the file; they end within the day.
func codeHash(key [sha256.Size]byte, code string) [sha256.Size]byte {
	return sha256.Sum256(append(key[:], code...))
}

func (p *Pool) sendAttributeCode(ctx context.Context, s *settings, u user, name, code string) (*codeDelivery, error) {
	locale := cmp.Or(u.Attributes["locale"], "en")
	message := templates.SMSData{Product: s.Product, Code: code}
	if name == aliasPhone {
		message.Host = s.codeHost()
	}
	text, err := templates.SMSText(locale, message)
	if err != nil {
		return nil, err
	}
	value, delivery := u.Attributes[name], deliveryOf(name, u.Attributes[name])
	if name == aliasPhone {
		err = p.texter(s).SendText(ctx, Text{To: value, Body: text})
	} else {
		err = p.mailer(s).SendMail(ctx, Mail{From: s.From, To: value, Locale: locale, Subject: s.Product, Text: text, HTML: "<p>" + html.EscapeString(text) + "</p>"})
	}
	if err != nil {
		p.logger().ErrorContext(ctx, "verification code not delivered", "attribute", name, "error", err)
		return nil, &failure{Type: typeCodeDelivery, Message: "The verification code could not be delivered."}
	}
	return &delivery, nil
}

func deliveryOf(name, value string) codeDelivery {
	if name == aliasPhone {
		return codeDelivery{AttributeName: name, DeliveryMedium: "SMS", Destination: challenge.MaskPhone(value)}
	}
	return codeDelivery{AttributeName: name, DeliveryMedium: "EMAIL", Destination: maskEmail(value)}
}

// maskEmail shows the first letters of both parts, as Cognito does.
func maskEmail(address string) string {
	for i, r := range address {
		if r == '@' && i > 0 && i+1 < len(address) {
			return address[:1] + "***@" + address[i+1:i+2] + "***"
		}
	}
	return "***"
}

// verifyUserAttribute marks an address or number as verified if the code is right and still for this very value.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_VerifyUserAttribute.html
func (p *Pool) verifyUserAttribute(ctx context.Context, in verifyAttributeInput) (*empty, error) {
	s := p.current.Load()
	u, _, err := p.signedIn(s, in.AccessToken)
	if err != nil {
		return nil, err
	}
	return &empty{}, p.useCode(ctx, s, u, in.AttributeName, in.Code, func(tx *bbolt.Tx, before user) error {
		now := before.verified(in.AttributeName, s.Now())
		return s.Names.storeUser(tx, &before, now, false, s.Now())
	})
}

// verified is the user with an address or a number that is proven.
func (u user) verified(name string, now time.Time) user {
	u.Attributes = maps.Clone(u.Attributes)
	u.Attributes[name+"_verified"] = "true"
	u.Modified = now.UTC()
	return u
}

// useCode checks a code for an address or a number of a user, uses it up and does what it proves, all in one step.
func (p *Pool) useCode(ctx context.Context, s *settings, u user, name, code string, proven func(*bbolt.Tx, user) error) error {
	key := attributeCodeKey(u, name)
	// A wrong try is a change too: it must be on disk before it is answered, whatever the answer is.
	var refused error
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		refused = nil
		var c attributeCode
		found, err := getItem(tx, bucketSecrets, secretKey(kindAttributeCode, key), s.Now(), &c)
		if err != nil {
			return err
		}
		now, exists, err := findUser(tx, u.Username, s.Now())
		if err != nil {
			return err
		}
		if !found || !exists || c.Value != now.Attributes[name] || !s.Now().Before(c.Ends) {
			refused = errCodeExpired
			return nil
		}
		if c.Tries++; c.Tries > attributeCodeTries {
			refused = errCodeLimit
			return nil
		}
		if hash := codeHash(key, code); !sameSecret(string(hash[:]), string(c.Hash[:])) {
			refused = errCodeMismatch
			return putItem(tx, bucketSecrets, secretKey(kindAttributeCode, key), c.Ends, c)
		}
		if err := proven(tx, now); err != nil {
			return err
		}
		return deleteItem(tx, bucketSecrets, secretKey(kindAttributeCode, key))
	})
	if err == nil {
		err = refused
	}
	return err
}
