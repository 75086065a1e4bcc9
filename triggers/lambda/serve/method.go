package serve

import "github.com/caddy-cognito/passwordless/internal/challenge"

// Method is the sign-in method that the client metadata asks for, "none" or "other": what a caller writes does not become a dimension.
func Method(metadata map[string]string) string {
	switch m := challenge.SignInMethod(metadata[challenge.KeySignInMethod]); m {
	case challenge.MagicLink, challenge.FIDO2, challenge.SMSStepUp:
		return string(m)
	case "":
		return "none"
	default:
		return "other"
	}
}
