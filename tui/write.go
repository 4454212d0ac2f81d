package tui

import tea "charm.land/bubbletea/v2"

func (a *App) openWrite(m mode) tea.Cmd { return nil }
