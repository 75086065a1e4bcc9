// Package interop holds the triggers and the passkey store against those of npm amazon-cognito-passwordless-auth, run by Node as that
// package ships them, on one DynamoDB Local: what one side writes the other must read, and the same event must get the same answer but for
// the differences that its tests name. It has no code of its own.
package interop
