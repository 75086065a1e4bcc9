package triggers_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// defects are those of amazon-cognito-passwordless-auth 0.17.0 that were reproduced there and that this module must not have. Each has
// tests that fail on that behaviour: here run again under the defect's number, elsewhere named as "<package> <test>".
var defects = []struct {
	number    int
	story     string
	here      []func(*testing.T)
	elsewhere []string
}{
	{
		1, "a trigger that is called again with the same event sends a second mail, or denies its own link",
		[]func(*testing.T){TestCreateRetriedSendsOneMail, TestCreateRetriedConcurrentlySendsOneMail, TestVerifyRetriedPassesAgain, TestEveryTriggerCalledAgain}, nil,
	},
	{2, "a redirectUri with markup stands in the mail", []func(*testing.T){TestRedirectIsRefusedForEverybody}, []string{"triggers/create TestRedirects", "templates TestLinkWithMarkup"}},
	{
		3, "answers tell who has an account, a passkey, a phone",
		[]func(*testing.T){TestFakeCredentialsForBothKindsOfUser, TestLinkForNobody, TestCodeForNobody, TestSMSForThoseWithoutAPhone, TestPasskeyEnforced, TestOfferedIDsAreNotLookedUp}, nil,
	},
	{
		4, "SMS codes have digits 0 to 8, are compared in variable time, and can be guessed and sent without end",
		[]func(*testing.T){TestGuessingOverManySessions, TestSMSPumping, TestNoSMSWithoutAFirstFactor}, []string{"triggers/create TestDigitsAreUniform", "triggers/verify TestCodesAreComparedWhole"},
	},
	{
		5, "notifications go to unverified addresses, and nothing ever verifies one",
		[]func(*testing.T){TestLinkVerifiesTheCurrentAddress}, []string{"triggers/notify TestNoNotificationToUnverifiedAddresses", "triggers/notify TestFriendlyNameIsEscapedInTheMail"},
	},
	{6, "a deployment with SMS only does not start", []func(*testing.T){TestSMSOnly}, nil},
	{7, "a user with only a phone number cannot register a passkey", nil, []string{"passkey TestStartRegistration"}},
	{8, "the caller sets sign_in_method", nil, []string{"triggers/pretoken TestClaims", "triggers/pretoken TestRealEvents"}},
	{9, "a cached public key outlives its alias", []func(*testing.T){TestKeyRotationBehindTheAlias}, nil},
	{10, "any unexpired ID token adds or deletes passkeys, even after sign-out", nil, []string{"caddyauth TestFIDO2Refusals", "caddyauth TestProofs"}},
	{11, "no refresh-token rotation, sign-out fails with a client secret, partitions other than aws are unknown", nil, []string{"userpool TestRequests", "userpool TestPartitions"}},
	{12, "claims of a step-up vanish at the first refresh", nil, []string{"internal/session TestOlderGenerationAdoptsTheStepUp"}},
	{13, "malformed answers are internal errors, and a link is used up before it is checked", []func(*testing.T){TestDenialBurnsNothing, TestMalformedPasskeyAnswers}, nil},
	{14, "asking for a link voids the one before", []func(*testing.T){TestAskingAgainKeepsEarlierLinks}, nil},
	{15, "a passkey is orphaned on the device when the user leaves while naming it", nil, []string{"passkey TestFriendlyNameFromProvider"}},
}

func TestDefects(t *testing.T) {
	for i, d := range defects {
		if d.number != i+1 || len(d.here)+len(d.elsewhere) == 0 {
			t.Errorf("defect %d has no test", d.number)
		}
		t.Run(fmt.Sprintf("%02d %s", d.number, d.story), func(t *testing.T) {
			for _, test := range d.here {
				test(t)
			}
			for _, name := range d.elsewhere {
				if !hasTest(t, name) {
					t.Errorf("the test %q of this defect is gone: write it again, or name another", name)
				}
			}
		})
	}
}

// hasTest finds a test function by "<package> <test>".
func hasTest(t *testing.T, name string) bool {
	t.Helper()
	folder, test, _ := strings.Cut(name, " ")
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == test {
				return true
			}
		}
	}
	return false
}
