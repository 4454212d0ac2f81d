package table

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"ctview/model"
	"ctview/model/filter"
)

// SetOwners gives the table what is known now of who holds the sockets of its flows: rows, filters, orders and groups go
// by it from then on. nil: nothing is known.
func (t *Table) SetOwners(o *model.Owners) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owners = o
	t.version++
}

// asks notes what the answer to a question at a time hangs on that has to be looked up.
func (t *Table) asks(now int64, f *filter.Filter, cols ...model.Column) {
	if f.NeedsOwner() || slices.ContainsFunc(cols, model.OwnerColumn) {
		t.wanted = now
	}
	if f.NeedsRoute() || slices.ContainsFunc(cols, model.RouteColumn) {
		t.ways.at, t.ways.all = now, now
	}
}

func columnsOf(keys []GroupKey) (cols []model.Column) {
	for _, k := range keys {
		cols = append(cols, k.Col)
	}
	return cols
}

// OwnersWanted returns the time of the last question whose answer hangs on who holds sockets, Unix nanoseconds; 0: nobody
// asked. Whoever keeps SetOwners up to date need not where nobody asks.
func (t *Table) OwnersWanted() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wanted
}

// A lifeID names a flow for as long as it lives, and is not the name of the next one with its key.
type lifeID struct {
	key model.Key
	gen uint8
}

func lifeOf(f *model.Flow) lifeID { return lifeID{f.Key, f.Generation()} }

// endOwner keeps who held the sockets of a flow that ends, as it was last looked up.
func (t *Table) endOwner(f *model.Flow) {
	w := t.owners.Of(f)
	if w.Ends == [2]*model.Holder{} {
		return
	}
	if t.ends.owners == nil {
		t.ends.owners = map[lifeID]model.Owner{}
	}
	t.ends.owners[lifeOf(f)] = w
}

// ownerThen tells who holds, or held, the sockets of a flow of the past. Of one that ended and was not looked up it is
// only known where its ends are: who has such ports now need not have had them then.
func (t *Table) ownerThen(f *model.Flow) model.Owner {
	slot := t.index.find(&f.Key, t.index.hash(&f.Key))
	if slot != 0 && t.flows.at(slot).Book.Gen == f.Generation() {
		return t.owners.Of(f)
	}
	if w, ok := t.ends.owners[lifeOf(f)]; ok {
		return w
	}
	w := t.owners.Of(f)
	w.Ends = [2]*model.Holder{}
	return w
}

// A knower tells what is looked up of flows beside the table.
type knower struct {
	owner func(*model.Flow) model.Owner
	route func(*model.Flow) model.Route
}

// now is what is known of flows that are there, then of those of the past.
func (t *Table) now() knower  { return knower{t.owners.Of, t.routes.Of} }
func (t *Table) then() knower { return knower{t.ownerThen, t.routes.Of} }

// fill puts it into an Extra.
func (k knower) fill(x *model.Extra, f *model.Flow) { x.Owner, x.Route = k.owner(f), k.route(f) }

// The kinds of values that owners have, in the order in which they are shown.
const (
	ownerHeld = iota
	ownerForwarded
	ownerUnknown
	ownerLocal // both ends are held
)

// ownerVal is the value that flows are grouped by: a hash of each end's text, which is as good as the text.
func ownerVal(c model.Column, of knower, f *model.Flow) groupVal {
	w := of.owner(f)
	text := func(h *model.Holder) string {
		if c == model.ColCgroup && h != nil {
			return h.Cgroup // a container is known by the beginning of its id
		}
		return h.Text(c)
	}
	from, to := text(w.Ends[0]), text(w.Ends[1])
	switch {
	case w.Forwarded():
		return groupVal{kind: ownerForwarded}
	case from+to == "":
		return groupVal{kind: ownerUnknown}
	case w.Local():
		return groupVal{hi: hashText(from), lo: hashText(to), kind: ownerLocal}
	}
	return groupVal{lo: hashText(from + to), hi: 1}
}

// ownerSeed makes that nobody can name processes so that their groups fall together.
var ownerSeed = maphash.MakeSeed()

func hashText(s string) uint64 { return maphash.String(ownerSeed, s) }

func ownerLabel(c model.Column, of knower, f *model.Flow) string {
	w := of.owner(f)
	if b := model.AppendOwner(nil, c, &w); len(b) > 0 {
		return string(b)
	}
	return "-"
}

// ownerLevels is how many keys a text of owners is compared by, seven bytes in each: what is alike for longer is taken
// for equal.
const ownerLevels = 9

// ownerKeys sort by what a column of owners shows: numbers of processes by their value, texts by their bytes, forwarded
// flows behind them.
func ownerKeys(c model.Column, of knower) []keyFunc {
	keys := make([]keyFunc, ownerLevels)
	for level := range keys {
		keys[level] = func(f *model.Flow, _ uint32) uint64 {
			w := of.owner(f)
			return ownerKey(c, &w, level)
		}
	}
	return keys
}

func ownerKey(c model.Column, w *model.Owner, level int) uint64 {
	if w.Forwarded() {
		return maxKey
	}
	if c == model.ColPID {
		return pidKey(w, level)
	}
	var buf [128]byte
	text := model.AppendOwner(buf[:0], c, w)
	if len(text) == 0 {
		return noKey
	}
	var part [8]byte
	copy(part[1:], text[min(7*level, len(text)):])
	return binary.BigEndian.Uint64(part[:])
}

// pidKey sorts by the process that stands first, then by the other; one that is not known comes before any.
func pidKey(w *model.Owner, level int) uint64 {
	var pids [2]uint64
	for i, h := range w.Ends {
		if h != nil {
			pids[i] = uint64(h.PID)
		}
	}
	switch {
	case pids == [2]uint64{}:
		return noKey
	case !w.Local():
		pids = [2]uint64{pids[0] + pids[1]}
	}
	if level < len(pids) {
		return pids[level]
	}
	return 0
}

// appendOwnerSortKey is AppendSortKey of columns of owners.
func appendOwnerSortKey(dst []byte, c model.Column, desc bool, x *model.Extra) []byte {
	var w model.Owner
	if x != nil {
		w = x.Owner
	}
	o := sorter{desc: desc}
	for level := range ownerLevels {
		dst = binary.BigEndian.AppendUint64(dst, o.turn(ownerKey(c, &w, level)))
	}
	return dst
}
