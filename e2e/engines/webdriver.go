package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// webDriver is a session of classic WebDriver (https://w3c.github.io/webdriver/).
type webDriver struct {
	address string // of the session, without a slash at the end
}

// webDriverError is a command's error answer.
type webDriverError struct {
	Code    string `json:"error"`
	Message string `json:"message"`
}

func (e *webDriverError) Error() string { return e.Code + ": " + e.Message }

// newWebDriver opens a session at the driver's address.
func newWebDriver(ctx context.Context, driver string, capabilities map[string]any) (*webDriver, error) {
	var session struct {
		SessionID string `json:"sessionId"`
	}
	root := &webDriver{driver}
	body := map[string]any{"capabilities": map[string]any{"alwaysMatch": capabilities}}
	if err := root.call(ctx, http.MethodPost, "/session", body, &session); err != nil {
		return nil, err
	}
	return &webDriver{driver + "/session/" + session.SessionID}, nil
}

// call sends a command and stores its value where that is not nil.
func (w *webDriver) call(ctx context.Context, method, path string, parameters, value any) error {
	var body io.Reader
	if method == http.MethodPost {
		text, err := json.Marshal(parameters)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, w.address+path, body)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", path, response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		failure := new(webDriverError)
		if err := json.Unmarshal(answer.Value, failure); err != nil {
			return fmt.Errorf("%s: %s", path, response.Status)
		}
		return fmt.Errorf("%s: %w", path, failure)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}
