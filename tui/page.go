package tui

import (
	"cmp"

	tea "charm.land/bubbletea/v2"

	"ctview/tui/draw"
)

// A page is lines of which some are rows that the cursor stops at. It scrolls so that the row is in sight, and one line above it.
// What is on it is known as it is drawn.
type page struct {
	cursor[string]
	rows     []pageRow
	from     int // the line shown first
	y        int // where on the screen
	size, of int // lines shown, lines there are
}

// A pageRow is a row of a page.
type pageRow struct {
	id    string // by which it is followed
	line  int
	x     int    // where it begins, of several on a line
	about string // for the message line
	on    any    // what the actions of a screen are about
	enter func(a *App) tea.Cmd
}

// A pageLine is a line of a page. row is nil where the cursor does not stop; lead is for the mark of the cursor.
type pageLine struct {
	row   *pageRow
	write func(f *draw.Frame, base draw.Role, lead string)
}

// textLine is a line of text.
func textLine(look draw.Role, t string) pageLine {
	return pageLine{write: func(f *draw.Frame, base draw.Role, lead string) {
		f.Begin(base)
		f.Text(lead)
		f.Styled(look, t)
		f.End()
	}}
}

func (p *page) id(place int) string { return p.rows[place].id }

// row is the row under the cursor, nil for none.
func (p *page) row() *pageRow {
	if i := p.pos(); i < len(p.rows) {
		return &p.rows[i]
	}
	return nil
}

// steer carries out an action of moves, or of following a row, which is called what.
func (p *page) steer(a *App, id, what string) tea.Cmd {
	if id == "follow" {
		p.toggle(a, what, len(p.rows) == 0)
	} else if to, ok := p.aim(id, len(p.rows), max(p.size, 2)); ok {
		p.goToRow(to)
	}
	return nil
}

// aboutRow is what is said of the row under the cursor.
func (p *page) aboutRow() string {
	if r := p.row(); r != nil {
		return r.about
	}
	return ""
}

func (p *page) goToRow(to int) { p.reach(to, len(p.rows), len(p.rows), 0, len(p.rows), p.id) }

// settle takes the rows of a page of n lines, of which size are shown from line y of the screen on; see cursor.
func (p *page) settle(rows []pageRow, n, y, size int) (lost bool) {
	p.rows, p.of, p.y, p.size = rows, n, y, size
	lost = p.cursor.settle(len(rows), len(rows), p.id)
	line := 0
	if r := p.row(); r != nil {
		line = r.line
	}
	p.from = max(min(max(min(p.from, line-1), line-size+1), n-size), 0)
	return lost
}

// lay takes the lines of the page, which are drawn next: size of them, from line y of the screen on.
func (p *page) lay(a *App, lines []pageLine, y, size int) {
	rows := p.rows[:0]
	for i := range lines {
		if r := lines[i].row; r != nil {
			r.line = i
			rows = append(rows, *r)
		}
	}
	if p.settle(rows, len(lines), y, size) {
		a.say("the row that was followed is gone: the cursor stays in its place")
	}
}

// layOver is lay for a page that goes down to the foot, whose message may be about the row under the cursor.
func (p *page) layOver(a *App, lines []pageLine, y int, note func(*App) string, beside func(*App) string) {
	p.lay(a, lines, y, a.h-y-2)
	if n := len(a.notes(note(a), beside(a))); n > 1 {
		p.lay(a, lines, y, a.h-y-1-n)
	}
}

// note is the message of the foot: what happened, else what is said of the row.
func (p *page) note(a *App) string { return cmp.Or(a.message(), p.aboutRow()) }

// beside is the position for the foot, where the tabs have it not.
func (p *page) beside(a *App) string { return a.withoutTabs(p.position()) }

// textLines is a text in lines that are not cut.
func textLines(look draw.Role, t string, w int) (out []pageLine) {
	for _, l := range wrapKeep(t, w-2) {
		out = append(out, textLine(look, l))
	}
	return out
}

func (p *page) draw(f *draw.Frame, lines []pageLine) {
	here := p.row()
	for i := p.from; i < min(len(lines), p.from+p.size); i++ {
		if here != nil && here.line == i {
			lines[i].write(f, draw.Selected, f.Marks.Cursor+" ")
		} else {
			lines[i].write(f, draw.Plain, "  ")
		}
	}
}

func (p *page) position() string {
	lines := " lines"
	if p.of == 1 {
		lines = " line"
	}
	return p.followWord() + position(p.from, p.size, p.of) + lines
}

func (p *page) wheel(_ *App, n int) tea.Cmd {
	p.goToRow(p.pos() + n)
	return nil
}

func (p *page) click(_ *App, x, y int) tea.Cmd {
	best := -1
	for i, r := range p.rows {
		if r.line == p.from+y-p.y && r.x <= x && (best < 0 || r.x > p.rows[best].x) {
			best = i
		}
	}
	if best >= 0 {
		p.goToRow(best)
	}
	return nil
}
