package notrack

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ctview/model"
)

// lookup answers a lookup in a set or a verdict map.
func (m *machine) lookup(x *nftExpr) (verdict, bool) {
	name := setName{m.r.family, m.r.table, cstr(attr(x.data, unix.NFTA_LOOKUP_SET))}
	inv := be32(attr(x.data, unix.NFTA_LOOKUP_FLAGS))&unix.NFT_LOOKUP_F_INV != 0
	dreg := attr(x.data, unix.NFTA_LOOKUP_DREG)
	s := m.e.set(name)
	if s == nil {
		m.needs(maybe)
		m.known = [80]bool{}
		return verdict{code: nfQueue}, dreg != nil && be32(dreg) == unix.NFT_REG_VERDICT
	}
	key := m.get(be32(attr(x.data, unix.NFTA_LOOKUP_SREG)), int(min(s.keyLen, 64)))
	el, t := s.find(key)
	if inv {
		t = t.not()
	}
	m.needs(t)
	if dreg == nil || m.match == no {
		return verdict{}, false
	}
	if be32(dreg) != unix.NFT_REG_VERDICT {
		if el != nil && t == yes {
			m.load(be32(dreg), el.data, true)
		} else {
			m.forget(be32(dreg), 16)
		}
		return verdict{}, false
	}
	if el != nil && t == yes && el.verdict != nil {
		return *el.verdict, true
	}
	return verdict{code: nfQueue}, true // any of the map's verdicts
}

// set returns a set with its elements, nil where they cannot be read.
func (e *evaluator) set(n setName) *nftSet {
	s := e.rs.sets[n]
	if s == nil {
		return nil
	}
	if !s.read {
		if e.c == nil {
			return nil
		}
		es, err := e.c.readSet(n)
		if err != nil {
			return nil
		}
		s.elems, s.read = es, true
	}
	return s
}

// find looks a key up of which not every byte may be known.
func (s *nftSet) find(key bits) (*nftElem, tri) {
	if s.keyLen > 64 || len(key.b) < int(s.keyLen) {
		return nil, maybe
	}
	best := no
	var catchall *nftElem
	for i := range s.elems {
		el := &s.elems[i]
		switch {
		case el.catchall:
			catchall = el
			continue
		case el.end:
			continue
		}
		var t tri
		switch {
		case s.flags&unix.NFT_SET_INTERVAL == 0:
			t = equalKey(key, el.key)
		case len(s.concat) > 0 || el.keyEnd != nil:
			t = s.within(key, el)
		default:
			t = s.interval(key, i)
		}
		if t == yes {
			return el, yes
		}
		best = max(best, t)
	}
	if catchall != nil {
		if best == no {
			return catchall, yes
		}
		return nil, maybe
	}
	return nil, best
}

func equalKey(key bits, want []byte) tri {
	if len(want) > len(key.b) {
		return maybe
	}
	return equal(bits{key.b[:len(want)], key.known[:len(want)]}, want)
}

// within compares field by field with an element of a concatenated interval set.
func (s *nftSet) within(key bits, el *nftElem) tri {
	end := el.keyEnd
	if end == nil {
		end = el.key
	}
	fields := s.concat
	if len(fields) == 0 {
		fields = []uint32{uint32(len(el.key))}
	}
	t, o := yes, 0
	for _, n := range fields {
		if to := o + int(n); n > 64 || to > len(key.b) || to > len(el.key) || to > len(end) {
			return min(t, maybe) // not the shape that the set promised
		}
		f := bits{key.b[o : o+int(n)], key.known[o : o+int(n)]}
		if slices.Contains(f.known, false) {
			t = min(t, maybe)
		} else if bytes.Compare(f.b, el.key[o:o+int(n)]) < 0 || bytes.Compare(f.b, end[o:o+int(n)]) > 0 {
			return no
		}
		o += (int(n) + 3) &^ 3
	}
	return t
}

// interval compares with the interval that begins at element i of a set that keeps begins and ends as elements of their
// own: it ends before the next greater element that is an end.
func (s *nftSet) interval(key bits, i int) tri {
	begin := s.elems[i].key
	var end []byte
	for j := range s.elems {
		e := &s.elems[j]
		if e.end && bytes.Compare(e.key, begin) > 0 && (end == nil || bytes.Compare(e.key, end) < 0) {
			end = e.key
		}
	}
	if len(begin) > len(key.b) {
		return maybe
	}
	k := bits{key.b[:len(begin)], key.known[:len(begin)]}
	if slices.Contains(k.known, false) {
		return maybe
	}
	return triOf(bytes.Compare(k.b, begin) >= 0 && (end == nil || bytes.Compare(k.b, end) < 0))
}

func hostBytes(v uint32) []byte {
	b := make([]byte, 4)
	binary.NativeEndian.PutUint32(b, v)
	return b
}

// matchXT judges an xtables match of iptables-nft.
func matchXT(x *nftExpr, p *packet) tri {
	info := attr(x.data, unix.NFTA_MATCH_INFO)
	switch xtName(*x) {
	case "comment":
		return yes
	case "conntrack": // struct xt_conntrack_mtinfo3
		if len(info) < 154 {
			return maybe
		}
		flags, inv := binary.NativeEndian.Uint16(info[146:]), binary.NativeEndian.Uint16(info[148:])
		if flags&1 == 0 { // XT_CONNTRACK_STATE
			return maybe
		}
		t := triOf(binary.NativeEndian.Uint16(info[150:])&xtState(p.state, 8) != 0)
		if inv&1 != 0 {
			t = t.not()
		}
		if t == yes && flags != 1 {
			return maybe
		}
		return t
	case "state": // struct xt_state_info
		if len(info) < 4 {
			return maybe
		}
		return triOf(binary.NativeEndian.Uint32(info)&uint32(xtState(p.state, 6)) != 0)
	case "tcp", "udp": // struct xt_tcp, xt_udp: two port ranges, then option, flags or inversions
		if len(info) < 8 {
			return maybe
		}
		t := min(portTri(p.sport, info), portTri(p.dport, info[4:]))
		rest := slices.ContainsFunc(info[8:], func(c byte) bool { return c != 0 })
		if rest && t == yes || rest && xtName(*x) == "udp" {
			return maybe
		}
		return t
	}
	return maybe
}

func portTri(r model.PortRange, b []byte) tri {
	lo, hi := binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
	return rangeTri(r, lo, hi)
}

// rangeTri says whether a port in r is within lo and hi.
func rangeTri(r model.PortRange, lo, hi uint16) tri {
	switch {
	case lo == 0 && hi == 65535:
		return yes
	case r.Any():
		return maybe
	case r.Lo >= lo && r.Hi <= hi:
		return yes
	case r.Hi < lo || r.Lo > hi:
		return no
	}
	return maybe
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
func xtZone(x *nftExpr) bool {
	info := attr(x.data, unix.NFTA_TARGET_INFO)
	return len(info) >= 4 && (binary.NativeEndian.Uint16(info[2:]) != 0 || binary.NativeEndian.Uint16(info)&0x10 != 0)
}

// xtNotrack reports whether a CT target is "--notrack" (XT_CT_NOTRACK).
func xtNotrack(x *nftExpr) bool {
	info := attr(x.data, unix.NFTA_TARGET_INFO)
	return len(info) >= 2 && binary.NativeEndian.Uint16(info)&3 != 0
}
