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
		number: 1,
		story:  "a trigger that is called again with the same event sends a second mail, or denies its own link",
		here: []func(*testing.T){
			TestCreateRetriedSendsOneMail,
			TestCreateRetriedConcurrentlySendsOneMail,
			TestVerifyRetriedPassesAgain,
			TestEveryTriggerCalledAgain,
		},
	},
	{
		number:    2,
		story:     "a redirectUri with markup stands in the mail",
		here:      []func(*testing.T){TestRedirectIsRefusedForEverybody},
		elsewhere: []string{"triggers/create TestRedirects", "templates TestLinkWithMarkup"},
	},
	{
		number: 3,
		story:  "answers tell who has an account, a passkey, a phone",
		here: []func(*testing.T){
			TestFakeCredentialsForBothKindsOfUser,
			TestPasskeysOfADeletedUser,
			TestOfferedIDsAreNotLookedUp,
			TestLinkForNobody,
			TestCodeForNobody,
			TestSMSForThoseWithoutAPhone,
			TestPasskeyEnforced,
		},
	},
	{
		number:    4,
		story:     "SMS codes have digits 0 to 8, are compared in variable time, and can be guessed and sent without end",
		here:      []func(*testing.T){TestGuessingOverManySessions, TestSMSPumping, TestNoSMSWithoutAFirstFactor},
		elsewhere: []string{"triggers/create TestDigitsAreUniform", "triggers/verify TestCodesAreComparedWhole"},
	},
	{
		number:    5,
		story:     "notifications go to unverified addresses with names unescaped, and nothing ever verifies an address",
		here:      []func(*testing.T){TestLinkVerifiesTheCurrentAddress},
		elsewhere: []string{"triggers/notify TestNoNotificationToUnverifiedAddresses", "triggers/notify TestFriendlyNameIsEscapedInTheMail"},
	},
	{
		number: 6,
		story:  "a deployment with SMS only does not start",
		here:   []func(*testing.T){TestSMSOnly},
	},
	{
		number:    7,
		story:     "a user with only a phone number cannot register a passkey",
		elsewhere: []string{"passkey TestStartRegistration"},
	},
	{
		number:    8,
		story:     "the caller sets sign_in_method",
		elsewhere: []string{"triggers/pretoken TestClaims", "triggers/pretoken TestRealEvents"},
	},
	{
		number: 9,
		story:  "a cached public key outlives its alias",
		here:   []func(*testing.T){TestKeyRotationBehindTheAlias},
	},
	{
		number:    10,
		story:     "any unexpired ID token adds or deletes passkeys, even after sign-out",
		elsewhere: []string{"caddyauth TestFIDO2Refusals", "caddyauth TestProofs"},
	},
	{
		number:    11,
		story:     "no refresh-token rotation, sign-out fails with a client secret, partitions other than aws are unknown",
		elsewhere: []string{"userpool TestRequests", "userpool TestPartitions"},
	},
	{
		number:    12,
		story:     "claims of a step-up vanish at the first refresh",
		elsewhere: []string{"internal/session TestOlderGenerationAdoptsTheStepUp"},
	},
	{
		number: 13,
		story:  "malformed answers are internal errors, and a link is used up before it is checked",
		here:   []func(*testing.T){TestDenialBurnsNothing, TestMalformedPasskeyAnswers},
	},
	{
		number: 14,
		story:  "asking for a link voids the one before",
		here:   []func(*testing.T){TestAskingAgainKeepsEarlierLinks},
	},
	{
		number:    15,
		story:     "a passkey is orphaned on the device when the user leaves while naming it",
		elsewhere: []string{"passkey TestFriendlyNameFromProvider"},
	},
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
