package tui

// Rules are NOTRACK rules: the data of screen 6.
type Rules interface{}
