package tui

import (
	"fmt"
	"slices"

	"github.com/charmbracelet/colorprofile"
)

// A role is what a piece of text is, from which a theme chooses how it looks. No meaning hangs on a role alone: a
// letter or a word always says the same.
type role uint8

const (
	plain    role = iota
	title         // first line
	head          // head of a table
	hint          // keys line
	strong        // words that stand out
	faint         // words that stand back
	selected      // current row
	marked        // marked rows
	ended         // rows whose flow is gone
	opening       // states, by phase
	open
	offload
	closing
	finished
	zoned  // zone other than 0
	helped // helper, expected
	warn   // worth a look
	alarm  // lost events, full table, errors
	frameLine
	roles
)

// A theme holds the SGR sequence of each role; "" draws it as plain text.
type theme [roles]string

const sgrReset = "\x1b[m"

// attributes is the theme without colours: bold, faint, reverse and strike-through only.
var attributes = theme{
	title: "\x1b[7m", head: "\x1b[1m", hint: "\x1b[7m", strong: "\x1b[1m", faint: "\x1b[2m",
	selected: "\x1b[7m", marked: "\x1b[1m", ended: "\x1b[2;9m",
	finished: "\x1b[2m", helped: "\x1b[1m", warn: "\x1b[1m", alarm: "\x1b[1;7m",
}

// with returns t with the roles of over in place of its own.
func (t theme) with(over theme) theme {
	for i, s := range over {
		if s != "" {
			t[i] = s
		}
	}
	return t
}

var (
	ansiTheme = attributes.with(theme{opening: "\x1b[33m", open: "\x1b[32m", offload: "\x1b[36m", closing: "\x1b[34m",
		zoned: "\x1b[35m", warn: "\x1b[33m", alarm: "\x1b[31;7m"})
	dark256 = attributes.with(theme{title: "\x1b[38;5;252;48;5;236m", hint: "\x1b[38;5;252;48;5;236m", head: "\x1b[1;38;5;250m",
		opening: "\x1b[38;5;221m", open: "\x1b[38;5;114m", offload: "\x1b[38;5;80m", closing: "\x1b[38;5;75m",
		zoned: "\x1b[38;5;176m", warn: "\x1b[38;5;221m", alarm: "\x1b[38;5;231;48;5;160m", frameLine: "\x1b[38;5;244m"})
	light256 = attributes.with(theme{title: "\x1b[38;5;235;48;5;252m", hint: "\x1b[38;5;235;48;5;252m", head: "\x1b[1;38;5;238m",
		opening: "\x1b[38;5;130m", open: "\x1b[38;5;28m", offload: "\x1b[38;5;30m", closing: "\x1b[38;5;25m",
		zoned: "\x1b[38;5;90m", warn: "\x1b[38;5;130m", alarm: "\x1b[38;5;231;48;5;160m", frameLine: "\x1b[38;5;244m"})
)

// Themes are the names that Options.Theme takes.
var Themes = []string{"none", "ansi", "256", "light256"}

// themeFor returns the theme called name, of custom or of ctview's own, on a terminal that can do what profile says. isDark is the background's
// answer, true until one came. On a light background the 16-colour yellow is hard to read in most palettes, so a terminal
// with 256 colours gets a brown there; "256" follows the background by itself.
func themeFor(name string, custom map[string]map[string]string, profile colorprofile.Profile, isDark bool) (theme, error) {
	if looks, ok := custom[name]; ok {
		t, err := customTheme(looks)
		if err != nil {
			return t, fmt.Errorf("theme %s: %w", name, err)
		}
		if profile <= colorprofile.ASCII {
			return attributes, nil
		}
		return t, nil
	}
	if profile <= colorprofile.ASCII && (name == "" || slices.Contains(Themes, name)) {
		name = "none"
	}
	switch name {
	case "none":
		return attributes, nil
	case "", "ansi":
		if !isDark && profile >= colorprofile.ANSI256 {
			return ansiTheme.with(theme{opening: "\x1b[38;5;130m", warn: "\x1b[38;5;130m"}), nil
		}
		return ansiTheme, nil
	case "256":
		if !isDark {
			return light256, nil
		}
		return dark256, nil
	case "light256":
		return light256, nil
	}
	return attributes, fmt.Errorf("unknown theme %q: none, ansi, 256 or light256", name)
}
