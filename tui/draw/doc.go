// Package draw writes cells: a Frame is one screen being drawn, a Theme how each role of text looks, Marks the characters
// that are not text, and the rest are numbers, addresses and graphs as a narrow terminal wants them.
//
//	modes of tui ──Text, Styled, Put──▶ Frame ──Lines, String──▶ the terminal, by Bubble Tea
//	                    Theme, Marks ──▶
//
// It knows no screens, keys or tables, and keeps nothing between frames but their memory. A Frame belongs to the
// goroutine that draws, a Theme and Marks may be shared. Text from outside is escaped (model.Escape) before it comes here.
package draw
