package tui

import "ctview/model"

// Stand-ins for what package model is about to bring.

type completion struct {
	Insert, Hint string
	From, To     int
}

type dynamic struct {
	Zones                  []uint16
	Helpers, Labels, Saved []string
}

func complete(text string, cursor int, dyn dynamic) []completion { return nil }

func andFilter(old, add string, negate bool) string {
	if negate {
		add = "not " + add
	}
	if old == "" {
		return add
	}
	return "(" + old + ") and " + add
}

func fixed(e *model.FilterError, i int) (string, int) {
	t := e.Text[:e.Pos] + e.Suggestions[i] + e.Text[e.End:]
	return t, e.Pos + len(e.Suggestions[i])
}
