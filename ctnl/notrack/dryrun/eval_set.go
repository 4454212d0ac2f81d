package dryrun

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// lookup answers a lookup in a set or a verdict map.
func (m *machine) lookup(x *ruleset.Expr) (ruleset.Verdict, bool) {
	name := ruleset.SetName{Family: m.r.Family, Table: m.r.Table, Name: x.Text(unix.NFTA_LOOKUP_SET)}
	inv := x.U32(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0
	dreg := x.Attr(unix.NFTA_LOOKUP_DREG)
	s := m.e.set(name)
	if s == nil {
		m.needs(Maybe)
		m.known = [80]bool{}
		return ruleset.Verdict{Code: nfQueue}, dreg != nil && ruleset.U32(dreg) == unix.NFT_REG_VERDICT
	}
	key := m.get(x.U32(unix.NFTA_LOOKUP_SREG), int(min(s.KeyLen, 64)))
	el, t := find(s, key)
	if inv {
		t = t.not()
	}
	m.needs(t)
	if dreg == nil || m.match == No {
		return ruleset.Verdict{}, false
	}
	if ruleset.U32(dreg) != unix.NFT_REG_VERDICT {
		if el != nil && t == Yes {
			m.load(ruleset.U32(dreg), el.Data, true)
		} else {
			m.forget(ruleset.U32(dreg), 16)
		}
		return ruleset.Verdict{}, false
	}
	if el != nil && t == Yes && el.Verdict != nil {
		return *el.Verdict, true
	}
	return ruleset.Verdict{Code: nfQueue}, true // any of the map's verdicts
}

// set returns a set with its elements, nil where they cannot be read.
func (e *evaluator) set(n ruleset.SetName) *ruleset.Set {
	s := e.rs.Sets[n]
	if s == nil {
		return nil
	}
	if !s.Read {
		if e.c == nil {
			return nil
		}
		es, err := e.c.ReadSet(n)
		if err != nil {
			return nil
		}
		s.Elems, s.Read = es, true
	}
	return s
}

// find looks a key up of which not every byte may be known.
func find(s *ruleset.Set, key bits) (*ruleset.Elem, Tri) {
	if s.KeyLen > 64 || len(key.b) < int(s.KeyLen) {
		return nil, Maybe
	}
	best := No
	var catchall *ruleset.Elem
	for i := range s.Elems {
		el := &s.Elems[i]
		switch {
		case el.Catchall:
			catchall = el
			continue
		case el.End:
			continue
		}
		var t Tri
		switch {
		case s.Flags&unix.NFT_SET_INTERVAL == 0:
			t = equalKey(key, el.Key)
		case len(s.Concat) > 0 || el.KeyEnd != nil:
			t = within(s, key, el)
		default:
			t = interval(s, key, i)
		}
		if t == Yes {
			return el, Yes
		}
		best = max(best, t)
	}
	if catchall != nil {
		if best == No {
			return catchall, Yes
		}
		return nil, Maybe
	}
	return nil, best
}

func equalKey(key bits, want []byte) Tri {
	if len(want) > len(key.b) {
		return Maybe
	}
	return equal(bits{key.b[:len(want)], key.known[:len(want)]}, want)
}

// within compares field by field with an element of a concatenated interval set.
func within(s *ruleset.Set, key bits, el *ruleset.Elem) Tri {
	end := el.KeyEnd
	if end == nil {
		end = el.Key
	}
	fields := s.Concat
	if len(fields) == 0 {
		fields = []uint32{uint32(len(el.Key))}
	}
	t, o := Yes, 0
	for _, n := range fields {
		if to := o + int(n); n > 64 || to > len(key.b) || to > len(el.Key) || to > len(end) {
			return min(t, Maybe) // not the shape that the set promised
		}
		f := bits{key.b[o : o+int(n)], key.known[o : o+int(n)]}
		if slices.Contains(f.known, false) {
			t = min(t, Maybe)
		} else if bytes.Compare(f.b, el.Key[o:o+int(n)]) < 0 || bytes.Compare(f.b, end[o:o+int(n)]) > 0 {
			return No
		}
		o += (int(n) + 3) &^ 3
	}
	return t
}

// interval compares with the interval that begins at element i of a set that keeps begins and ends as elements of their
// own: it ends before the next greater element that is an end.
func interval(s *ruleset.Set, key bits, i int) Tri {
	begin := s.Elems[i].Key
	var end []byte
	for j := range s.Elems {
		e := &s.Elems[j]
		if e.End && bytes.Compare(e.Key, begin) > 0 && (end == nil || bytes.Compare(e.Key, end) < 0) {
			end = e.Key
		}
	}
	if len(begin) > len(key.b) {
		return Maybe
	}
	k := bits{key.b[:len(begin)], key.known[:len(begin)]}
	if slices.Contains(k.known, false) {
		return Maybe
	}
	return triOf(bytes.Compare(k.b, begin) >= 0 && (end == nil || bytes.Compare(k.b, end) < 0))
}

func hostBytes(v uint32) []byte {
	b := make([]byte, 4)
	binary.NativeEndian.PutUint32(b, v)
	return b
}

// matchXT judges an xtables match of iptables-nft.
func matchXT(x *ruleset.Expr, p *packet) Tri {
	info := x.Attr(unix.NFTA_MATCH_INFO)
	switch ruleset.XTName(*x) {
	case "comment":
		return Yes
	case "conntrack": // struct xt_conntrack_mtinfo3
		if len(info) < 154 {
			return Maybe
		}
		flags, inv := binary.NativeEndian.Uint16(info[146:]), binary.NativeEndian.Uint16(info[148:])
		if flags&1 == 0 { // XT_CONNTRACK_STATE
			return Maybe
		}
		t := triOf(binary.NativeEndian.Uint16(info[150:])&xtState(p.state, 8) != 0)
		if inv&1 != 0 {
			t = t.not()
		}
		if t == Yes && flags != 1 {
			return Maybe
		}
		return t
	case "addrtype": // struct xt_addrtype_info_v1: two masks of RTN_*, then flags
		const invertSource, invertDest, local = 1, 2, 1 << unix.RTN_LOCAL
		if len(info) < 8 {
			return Maybe
		}
		src, dst, flags := binary.NativeEndian.Uint16(info), binary.NativeEndian.Uint16(info[2:]), binary.NativeEndian.Uint32(info[4:])
		t := Yes
		for _, x := range [...]struct {
			mask  uint16
			local Tri
			inv   bool
		}{{src, p.srcLocal, flags&invertSource != 0}, {dst, p.dstLocal, flags&invertDest != 0}} {
			switch {
			case x.mask == local && x.inv:
				t = min(t, x.local.not())
			case x.mask == local:
				t = min(t, x.local)
			case x.mask != 0:
				t = min(t, Maybe)
			}
		}
		if flags&^(invertSource|invertDest) != 0 { // limited to an interface
			t = min(t, Maybe)
		}
		return t
	case "state": // struct xt_state_info
		if len(info) < 4 {
			return Maybe
		}
		return triOf(binary.NativeEndian.Uint32(info)&uint32(xtState(p.state, 6)) != 0)
	case "tcp", "udp": // struct xt_tcp, xt_udp: two port ranges, then option, flags or inversions
		if len(info) < 8 {
			return Maybe
		}
		t := min(portTri(p.sport, info), portTri(p.dport, info[4:]))
		if ruleset.XTName(*x) == "tcp" && len(info) >= 12 && info[8] == 0 && info[11]&^xtTCPInvFlags == 0 {
			return min(t, p.flagsTri(info[9], info[10], info[11]&xtTCPInvFlags != 0)) // option, flg_mask, flg_cmp, invflags
		}
		rest := slices.ContainsFunc(info[8:], func(c byte) bool { return c != 0 })
		if rest && t == Yes || rest && ruleset.XTName(*x) == "udp" {
			return Maybe
		}
		return t
	}
	return Maybe
}

// xtTCPInvFlags is XT_TCP_INV_FLAGS.
const xtTCPInvFlags = 0x04

// flagsTri says whether the TCP flags under a mask are those wanted.
func (p *packet) flagsTri(mask, want byte, inv bool) Tri {
	if mask == 0 {
		return Yes
	}
	if !p.th.known[13] {
		return Maybe
	}
	t := triOf(p.th.b[13]&mask == want)
	if inv {
		return t.not()
	}
	return t
}

func portTri(r model.PortRange, b []byte) Tri {
	lo, hi := binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
	return rangeTri(r, lo, hi)
}

// rangeTri says whether a port in r is within lo and hi.
func rangeTri(r model.PortRange, lo, hi uint16) Tri {
	switch {
	case lo == 0 && hi == 65535:
		return Yes
	case r.Any():
		return Maybe
	case r.Lo >= lo && r.Hi <= hi:
		return Yes
	case r.Hi < lo || r.Lo > hi:
		return No
	}
	return Maybe
}

// xtState turns an nft state bit into xtables' (XT_CONNTRACK_STATE_*); the bit of UNTRACKED differs between the matches.
func xtState(s uint32, untracked uint) uint16 {
	switch s {
	case expr.CtStateBitINVALID:
		return 1
	case expr.CtStateBitESTABLISHED:
		return 2
	case expr.CtStateBitRELATED:
		return 4
	case expr.CtStateBitNEW:
		return 8
	}
	return 1 << untracked
}

// xtZone reports whether a CT target sets a zone (struct xt_ct_target_info: flags, zone).
func xtZone(x *ruleset.Expr) bool {
	info := x.Attr(unix.NFTA_TARGET_INFO)
	return len(info) >= 4 && (binary.NativeEndian.Uint16(info[2:]) != 0 || binary.NativeEndian.Uint16(info)&0x10 != 0)
}
