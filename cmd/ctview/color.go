package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"ctview/model"
	"ctview/model/format"
	"ctview/tui"
	"ctview/tui/draw"

	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"
)

// The values of --color.
var colorWords = []string{"auto", "always", "never"}

// addColorFlags adds --color, and --no-color, which is --color never.
func addColorFlags(cmd *cobra.Command, g *globals) {
	f := cmd.PersistentFlags()
	parse := func(s string) (string, error) {
		w := strings.ToLower(s)
		if !slices.Contains(colorWords, w) {
			return "", unknownForm{fmt.Sprintf("--color: unknown word %q", s), meant(s, colorWords) + "it takes " + strings.Join(colorWords, ", ")}
		}
		return w, nil
	}
	g.color = "auto"
	f.Var(&option[string]{&g.color, parse, func(s string) string { return s }, "string"}, "color",
		"`WHEN` to colour: auto (on a terminal; NO_COLOR, CLICOLOR and CLICOLOR_FORCE are heeded), always, never")
	f.BoolVar(&g.noColor, "no-color", false, "--color never")
	offer(cmd, "color", colorWords...)
}

// checkColor refuses what contradicts itself.
func (g *globals) checkColor() error {
	if g.noColor && g.color == "always" {
		return usageError{"--no-color and --color always", "leave one of them out"}
	}
	return nil
}

// colours reports whether text on standard output is coloured.
func (g *globals) colours() bool {
	switch {
	case g.noColor || g.color == "never":
		return false
	case g.color == "always":
		return true
	}
	may, forced := tui.Colours(os.Environ())
	return forced || may && isTerminal(g.out)
}

// colourEnviron is the environment of the screen: where colours are asked for, nothing in it is against them.
func (g *globals) colourEnviron() []string {
	if g.color != "always" {
		return nil
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") })
	return append(env, "CLICOLOR_FORCE=1")
}

// theme is how text on standard output looks: in sixteen colours, which every background can do with. Without colours it is nil.
func (g *globals) theme() *draw.Theme {
	if !g.colours() {
		return nil
	}
	c, err := g.settings()
	if err != nil {
		return nil
	}
	name := c.Theme
	if slices.Contains(draw.Themes, name) && name != "none" {
		name = "ansi"
	}
	t, err := draw.ThemeFor(cmp.Or(name, "ansi"), c.custom, colorprofile.ANSI, true)
	if err != nil {
		return nil
	}
	return &t
}

// dress is how the tables of flows and of events look.
func (g *globals) dress() format.Dress {
	t := g.theme()
	if t == nil {
		return format.Dress{}
	}
	return format.Dress{
		Head: t[draw.Head],
		Cell: func(c model.Column, f *model.Flow) string {
			if c == model.ColState {
				return t[draw.StateRole(f)]
			}
			return ""
		},
		Kind: func(k model.Kind) string {
			switch k {
			case model.New:
				return t[draw.Opening]
			case model.Destroy:
				return t[draw.Finished]
			}
			return ""
		},
	}
}
