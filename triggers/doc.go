// Package triggers holds the Lambda triggers of Cognito's custom-auth flow, a package each, as pure handlers over the event types of
// aws-lambda-go. Whoever runs them supplies the stores and senders that each package declares.
//
// The packages never import each other. The tests here let them work together, as Cognito does.
package triggers
