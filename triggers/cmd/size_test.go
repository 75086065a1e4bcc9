package cmd_test

import (
	"bytes"
	"os"
	"testing"
)

// The programs hold the calls that they make, and not the hundreds that the SDK has besides: those would be a quarter of create and a third of
// notify, in every start and in every sandbox's memory.
func TestProgramsHoldNoCallsBesides(t *testing.T) {
	for trigger, made := range map[string][]string{
		"create":   {"sesv2.(*Client).SendEmail", "sns.(*Client).Publish", "kms.(*Client).Sign", "dynamodb.(*Client).Query"},
		"verify":   {"kms.(*Client).GetPublicKey", "dynamodb.(*Client).TransactWriteItems", "cognitoidentityprovider.(*Client).AdminGetUser"},
		"pretoken": {"dynamodb.(*Client).GetItem"},
		"notify":   {"sesv2.(*Client).SendEmail", "cognitoidentityprovider.(*Client).AdminGetUser"},
	} {
		program, err := os.ReadFile(unpack(t, trigger))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range made {
			if !bytes.Contains(program, []byte("service/"+call)) {
				t.Errorf("%s has no %s: are the names of functions still in programs?", trigger, call)
			}
		}
		for _, call := range []string{
			"sesv2.(*Client).CreateEmailIdentity", "sns.(*Client).CreateTopic", "kms.(*Client).ScheduleKeyDeletion", "dynamodb.(*Client).DeleteTable",
			"cognitoidentityprovider.(*Client).AdminCreateUser",
		} {
			if bytes.Contains(program, []byte("service/"+call)) {
				t.Errorf("%s holds %s: its client has become an interface's value; see package tables", trigger, call)
			}
		}
	}
}
