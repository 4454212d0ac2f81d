package tui

import "ctview/tui/draw"

// A cursor is a place in a list of which a window is on the screen: the only one that lists, pages and menus have. It stays in
// its place, whatever comes to stand there; while it follows, it stays with its row, wherever that goes. Places count from 0. The
// event loop owns it.
type cursor[K comparable] struct {
	top, at int  // place of the first row shown; row of the screen below it
	key     K    // of the row under the cursor
	follow  bool // it belongs to key
	loose   bool // its row is not loaded yet: key is of another
}

func (c *cursor[K]) pos() int { return c.top + c.at }

func (c *cursor[K]) waits() bool { return c.loose }

// reset takes it to the first row of what is asked for next, where it stays.
func (c *cursor[K]) reset() { *c = cursor[K]{loose: true} }

// goTo takes it to place p, or as near as there are rows, in a list of n rows of which h are shown.
func (c *cursor[K]) goTo(p, n, h int) {
	p = max(min(p, n-1), 0)
	switch {
	case p < c.top:
		c.top = p
	case p >= c.top+h:
		c.top = p - h + 1
	}
	c.top = max(min(c.top, n-h), 0)
	c.at = p - c.top
}

// reach takes it to place p in a list of n rows of which h are shown and those of places first to last-1 are here. It reports
// whether rows are missing.
func (c *cursor[K]) reach(p, n, h, first, last int, key func(place int) K) (ask bool) {
	c.goTo(p, n, h)
	p = c.pos()
	if c.loose = p < first || p >= last; !c.loose {
		c.key = key(p)
	}
	return c.loose || c.top < first || min(c.top+h, n) > last
}

// settle fits it to a list of n rows that are all here. One that follows goes with its row; lost says that the row is gone, and
// that the cursor stays in its place from now on.
func (c *cursor[K]) settle(n, h int, key func(place int) K) (lost bool) {
	c.loose = false
	for i := range n {
		if c.follow && key(i) == c.key {
			c.anchor(i, n, h)
			return false
		}
	}
	lost, c.follow = c.follow, false
	c.goTo(c.pos(), n, h)
	if n > 0 {
		c.key = key(c.pos())
	}
	return lost
}

// steer carries out an action of moves in a list of n rows that are all here; it reports whether id is one.
func (c *cursor[K]) steer(id string, n, h int, key func(place int) K) bool {
	p, moves := c.aim(id, n, h)
	if moves {
		c.reach(p, n, h, 0, n, key)
	}
	return moves
}

// toggle has it stay with the row under it, which is called what, or in its place again. none: there is no such row.
func (c *cursor[K]) toggle(a *App, what string, none bool) {
	switch {
	case c.follow:
		c.follow = false
		a.say("the cursor stays in its place")
	case none:
		a.say("there is no " + what + " to follow")
	default:
		c.follow = true
	}
}

// followBinding is the action of toggle.
func followBinding(what string) binding {
	return binding{id: "follow", keys: []string{"F"}, help: "follow " + what + ", or stay in place", group: groupTime, row: true, run: walking("follow")}
}

// anchor takes it to place p, where its row went to, and moves the window so that the row stands where it stood.
func (c *cursor[K]) anchor(p, n, h int) {
	c.top = p - c.at
	c.goTo(p, n, h)
}

// aim returns where an action of moves leads to, false for any other action.
func (c *cursor[K]) aim(id string, n, h int) (p int, moves bool) {
	p = c.pos()
	switch id {
	case "down":
		return p + 1, true
	case "up":
		return p - 1, true
	case "halfdown":
		return p + h/2, true
	case "halfup":
		return p - h/2, true
	case "pagedown":
		return p + h, true
	case "pageup":
		return p - h, true
	case "top":
		return 0, true
	case "bottom":
		return n - 1, true
	}
	return p, false
}

// position says which of n rows are shown, h from top on: "1-28 of 196".
func position(top, h, n int) string {
	if n == 0 {
		return "0"
	}
	return draw.Count(top+1) + "-" + draw.Count(min(top+h, n)) + " of " + draw.Count(n)
}

// followWord heads the position while the cursor follows its row.
func (c *cursor[K]) followWord() string {
	if c.follow {
		return "FOLLOW  "
	}
	return ""
}
