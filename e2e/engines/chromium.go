package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// chromium is Chromium, driven by its DevTools protocol.
type chromium struct {
	page  context.Context // chromedp's
	close func()
}

func startChromium(ctx context.Context, folder string, options Options) (Browser, error) {
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("disable-quic", true), chromedp.DisableGPU, chromedp.UserDataDir(folder))
	if os.Getuid() == 0 {
		flags = append(flags, chromedp.NoSandbox) // Chromium's sandbox refuses to work for root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	page, cancel := chromedp.NewContext(allocator)
	c := &chromium{page, func() { cancel(); stop() }}
	if err := c.prepare(ctx, options); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *chromium) prepare(ctx context.Context, options Options) error {
	if err := chromedp.Do(c.page); err != nil { // starts it, for as long as the page's context lives
		return err
	}
	scheme := "light"
	if options.Dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(c.page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		return err
	}
	_, err = chromedp.Call(c.page, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: options.NoScript})
	if err != nil {
		return err
	}
	return c.Resize(ctx, options.Width, options.Height)
}

// within is the page's context with the end of the caller's.
func (c *chromium) within(ctx context.Context) (context.Context, func()) {
	page, cancel := context.WithCancelCause(c.page)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return page, func() { stop(); cancel(nil) }
}

func (c *chromium) do(ctx context.Context, actions ...chromedp.Action[chromedp.Void]) error {
	page, done := c.within(ctx)
	defer done()
	return chromedp.Do(page, actions...)
}

func (c *chromium) Open(ctx context.Context, url string) error {
	return c.do(ctx, chromedp.Navigate(url))
}

func (c *chromium) Evaluate(ctx context.Context, expression string, value any) error {
	page, done := c.within(ctx)
	defer done()
	text, err := chromedp.Run(page, chromedp.Evaluate[string]("JSON.stringify(("+expression+") ?? null)"))
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), value)
}

// there returns an error unless the element is in the page: chromedp would wait for it.
func (c *chromium) there(ctx context.Context, selector string) error {
	var there bool
	if err := c.Evaluate(ctx, fmt.Sprintf("!!document.querySelector(%q)", selector), &there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%s: %w", selector, ErrNoElement)
	}
	return nil
}

func (c *chromium) Click(ctx context.Context, selector string) error {
	if err := c.there(ctx, selector); err != nil {
		return err
	}
	return c.do(ctx, chromedp.Click(chromedp.CSS(selector)))
}

func (c *chromium) Fill(ctx context.Context, selector, text string) error {
	if err := c.there(ctx, selector); err != nil {
		return err
	}
	var cleared bool
	if err := c.Evaluate(ctx, fmt.Sprintf("(document.querySelector(%q).value = '') === ''", selector), &cleared); err != nil {
		return err
	}
	return c.do(ctx, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (c *chromium) ForgetCookies(ctx context.Context) error {
	page, done := c.within(ctx)
	defer done()
	held, err := chromedp.Call(page, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		return err
	}
	for _, cookie := range held.Cookies {
		_, err := chromedp.Call(page, network.DeleteCookies, network.DeleteCookiesParams{Name: cookie.Name, Domain: cookie.Domain})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *chromium) Resize(ctx context.Context, width, height int) error {
	return c.do(ctx, chromedp.EmulateViewport(int64(width), int64(height)))
}

func (c *chromium) Screenshot(ctx context.Context) ([]byte, error) {
	page, done := c.within(ctx)
	defer done()
	return chromedp.Run(page, chromedp.CaptureScreenshot())
}

// AddAuthenticator adds an authenticator that keeps passkeys.
func (c *chromium) AddAuthenticator(ctx context.Context) error {
	page, done := c.within(ctx)
	defer done()
	if _, err := chromedp.Call(page, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		return err
	}
	_, err := chromedp.Call(page, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
			Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	return err
}

func (c *chromium) Close() error {
	c.close()
	return nil
}
