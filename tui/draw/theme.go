package draw

import (
	"fmt"
	"slices"

	"github.com/charmbracelet/colorprofile"

	"ctview/model"
)

// A Role is what a piece of text is, from which a theme chooses how it looks. No meaning hangs on a role alone: a
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
	Busy   // a rate worth a look
	Warn   // worth a look
	Alarm  // lost events, full table, errors
	FrameLine
	Badge // worth a look, in the first line
	Curve // graphs
	// Low, Half and High are bars by how full they are; the last roles.
	Low
	Half
	High
	roles
)

// A Theme holds the SGR sequence of each role; "" draws it as plain text.
type Theme [roles]string

// ResetSGR ends what a role began (ECMA-48, SGR 0).
const ResetSGR = "\x1b[m"

// attributes is the theme without colours: bold, faint, reverse and strike-through only.
var attributes = Theme{
	Title: "\x1b[7m", Head: "\x1b[1m", Hint: "\x1b[7m", Strong: "\x1b[1m", Faint: "\x1b[2m",
	Selected: "\x1b[7m", Marked: "\x1b[1m", Ended: "\x1b[2;9m",
	Finished: "\x1b[2m", Helped: "\x1b[1m", Busy: "\x1b[1m", Warn: "\x1b[1m", Badge: "\x1b[1m", Alarm: "\x1b[1;7m",
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

// The themes with colours. In the sixteen-colour one there is no blue: on black it cannot be read in most palettes. The others
// hold every role to a contrast of 4.5 to 1 (WCAG 2.1, 1.4.3) on the backgrounds that terminals come with; they give the
// selected row a background of its own, so that states keep their colours in it.
var (
	ansiTheme = attributes.with(Theme{Opening: "\x1b[33m", Open: "\x1b[32m", Offload: "\x1b[1;32m", Closing: "\x1b[36m",
		Zoned: "\x1b[35m", Warn: "\x1b[33m", Badge: "\x1b[33m", Alarm: "\x1b[1;37;41m", Low: "\x1b[32m", Half: "\x1b[33m", High: "\x1b[31m", Curve: "\x1b[36m"})
	dark256 = Theme{
		Title: "\x1b[38;5;255;48;5;24m", Hint: "\x1b[38;5;250;48;5;236m", Head: "\x1b[1;38;5;110m",
		Strong: "\x1b[1;38;5;255m", Faint: "\x1b[38;5;246m",
		Selected: "\x1b[38;5;255;48;5;237m", Marked: "\x1b[1;38;5;223m", Ended: "\x1b[9;38;5;246m",
		Opening: "\x1b[38;5;221m", Open: "\x1b[38;5;114m", Offload: "\x1b[38;5;80m", Closing: "\x1b[38;5;111m", Finished: "\x1b[38;5;246m",
		Zoned: "\x1b[38;5;183m", Helped: "\x1b[38;5;180m", Busy: "\x1b[1;38;5;123m", Warn: "\x1b[1;38;5;215m", Badge: "\x1b[1;38;5;232;48;5;221m", Alarm: "\x1b[1;38;5;231;48;5;160m",
		FrameLine: "\x1b[38;5;110m", Low: "\x1b[38;5;114m", Half: "\x1b[38;5;221m", High: "\x1b[38;5;210m", Curve: "\x1b[38;5;74m"}
	light256 = Theme{
		Title: "\x1b[38;5;231;48;5;24m", Hint: "\x1b[38;5;238;48;5;253m", Head: "\x1b[1;38;5;24m",
		Strong: "\x1b[1;38;5;232m", Faint: "\x1b[38;5;242m",
		Selected: "\x1b[38;5;232;48;5;254m", Marked: "\x1b[1;38;5;88m", Ended: "\x1b[9;38;5;242m",
		Opening: "\x1b[38;5;94m", Open: "\x1b[38;5;22m", Offload: "\x1b[38;5;23m", Closing: "\x1b[38;5;25m", Finished: "\x1b[38;5;242m",
		Zoned: "\x1b[38;5;91m", Helped: "\x1b[38;5;54m", Busy: "\x1b[1;38;5;23m", Warn: "\x1b[1;38;5;124m", Badge: "\x1b[1;38;5;232;48;5;221m", Alarm: "\x1b[1;38;5;231;48;5;160m",
		FrameLine: "\x1b[38;5;24m", Low: "\x1b[38;5;22m", Half: "\x1b[38;5;94m", High: "\x1b[38;5;124m", Curve: "\x1b[38;5;25m"}
)

// Themes are the names that Options.Theme takes.
var Themes = []string{"auto", "none", "ansi", "256", "light256"}

// ThemeFor returns the theme called name, of custom or of ctview's own, on a terminal that can do what profile says. isDark
// is the background's answer. "auto" and "" are "256", which follows the background, where the terminal has that many
// colours, else "ansi".
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
	if name == "" || name == "auto" {
		name = "ansi"
		if profile >= colorprofile.ANSI256 {
			name = "256"
		}
	}
	switch name {
	case "none":
		return attributes, nil
	case "ansi":
		return ansiTheme, nil
	case "256":
		if !isDark {
			return light256, nil
		}
		return dark256, nil
	case "light256":
		return light256, nil
	}
	return attributes, fmt.Errorf("unknown theme %q: auto, none, ansi, 256 or light256", name)
}

// Fill is the role of a bar that is full by part of whole.
func Fill(part, whole float64) Role {
	switch {
	case part >= whole*0.75:
		return High
	case part >= whole*0.4:
		return Half
	}
	return Low
}

// StateRole is the role of a flow's state, by its phase.
func StateRole(f *model.Flow) Role {
	if f.Offloaded() {
		return Offload
	}
	switch f.Phase() {
	case model.Opening:
		return Opening
	case model.Open:
		return Open
	case model.Closing:
		return Closing
	case model.Closed:
		return Finished
	}
	return Plain
}
