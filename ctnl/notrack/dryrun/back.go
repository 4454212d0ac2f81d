package dryrun

import (
	"github.com/google/nftables/expr"

	"ctview/model"
)

// A Return is what becomes of a connection whose packets are tracked again after they were not: its next packet is the
// first that tracking sees of it.
type Return struct {
	Cut    Tri      // Yes: packets of neither direction pass, so nothing can begin it anew
	Where  []string // what drops them
	Strict bool     // nf_conntrack_tcp_loose is 0: they are INVALID, not NEW
}

// Back walks the next packets of a connection, in both directions, as tracking will see them. Rules that are met only by
// what passes today count: a connection that is cut off already loses nothing. r is exact.
func (s *Survey) Back(r *model.Rule) (ret Return) {
	state := uint32(expr.CtStateBitNEW)
	if tcp := r.Proto == model.ProtoTCP; tcp && !s.loose {
		state, ret.Strict = expr.CtStateBitINVALID, true
	}
	cut := [2]Tri{}
	for i, d := range [...]model.Rule{*r, r.Reverse()} {
		f, ways := d.Families()[0], s.paths(&d)
		for _, w := range ways {
			now := s.walk(s.packet(&d, f, w, expr.CtStateBitESTABLISHED), w, filterKinds, filterTables)
			then := s.packet(&d, f, w, state)
			if d.Proto == model.ProtoTCP {
				then.flags(tcpACK)
			}
			next := s.walk(then, w, filterKinds, filterTables)
			if now.out&accepts == 0 || next.out&drops == 0 {
				continue
			}
			t := Maybe
			if next.out == drops && now.out == accepts && len(ways) == 1 {
				t = Yes
			}
			if cut[i] = max(cut[i], t); len(next.drop) > 0 {
				ret.Where = append(ret.Where, last(next.drop)...)
			}
		}
	}
	switch {
	case ret.Strict: // either direction is enough: nothing is established by the other one
		ret.Cut = max(cut[0], cut[1])
	case cut[0] == Yes && cut[1] == Yes:
		ret.Cut = Yes
	case cut[0] != No:
		ret.Cut = Maybe
	case cut[1] != No && r.Proto == model.ProtoTCP: // the server may be the next to speak
		ret.Cut = Maybe
	}
	return ret
}
