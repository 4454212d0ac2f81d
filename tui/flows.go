package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/table"
)

// flows is the main screen: the table of flows.
type flows struct {
	cols   []*column // shown, in order
	sort   string
	auto   bool // nobody chose the order: it is one of which something is known
	chosen bool // the columns were chosen: no others are added where there is room
	desc   bool
	wide   bool
	skip   int
	c      cells

	view, spare *table.View
	got         bool // an answer came
	cursor[model.Key]
	items  []item
	ghosts []ghost

	marks   map[model.Key]uint32 // marked flows and their ids
	seen    demand
	zones   []table.ZoneFlows // of the whole table, when nothing matches
	left    int               // lines that the filter bar takes from the table
	clicked time.Time
}

// An item is one row on the screen.
type item struct {
	row   *model.Row
	ended bool
}

// A ghost is a row whose flow is gone; it stays for one refresh. It has no rate, so it goes behind the rows in an order of what
// is current; but under a cursor that was taken below the first row it stays where it was.
type ghost struct {
	row model.Row
	at  int
}

// newFlows returns the screen as the options want it.
func newFlows(a *App) (*flows, error) {
	o := &a.opt
	s := &flows{view: &table.View{}, spare: &table.View{}, marks: map[model.Key]uint32{}, auto: o.Sort == "", sort: "rate", desc: true}
	s.c.more = a.marks.Ellipsis
	var err error
	if s.cols, err = columnsFor(o.Columns); err != nil {
		return nil, err
	}
	if o.Sort != "" {
		if s.sort, s.desc, err = parseSort(o.Sort); err != nil {
			return nil, err
		}
	}
	s.c.bits, s.chosen = o.Bits, len(o.Columns) > 0
	return s, nil
}

func (s *flows) unread() bool { return !s.got }
func (s *flows) name() string { return "Flows" }

// rowsOn is the number of rows that fit on the screen.
func (s *flows) rowsOn(a *App) int {
	n := a.h - 5
	if a.hasTabs() {
		n = a.h - 7
	}
	return max(n-s.left-a.alarmRows(), 1)
}

// shortHeight is the height below which the line of the current flow shares the message line.
const shortHeight = 14

// rebuild makes items from the view and the ghosts.
func (s *flows) rebuild(a *App) {
	h := s.rowsOn(a)
	s.items = s.items[:0]
	for p := s.top; p < s.top+h; p++ {
		i := p - s.view.Offset
		if i < 0 || i >= len(s.view.Rows) {
			continue
		}
		s.items = append(s.items, item{row: &s.view.Rows[i]})
	}
	for i := range s.ghosts {
		g := &s.ghosts[i]
		at := min(g.at, len(s.items))
		if current(s.sort) && (at != s.at || s.pos() == 0) {
			at = len(s.items)
		}
		s.items = append(s.items, item{})
		copy(s.items[at+1:], s.items[at:])
		s.items[at] = item{row: &g.row, ended: true}
	}
	if len(s.items) > h {
		s.items = s.items[:h]
	}
}

// current reports whether the order called name is one of what happens now.
func current(name string) bool {
	switch name {
	case "rate", "orig-rate", "reply-rate", "pps":
		return true
	}
	return false
}

// settle has the cursor belong to what stands in its row now; one that follows goes to the row of its flow.
func (s *flows) settle() {
	if s.loose || len(s.items) == 0 {
		return
	}
	for i := range s.items {
		if s.follow && s.items[i].row.Flow.Key == s.key {
			s.at = i
			return
		}
	}
	s.at = min(s.at, len(s.items)-1)
	if !s.follow { // the flow that is followed may be out of a window that has just become smaller
		s.key = s.items[s.at].row.Flow.Key
	}
}

// current returns the row under the cursor, nil for none, and whether its flow has ended.
func (s *flows) current() (*model.Row, bool) {
	if s.loose || s.at < 0 || s.at >= len(s.items) {
		return nil, false
	}
	return s.items[s.at].row, s.items[s.at].ended
}

// move takes the cursor n rows down, or up for less than 0.
func (s *flows) move(a *App, n int) tea.Cmd {
	if len(s.items) == 0 {
		return nil
	}
	if i := s.at + n; i >= 0 && i < len(s.items) && !s.loose {
		s.at = i
		s.key = s.items[i].row.Flow.Key
		return nil
	}
	return s.moveTo(a, s.top+s.at+n)
}

// moveTo takes the cursor to place p of the order. Rows that are not here yet are asked for.
func (s *flows) moveTo(a *App, p int) tea.Cmd {
	n, h := s.view.Matched, s.rowsOn(a)
	first, last := s.view.Offset, s.view.Offset+len(s.view.Rows)
	if last == first {
		return nil
	}
	s.ghosts = s.ghosts[:0]
	if to := max(min(p, n-1), 0); a.paused && (to < first || to >= last) {
		a.say("paused: only the rows that were read before can be shown. p goes on.")
		p = max(min(to, last-1), first)
	}
	missing := s.reach(p, n, h, first, last, func(p int) model.Key { return s.view.Rows[p-first].Flow.Key })
	if !s.loose {
		s.rebuild(a)
	}
	if missing && !a.paused {
		return a.ask(false)
	}
	return nil
}

// restart shows the top of what is asked for next.
func (s *flows) restart() {
	s.cursor.reset()
	s.ghosts = s.ghosts[:0]
}

// reorder asks for the same flows in their new order: from the top, or around the flow that is followed.
func (s *flows) reorder(a *App) tea.Cmd {
	s.ghosts = s.ghosts[:0]
	if !s.follow {
		s.cursor.reset()
	}
	return a.ask(false)
}

// sortBy orders by the column called name: descending for amounts, ascending for names.
func (s *flows) sortBy(a *App, name string) tea.Cmd {
	if _, ok := sortColumn(name, 0); !ok {
		a.say("the column " + name + " has no order")
		return nil
	}
	s.auto = false
	if s.sort == name {
		s.desc = !s.desc
	} else {
		c := columnNamed(name)
		s.sort, s.desc = name, c != nil && c.right && name != "zone" && name != "timeout"
	}
	return s.reorder(a)
}

// alsoBindings are listed in the help of this screen, too.
func (s *flows) alsoBindings() []binding { return viewBindings }
