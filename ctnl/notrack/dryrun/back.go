package dryrun

import (
	"github.com/google/nftables/expr"

	"ctview/model"
)

// A Return is what becomes of a connection whose packets are tracked again after they were not.
type Return struct {
	Cut   Tri      // Yes: packets of neither direction pass, so nothing can begin it anew
	Where []string // what drops them
	As    As
}

// As is how tracking sees the first packet of a connection that it meets again.
type As uint8

// Without an entry, it is new in mid-stream, or INVALID where nf_conntrack_tcp_loose is 0. Where the entry was left, it is
// INVALID if so much passed meanwhile that it is outside the window that the entry remembers. SCTP is INVALID until one of the
// heartbeats that an idle end sends, every 30 s.
const (
	AsNew As = iota
	AsStrict
	AsOutside
	AsHeartbeat
)

// Back walks the next packets of a connection that is tracked now, in both directions, as tracking will see them once it was
// not and is again; left says that its entry stays. Rules that are met only by what passes today count: a connection that is
// cut off already loses nothing.
func (s *Survey) Back(r *model.Rule, left bool) Return {
	return s.back(r, left, expr.CtStateBitESTABLISHED)
}

// End is Back of a connection that is untracked now.
func (s *Survey) End(r *model.Rule, left bool) Return {
	return s.back(r, left, expr.CtStateBitUNTRACKED)
}

// back takes the state of packets today.
func (s *Survey) back(r *model.Rule, left bool, today uint32) (ret Return) {
	state, tcp := uint32(expr.CtStateBitNEW), r.Proto == model.ProtoTCP
	switch {
	case tcp && left && s.liberal:
		return Return{}
	case tcp && left:
		state, ret.As = expr.CtStateBitINVALID, AsOutside
	case tcp && !s.loose:
		state, ret.As = expr.CtStateBitINVALID, AsStrict
	}
	cut := [2]Tri{}
	for i, d := range [...]model.Rule{*r, r.Reverse()} {
		t, _, where := s.dropped(&d, today, state)
		cut[i], ret.Where = t, append(ret.Where, where...)
	}
	switch {
	case ret.As != AsNew: // either direction is enough: nothing is established by the other one
		ret.Cut = max(cut[0], cut[1])
	case cut[0] == Yes && cut[1] == Yes:
		ret.Cut = Yes
	case cut[0] != No:
		ret.Cut = Maybe
	case cut[1] != No && tcp: // the server may be the next to speak
		ret.Cut = Maybe
	}
	if r.Proto == model.ProtoSCTP && !left && ret.Cut == No {
		for _, d := range r.Directions() {
			if t, _, where := s.dropped(&d, today, expr.CtStateBitINVALID); t != No {
				ret.Cut, ret.As, ret.Where = Maybe, AsHeartbeat, append(ret.Where, where...)
			}
		}
	}
	if left { // it depends on how much passes, or on how long the entry lives
		ret.Cut = min(ret.Cut, Maybe)
	}
	return ret
}
