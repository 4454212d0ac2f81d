package tui

import (
	tea "charm.land/bubbletea/v2"
)

func (s *flows) openDetail(a *App) tea.Cmd { return nil }
