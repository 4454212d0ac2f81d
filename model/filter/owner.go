package filter

import (
	"strings"

	"ctview/model"
)

// ofOwner does a comparison with who holds the flow's sockets; known is false where it hangs on what nobody has told.
func (o *op) ofOwner(x *model.Extra) (r, known bool) {
	var w model.Owner
	if x != nil {
		w = x.Owner
	}
	switch o.code {
	case opForwarded:
		return w.Forwarded(), w.Known
	case opLocal:
		return w.Local(), w.Known
	case opHolder:
		if o.wantsNone() && o.hasNone(&w) {
			return true, true
		}
	}
	missing := !w.Known
	for i, h := range w.Ends {
		switch {
		case o.side == sideOrig && i == 1 || o.side == sideReply && i == 0 || !w.Here[i]:
		case !h.Tells(holderColumns[o.field]):
			missing = true
		case o.holds(h):
			return true, true
		}
	}
	// What nothing is known of is "none", and so not anything else, where none is asked for.
	return false, !missing || o.code == opHolder && o.wantsNone() && len(o.set.names) == 1
}

// holderColumns are the columns of the fields that ask for a holder.
var holderColumns = map[field]model.Column{fieldPID: model.ColPID, fieldProc: model.ColProc, fieldUser: model.ColUser, fieldCgroup: model.ColCgroup}

// wantsNone reports whether one of the names is none.
func (o *op) wantsNone() bool {
	for _, n := range o.set.names {
		if n == "" {
			return true
		}
	}
	return false
}

// hasNone reports whether nothing is known of a holder: at the end that is asked for, or, where both are, so that the
// column shows "-".
func (o *op) hasNone(w *model.Owner) bool {
	c := holderColumns[o.field]
	switch o.side {
	case sideOrig:
		return !w.Ends[0].Tells(c)
	case sideReply:
		return !w.Ends[1].Tells(c)
	}
	return !w.Forwarded() && !w.Ends[0].Tells(c) && !w.Ends[1].Tells(c)
}

// holds reports whether h is who is asked for.
func (o *op) holds(h *model.Holder) bool {
	switch o.field {
	case fieldPID:
		return o.set.has(uint64(h.PID))
	case fieldProc:
		return o.named(h.Proc)
	case fieldUser:
		return o.named(h.User) || o.code == opHolder && o.set.has(uint64(h.UID))
	}
	if o.code == opHolderIn {
		return o.named(h.Cgroup) || o.named(h.Container)
	}
	_, engine, _ := strings.Cut(h.Container, " ")
	return o.named(h.Cgroup) || o.named(h.Cgroup[strings.LastIndexByte(h.Cgroup, '/')+1:]) || o.named(h.Container) || o.named(engine)
}

// named reports whether name is one that is asked for, as it is written.
func (o *op) named(name string) bool {
	if o.code == opHolderIn || o.code == opRouteIn {
		return hasFold(name, o.set.text)
	}
	for _, n := range o.set.names {
		if n == name && n != "" {
			return true
		}
	}
	return false
}

// ownerFilter returns the condition that a column of owners shows the same.
func ownerFilter(c model.Column, w *model.Owner) string {
	word := c.String() + " "
	value := func(h *model.Holder) string {
		text := h.Text(c)
		if c == model.ColCgroup && text != "" {
			text = h.Cgroup // a container is known by the beginning of its id
		}
		return string(appendName(nil, text))
	}
	side := func(side string, h *model.Holder) string {
		if c == model.ColPID && h.Text(c) == "" {
			return side + "proc " + wordNone
		}
		return side + word + value(h)
	}
	switch from, to := w.Ends[0].Text(c), w.Ends[1].Text(c); {
	case w.Forwarded():
		return flagNames[flagForwarded]
	case from+to == "" && c == model.ColPID:
		return "proc " + wordNone
	case from+to == "":
		return word + wordNone
	case w.Local():
		return flagNames[flagLocal] + " and " + side("orig ", w.Ends[0]) + " and " + side("reply ", w.Ends[1])
	case from != "":
		return word + value(w.Ends[0]) + " and not " + flagNames[flagLocal]
	}
	return word + value(w.Ends[1]) + " and not " + flagNames[flagLocal]
}
