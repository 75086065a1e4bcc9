package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// bidi is a WebDriver BiDi connection (https://w3c.github.io/webdriver-bidi/) that subscribes to no events: each command has one answer.
type bidi struct {
	mu     sync.Mutex
	socket *websocket.Conn
	last   int // id of the last command
}

// bidiError is a command's error answer.
type bidiError struct {
	Code    string `json:"error"`
	Message string `json:"message"`
}

func (e *bidiError) Error() string { return e.Code + ": " + e.Message }

func dialBidi(ctx context.Context, url string) (*bidi, error) {
	socket, response, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	if response.Body != nil {
		response.Body.Close()
	}
	socket.SetReadLimit(64 << 20) // screenshots
	return &bidi{socket: socket}, nil
}

// call sends a command and stores its result where that is not nil. A context that ends breaks the connection.
func (b *bidi) call(ctx context.Context, method string, params, result any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	command := map[string]any{"id": b.last, "method": method, "params": params}
	if err := wsjson.Write(ctx, b.socket, command); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		var answer struct {
			ID     int             `json:"id"`
			Type   string          `json:"type"`
			Result json.RawMessage `json:"result"`
			bidiError
		}
		if err := wsjson.Read(ctx, b.socket, &answer); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case answer.ID != b.last: // an event
		case answer.Type == "error":
			return fmt.Errorf("%s: %w", method, &answer.bidiError)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

func (b *bidi) close() { _ = b.socket.CloseNow() }
