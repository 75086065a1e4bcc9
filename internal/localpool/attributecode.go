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
	value := u.Attributes[in.AttributeName]
	if value == "" {
		return nil, invalidParameter("User does not have a value for the attribute " + in.AttributeName + ".")
	}
	key := attributeCodeKey(u, in.AttributeName)
	var op [sha256.Size]byte
	if _, err := cryptorand.Read(op[:]); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	within, err := (&triggerStore{pool: p}).Take(ctx, key, op, attributeCodesPerHour, time.Hour, s.Now())
	if err != nil {
		return nil, err
	}
	if !within {
		return nil, errCodeLimit
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
	return p.sendAttributeCode(ctx, s, u, in.AttributeName, value, code)
}

// codeHash binds a code to its user and attribute. Six digits are no secret to who has the file; they end within the day.
func codeHash(key [sha256.Size]byte, code string) [sha256.Size]byte {
	return sha256.Sum256(append(key[:], code...))
}

func (p *Pool) sendAttributeCode(ctx context.Context, s *settings, u user, name, value, code string) (*attributeCodeOutput, error) {
	locale := cmp.Or(u.Attributes["locale"], "en")
	text, err := templates.SMSText(locale, templates.SMSData{Product: s.Product, Code: code})
	if err != nil {
		return nil, err
	}
	delivery := codeDelivery{AttributeName: name}
	if name == "phone_number" {
		delivery.DeliveryMedium, delivery.Destination = "SMS", challenge.MaskPhone(value)
		err = p.texter(s).SendText(ctx, Text{To: value, Body: text})
	} else {
		delivery.DeliveryMedium, delivery.Destination = "EMAIL", maskEmail(value)
		err = p.mailer(s).SendMail(ctx, Mail{From: s.From, To: value, Locale: locale, Subject: s.Product, Text: text, HTML: "<p>" + html.EscapeString(text) + "</p>"})
	}
	if err != nil {
		p.logger().ErrorContext(ctx, "verification code not delivered", "attribute", name, "error", err)
		return nil, &failure{Type: typeCodeDelivery, Message: "The verification code could not be delivered."}
	}
	return &attributeCodeOutput{CodeDeliveryDetails: delivery}, nil
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
	key := attributeCodeKey(u, in.AttributeName)
	// A wrong try is a change too: it must be on disk before it is answered, whatever the answer is.
	var refused error
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
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
		if !found || !exists || c.Value != now.Attributes[in.AttributeName] || !s.Now().Before(c.Ends) {
			refused = errCodeExpired
			return nil
		}
		if c.Tries++; c.Tries > attributeCodeTries {
			refused = errCodeLimit
			return nil
		}
		if hash := codeHash(key, in.Code); !sameSecret(string(hash[:]), string(c.Hash[:])) {
			refused = errCodeMismatch
			return putItem(tx, bucketSecrets, secretKey(kindAttributeCode, key), c.Ends, c)
		}
		now.Attributes = maps.Clone(now.Attributes)
		now.Attributes[in.AttributeName+"_verified"] = "true"
		now.Modified = s.Now().UTC()
		if err := putUser(tx, now); err != nil {
			return err
		}
		return deleteItem(tx, bucketSecrets, secretKey(kindAttributeCode, key))
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}
