package challenge

// Failure is an error whose text may reach the caller: Cognito passes on what a trigger returns as
// "<Trigger> failed with error <text>.". The cause is for logs and errors.Is only and is never part of the text.
type Failure struct {
	Text  string
	Cause error // may be nil
}

func (f *Failure) Error() string { return f.Text }

func (f *Failure) Unwrap() error { return f.Cause }
