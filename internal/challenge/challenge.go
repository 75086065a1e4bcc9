// Package challenge holds the names and formats that the portal, the Lambda triggers and existing deployments of
// amazon-cognito-passwordless-auth share: sign-in methods, challenge parameters, answers, the magic link, the user handle.
//
// It is a leaf: it imports nothing of this project and makes no decision. Parsers refuse what they do not understand and
// never panic on outside bytes.
package challenge

// SignInMethod says which proof a client wants to give. It travels in ClientMetadata under [KeySignInMethod].
type SignInMethod string

// The methods a custom-auth flow knows.
const (
	MagicLink SignInMethod = "MAGIC_LINK"
	SMSStepUp SignInMethod = "SMS_OTP_STEPUP"
	FIDO2     SignInMethod = "FIDO2"
)

// Keys of ClientMetadata. The caller controls every value.
const (
	KeySignInMethod         = "signInMethod"
	KeyRedirectURI          = "redirectUri"
	KeyAlreadyHaveMagicLink = "alreadyHaveMagicLink" // "yes" or "no"
	KeyMagicLinkCode        = "magicLinkCode"        // "yes" asks for a short code beside the link
	KeyAttemptID            = "attemptId"            // binds the proof-of-method receipt to one sign-in
	KeyFirstFactorToken     = "jwt"                  // access token that proves a first factor, before an SMS goes out
)

// AnswerAuthParameters answers round one when the proof comes in a later round.
const AnswerAuthParameters = "__dummy__"

// Names of challenge parameters.
const (
	ParamChallenge    = "challenge"
	ParamFIDO2Options = "fido2options"
	ParamPhoneNumber  = "phoneNumber"
	ParamSecretCode   = "secretCode" // private only
	ParamNonce        = "nonce"      // private only: 16 random bytes, base64url, new for each Cognito session
	ParamOperation    = "operation"  // private only: [OperationKey] of the mail that a short code came with, base64url
	ParamPasskeys     = "passkeys"   // private only: every passkey of the user, as package passkey encodes them
)

// Values of [ParamChallenge].
const (
	ProvideAuthParameters = "PROVIDE_AUTH_PARAMETERS"
	ProvideMagicLink      = "PROVIDE_MAGIC_LINK"
)

// Values of challengeMetadata. The one of round one continues with "|<nonce>"; see [AuthParametersMetadata].
const (
	MetadataMagicLink     = "MAGIC_LINK"
	MetadataMagicLinkCode = "MAGIC_LINK_CODE"
	MetadataSMS           = "SMS-OTP-STEPUP-CODE"
)

// CustomChallenge is the only challenge name the flow uses.
const CustomChallenge = "CUSTOM_CHALLENGE"

// Retry-safe metadata of round one: Cognito shows it to later Define and Create calls and hides it from the client.
const metadataSeparator = "|"
