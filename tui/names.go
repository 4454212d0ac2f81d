package tui

import "ctview/model"

// nameOf returns the name of one end of t, escaped; "" where it has none or names are off.
func (a *App) nameOf(*model.Tuple, bool) string { return "" }
