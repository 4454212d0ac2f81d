package table

import (
	"encoding/binary"

	"ctview/model"
)

// waysWanted is what has been asked for of routes.
type waysWanted struct {
	at, all int64 // when last, and when for a question that hangs on the routes of all flows
	missed  []model.RouteKey
}

// maxMissed bounds what is noted of rows whose route is not known: a few screens full.
const maxMissed = 1024

// miss notes the routes of rows that have to be looked up.
func (t *Table) miss(now int64, rows []model.Row) {
	t.ways.at = now
	if t.routes == nil {
		return
	}
	by := t.routes.By()
	for i := range rows {
		if len(t.ways.missed) >= maxMissed {
			return
		}
		k := by.Key(&rows[i].Flow)
		if _, ok := t.routes.Fresh(&k); !ok {
			t.ways.missed = append(t.ways.missed, k)
		}
	}
}

// SetRoutes gives the table what is known of the routes of its flows, or tells that more is known of the ones that it has: rows,
// filters, orders and groups go by it from then on. nil: nothing is known.
func (t *Table) SetRoutes(r *model.Routes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes = r
	t.version++
}

// RoutesWanted returns the time of the last question whose answer hangs on routes, and of the last one that hangs on those of all
// flows, Unix nanoseconds; 0: nobody asked. missed are those that rows were shown without since the last call; the caller owns it.
func (t *Table) RoutesWanted() (at, all int64, missed []model.RouteKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	missed, t.ways.missed = t.ways.missed, nil
	return t.ways.at, t.ways.all, missed
}

func routeVal(c model.Column, of knower, f *model.Flow) groupVal {
	w := of.route(f)
	text := w.Text(c)
	if text == "" {
		return groupVal{kind: 1}
	}
	return groupVal{lo: hashText(text)}
}

func routeLabel(c model.Column, of knower, f *model.Flow) string {
	w := of.route(f)
	if text := w.Text(c); text != "" {
		return model.Escape(text)
	}
	return "-"
}

// routeLevels are keys of seven bytes each for the names of interfaces (IFNAMSIZ).
const routeLevels = 3

func routeKey(w *model.Route, c model.Column, level int) uint64 {
	text := w.Text(c)
	if text == "" {
		return noKey
	}
	var part [8]byte
	copy(part[1:], text[min(7*level, len(text)):])
	return binary.BigEndian.Uint64(part[:])
}

// routeKeys sort by the names of interfaces.
func routeKeys(c model.Column, of knower) []keyFunc {
	keys := make([]keyFunc, routeLevels)
	for level := range keys {
		keys[level] = func(f *model.Flow, _ uint32) uint64 {
			w := of.route(f)
			return routeKey(&w, c, level)
		}
	}
	return keys
}

// appendRouteSortKey is AppendSortKey of columns of routes.
func appendRouteSortKey(dst []byte, c model.Column, desc bool, x *model.Extra) []byte {
	var w model.Route
	if x != nil {
		w = x.Route
	}
	o := sorter{desc: desc}
	for level := range routeLevels {
		dst = binary.BigEndian.AppendUint64(dst, o.turn(routeKey(&w, c, level)))
	}
	return dst
}
