package draw

import (
	"fmt"
	"slices"

	"github.com/charmbracelet/colorprofile"
)

// A role is what a piece of text is, from which a theme chooses how it looks. No meaning hangs on a role alone: a
// letter or a word always says the same.
type Role uint8

const (
	Plain    Role = iota
	Title         // first line
	Head          // head of a table
	Hint          // keys line
	Strong        // words that stand out
	Faint         // words that stand back
	Selected      // current row
	Marked        // marked rows
	Ended         // rows whose flow is gone
	Opening       // states, by phase
	Open
	Offload
	Closing
	Finished
	Zoned  // zone other than 0
	Helped // helper, expected
	Warn   // worth a look
	Alarm  // lost events, full table, errors
	FrameLine
	roles
)

// A theme holds the SGR sequence of each role; "" draws it as plain text.
type Theme [roles]string

const ResetSGR = "\x1b[m"

// attributes is the theme without colours: bold, faint, reverse and strike-through only.
var attributes = Theme{
	Title: "\x1b[7m", Head: "\x1b[1m", Hint: "\x1b[7m", Strong: "\x1b[1m", Faint: "\x1b[2m",
	Selected: "\x1b[7m", Marked: "\x1b[1m", Ended: "\x1b[2;9m",
	Finished: "\x1b[2m", Helped: "\x1b[1m", Warn: "\x1b[1m", Alarm: "\x1b[1;7m",
}

// with returns t with the roles of over in place of its own.
func (t Theme) with(over Theme) Theme {
	for i, s := range over {
		if s != "" {
			t[i] = s
		}
	}
	return t
}

var (
	ansiTheme = attributes.with(Theme{Opening: "\x1b[33m", Open: "\x1b[32m", Offload: "\x1b[36m", Closing: "\x1b[34m",
		Zoned: "\x1b[35m", Warn: "\x1b[33m", Alarm: "\x1b[31;7m"})
	dark256 = attributes.with(Theme{Title: "\x1b[38;5;252;48;5;236m", Hint: "\x1b[38;5;252;48;5;236m", Head: "\x1b[1;38;5;250m",
		Opening: "\x1b[38;5;221m", Open: "\x1b[38;5;114m", Offload: "\x1b[38;5;80m", Closing: "\x1b[38;5;75m",
		Zoned: "\x1b[38;5;176m", Warn: "\x1b[38;5;221m", Alarm: "\x1b[38;5;231;48;5;160m", FrameLine: "\x1b[38;5;244m"})
	light256 = attributes.with(Theme{Title: "\x1b[38;5;235;48;5;252m", Hint: "\x1b[38;5;235;48;5;252m", Head: "\x1b[1;38;5;238m",
		Opening: "\x1b[38;5;130m", Open: "\x1b[38;5;28m", Offload: "\x1b[38;5;30m", Closing: "\x1b[38;5;25m",
		Zoned: "\x1b[38;5;90m", Warn: "\x1b[38;5;130m", Alarm: "\x1b[38;5;231;48;5;160m", FrameLine: "\x1b[38;5;244m"})
)

// Themes are the names that Options.Theme takes.
var Themes = []string{"none", "ansi", "256", "light256"}

// themeFor returns the theme called name, of custom or of ctview's own, on a terminal that can do what profile says. isDark is the background's
// answer, true until one came. On a light background the 16-colour yellow is hard to read in most palettes, so a terminal
// with 256 colours gets a brown there; "256" follows the background by itself.
func ThemeFor(name string, custom map[string]map[string]string, profile colorprofile.Profile, isDark bool) (Theme, error) {
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
			return ansiTheme.with(Theme{Opening: "\x1b[38;5;130m", Warn: "\x1b[38;5;130m"}), nil
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
