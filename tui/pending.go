package tui

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
