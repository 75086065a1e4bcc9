package templates

import (
	"fmt"
	"math"
	"strconv"
)

// brandAsset is the stylesheet that carries an operator's colour and own rules, nil when there are none. The colour is a file
// and not a style attribute, for the pages' policy forbids those.
func brandAsset(b Branding) *asset {
	if b.Accent == "" && b.CSS == "" {
		return nil
	}
	var css string
	if b.Accent != "" {
		accent := parseColour(b.Accent)
		css = rootRule(accent, lightBack) +
			"@media (prefers-color-scheme:dark){" + rootRule(accent, darkBack) + "}\n"
	}
	return newAsset("brand.css", []byte(css+b.CSS))
}

// rootRule sets the colours made from an accent: one to fill buttons, the text on it, and one for text on a background, moved
// away from the background until it can be read.
func rootRule(accent, background colour) string {
	text := accent
	for step := 0; contrast(text, background) < readable && step < 40; step++ {
		text = text.towards(opposite(background), 0.05)
	}
	fill := accent
	for step := 0; contrast(fill, background) < visible && step < 40; step++ {
		fill = fill.towards(opposite(background), 0.05)
	}
	return fmt.Sprintf(":root{--accent:%s;--on-accent:%s;--accent-text:%s}\n", fill, bestOn(fill), text)
}

// Contrast ratios of WCAG 2.2: 1.4.3 for text, 1.4.11 for the borders of controls.
const (
	readable = 4.5
	visible  = 3.0
)

// colour is sRGB, each channel from 0 to 1.
type colour [3]float64

var (
	white     = colour{1, 1, 1}
	black     = colour{0, 0, 0}
	lightBack = parseColour("#eef1f7") // --quiet-back in style.css: of all backgrounds the nearest to text
	darkBack  = parseColour("#262a34") // the same in the dark scheme
)

// parseColour reads "#rrggbb", which the caller has checked.
func parseColour(hex string) colour {
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		return black
	}
	return colour{float64(n>>16&255) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}
}

// String writes the colour as CSS does.
func (c colour) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// towards mixes in a share of another colour, rounded to what can be written.
func (c colour) towards(other colour, share float64) colour {
	for i := range c {
		c[i] = math.Round((c[i]+(other[i]-c[i])*share)*255) / 255
	}
	return c
}

// luminance is WCAG's relative luminance.
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast is WCAG's ratio, from 1 to 21.
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	if x < y {
		x, y = y, x
	}
	return (x + 0.05) / (y + 0.05)
}

func bestOn(background colour) colour {
	if contrast(white, background) >= readable {
		return white
	}
	return black
}

func opposite(background colour) colour {
	if background.luminance() > 0.4 {
		return black
	}
	return white
}
