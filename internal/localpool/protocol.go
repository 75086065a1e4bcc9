package localpool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "AWSCognitoIdentityProviderService."
	// maxRequest bounds a request body in bytes; Cognito's longest legal request stays well below.
	maxRequest = 128 << 10
	// maxDepth bounds the nesting of a request; no operation nests deeper than a map in an object in a list.
	maxDepth = 16
)

// operation decodes its input, does its work and returns what is sent as JSON.
type operation func(p *Pool, ctx context.Context, body []byte) (any, error)

// operations are those of Cognito that this pool answers. Each needs no AWS credentials in Cognito either.
var operations = map[string]operation{
	"SignUp":                    serve((*Pool).signUp),
	"ConfirmSignUp":             serve((*Pool).confirmSignUp),
	"ResendConfirmationCode":    serve((*Pool).resendConfirmationCode),
	"InitiateAuth":              serve((*Pool).initiateAuth),
	"RespondToAuthChallenge":    serve((*Pool).respondToAuthChallenge),
	"GetTokensFromRefreshToken": serve((*Pool).getTokensFromRefreshToken),
	"RevokeToken":               serve((*Pool).revokeToken),
	"GlobalSignOut":             serve((*Pool).globalSignOut),
	"GetUser":                   serve((*Pool).getUser),
	"UpdateUserAttributes":      serve((*Pool).updateUserAttributes),
	"DeleteUserAttributes":      serve((*Pool).deleteUserAttributes),
	"DeleteUser":                serve((*Pool).deleteUser),

	"GetUserAttributeVerificationCode": serve((*Pool).getAttributeCode),
	"VerifyUserAttribute":              serve((*Pool).verifyUserAttribute),
}

// serve adapts a typed method to [operation].
func serve[In, Out any](method func(*Pool, context.Context, In) (Out, error)) operation {
	return func(p *Pool, ctx context.Context, body []byte) (any, error) {
		in, err := decodeRequest[In](body)
		if err != nil {
			return nil, err
		}
		return method(p, ctx, in)
	}
}

// decodeRequest reads a JSON 1.1 request body. Members that an operation does not know are ignored, as Cognito does for
// newer clients.
func decodeRequest[In any](body []byte) (In, error) {
	var in, zero In
	d := json.NewDecoder(bytes.NewReader(body))
	if err := checkDepth(body); err != nil {
		return zero, err
	}
	if err := d.Decode(&in); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) && mismatch.Field != "" {
			return zero, &failure{Type: typeSerialization, Message: fmt.Sprintf("%s has the wrong JSON type: %s", mismatch.Field, mismatch.Value)}
		}
		return zero, &failure{Type: typeSerialization, Message: "The request body is not a JSON object of this operation."}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return zero, &failure{Type: typeSerialization, Message: "The request body goes on after its JSON object."}
	}
	return in, nil
}

// checkDepth refuses deep nesting before anything recurses into it, and bodies that are no object.
func checkDepth(body []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return &failure{Type: typeSerialization, Message: "The request body is nested too deeply."}
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return &failure{Type: typeSerialization, Message: "The request body is not a JSON object."}
	}
	return nil
}

// Handler serves the protocol: POST / with X-Amz-Target, and the documents under /<pool>/.well-known/.
func (p *Pool) Handler() http.Handler { return http.HandlerFunc(p.serveHTTP) }

func (p *Pool) serveHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path == "/":
		w.Header().Set("Cache-Control", "no-store")
		p.serveOperation(w, r)
	case strings.HasPrefix(r.URL.Path, "/"+p.UserPoolID()+"/.well-known/"):
		p.serveDocument(w, r)
	default:
		http.Error(w, "not found: operations are posted to /, keys are under /"+p.UserPoolID()+"/.well-known/", http.StatusNotFound)
	}
}

func (p *Pool) serveOperation(w http.ResponseWriter, r *http.Request) {
	requestID, err := newUUID(p.rand())
	if err != nil {
		p.answerError(w, r, "", err)
		return
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "operations are posted", http.StatusMethodNotAllowed)
		return
	}
	// Nothing a plain HTML form can send is accepted, so other web pages cannot post here without a CORS preflight.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentType {
		(&failure{Type: typeUnknownOperation, Message: "The Content-Type must be " + contentType + "."}).write(w)
		return
	}
	name, found := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op, open := operations[name]
	if !open {
		op = adminOperations[name]
	}
	if !found || op == nil {
		(&failure{Type: typeUnknownOperation, Message: "The embedded user pool does not support this operation" + named(name) + "."}).write(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			(&failure{Type: typeInvalidParameter, Message: fmt.Sprintf("The request is longer than %d bytes.", maxRequest), status: http.StatusRequestEntityTooLarge}).write(w)
			return
		}
		(&failure{Type: typeSerialization, Message: "The request body could not be read."}).write(w)
		return
	}
	if !open {
		if err := p.current.Load().checkSignature(r, body); err != nil {
			p.answerError(w, r, name, err)
			return
		}
	}
	out, err := op(p, r.Context(), body)
	if err != nil {
		p.answerError(w, r, name, err)
		return
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		p.answerError(w, r, name, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(encoded) // the caller has gone
}

// named shows an operation's name if it looks like one.
func named(name string) string {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }) {
		return ""
	}
	return " (" + name + ")"
}

// answerError sends a failure as it is, and hides anything else behind InternalErrorException.
func (p *Pool) answerError(w http.ResponseWriter, r *http.Request, name string, err error) {
	var f *failure
	if errors.As(err, &f) {
		p.logger().LogAttrs(r.Context(), slog.LevelDebug, "operation refused", slog.String("operation", name), slog.String("type", f.Type))
		f.write(w)
		return
	}
	p.logger().LogAttrs(r.Context(), slog.LevelError, "operation failed", slog.String("operation", name), slog.Any("error", err))
	(&failure{Type: typeInternal, Message: "The user pool had an internal error.", status: http.StatusInternalServerError}).write(w)
}
