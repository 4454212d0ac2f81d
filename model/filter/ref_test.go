package filter

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ctview/model"
)

// The slow and obvious evaluator that Match is held against: it walks the tree, compares texts and netip values, and
// knows three truth values.

type truth int8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

func slowEval(n *node, f *model.Flow, x *model.Extra, now int64) truth {
	return slowEnded(n, f, x, now, -1)
}

// slowEnded is slowEval for a flow that ended past nanoseconds ago, at the time now; one that has not for less than 0.
func slowEnded(n *node, f *model.Flow, x *model.Extra, now, past int64) truth {
	switch n.kind {
	case nodeNot:
		return isTrue - slowEnded(n.kids[0], f, x, now, past)
	case nodeAnd:
		r := isTrue
		for _, k := range n.kids {
			r = min(r, slowEnded(k, f, x, now, past))
		}
		return r
	case nodeOr:
		r := isFalse
		for _, k := range n.kids {
			r = max(r, slowEnded(k, f, x, now, past))
		}
		return r
	}
	p := &n.pred
	if p.master {
		of := *p
		of.master = false
		switch {
		case (x == nil || x.Master.Family == 0) && strings.Contains(f.Status.String(), "EXPECTED"):
			return isUnknown
		case x == nil || x.Master.Family == 0:
			return truthOf(p.rel == relNe)
		case p.field == fieldHelper && !x.MasterSeen:
			return isUnknown
		case p.field == fieldHelper:
			return slowEnded(&node{pred: of}, &model.Flow{Helper: x.MasterHelper}, nil, now, past)
		}
		m := x.Master
		return slowEnded(&node{pred: of}, &model.Flow{Key: model.Key{Src: m.Src, Dst: m.Dst, Sport: m.Sport, Dport: m.Dport,
			Proto: m.Proto, Family: m.Family}}, nil, now, past)
	}
	switch p.field {
	case fieldFlag:
		if name := flagNames[p.flag]; name == "forwarded" || name == "local" {
			if x == nil || !x.Owner.Known {
				return isUnknown
			}
			return truthOf(x.Owner.Here == [2]bool{} && name == "forwarded" || x.Owner.Here == [2]bool{true, true} && name == "local")
		}
		return truthOf(slowFlag(flagNames[p.flag], f))
	case fieldPID, fieldProc, fieldUser, fieldCgroup:
		return slowOwner(p, x)
	case fieldIif, fieldOif:
		return slowRoute(p, x)
	case fieldText:
		return truthOf(slowSearch(f, x, p.text))
	case fieldBytes, fieldPackets, fieldAvgPkt, fieldRate, fieldPPS, fieldAge, fieldTimeout:
		return slowAmount(p, f, now)
	case fieldLived, fieldEnded:
		if past < 0 {
			return truthOf(p.rel == relNe)
		}
		if p.field == fieldEnded {
			return truthOf(slowCompare(p.rel, uint64(past/int64(time.Second)), p.vals[0].lo))
		}
		age := *p
		age.field = fieldAge
		return slowAmount(&age, f, now)
	}
	hit := false
	for _, v := range p.vals {
		hit = hit || slowValue(p, &v, f, x)
	}
	if p.rel == relHas {
		switch p.field {
		case fieldHelper:
			hit = slowContains(f.Helper.String(), p.text)
		case fieldSecctx:
			hit = x != nil && slowContains(x.Secctx, p.text)
		}
	}
	return truthOf(hit != (p.rel == relNe))
}

// slowRoute compares the name of an interface; where none is known nothing but none is.
func slowRoute(p *pred, x *model.Extra) truth {
	name := ""
	if x != nil {
		name = map[field]string{fieldIif: x.Route.In, fieldOif: x.Route.Out}[p.field]
	}
	hit := p.rel == relHas && name != "" && slowContains(name, p.text)
	for _, v := range p.vals {
		hit = hit || v.name == name
	}
	if name == "" && !hit {
		return isUnknown
	}
	return truthOf(hit != (p.rel == relNe))
}

// slowOwner compares what each end that is here is known by.
func slowOwner(p *pred, x *model.Extra) truth {
	var w model.Owner
	if x != nil {
		w = x.Owner
	}
	texts := func(i int) (names []string) {
		if h := w.Ends[i]; h != nil {
			switch p.field {
			case fieldPID:
				names = []string{fmt.Sprint(h.PID)}
			case fieldProc:
				names = []string{h.Proc}
			case fieldUser:
				names = []string{h.User, fmt.Sprint(h.UID)}
			default:
				_, id, _ := strings.Cut(h.Container, " ")
				names = []string{h.Cgroup, h.Cgroup[strings.LastIndex(h.Cgroup, "/")+1:], h.Container, id}
			}
			if names[0] == "" || names[0] == "0" && p.field == fieldPID {
				names = nil
			}
		}
		return names
	}
	hit, missing, nothing := false, !w.Known, true
	for i := range 2 {
		if p.side != sideBoth && i != map[side]int{sideOrig: 0, sideReply: 1}[p.side] {
			continue
		}
		names := texts(i)
		nothing = nothing && names == nil
		if !w.Here[i] {
			continue
		}
		missing = missing || names == nil
		for j, n := range names {
			if p.rel == relHas {
				hit = hit || slowContains(n, p.text) && (p.field != fieldUser || j == 0)
			}
			for _, v := range p.vals {
				if p.field == fieldPID {
					var pid uint64
					fmt.Sscan(n, &pid)
					switch p.rel {
					case relEq, relNe:
						hit = hit || v.lo <= pid && pid <= v.hi
					default:
						hit = hit || slowCompare(p.rel, pid, v.lo)
					}
				} else {
					hit = hit || v.name != "" && n == v.name
				}
			}
		}
	}
	forwarded := w.Known && w.Here == [2]bool{}
	onlyNone := p.field != fieldPID && p.rel != relHas
	for _, v := range p.vals {
		if p.field != fieldPID && v.name == "" && nothing && !(p.side == sideBoth && forwarded) {
			hit = true
		}
		onlyNone = onlyNone && v.name == ""
	}
	switch {
	case !hit && missing && !onlyNone:
		return isUnknown
	case p.rel == relNe:
		return truthOf(!hit)
	}
	return truthOf(hit)
}

// randomOwner makes what is known of the sockets of a flow.
func randomOwner(r *rand.Rand) (w model.Owner) {
	w.Known = r.IntN(4) > 0
	for i := range w.Ends {
		if w.Known && r.IntN(2) == 0 {
			w.Here[i] = true
			w.Ends[i] = pickOf(r, nil, &model.Holder{PID: 1234, Proc: "sshd", User: "root", Cgroup: "/system.slice/ssh.service"},
				&model.Holder{PID: 70, Proc: "nginx", UID: 33, User: "www-data", Cgroup: "/docker/3f2a", Container: "docker 3f2a9c1b2d4e"},
				&model.Holder{UID: 500, User: "500"})
		}
	}
	return w
}

func slowFlag(name string, f *model.Flow) bool {
	status := strings.Split(f.Status.String(), "|")
	has := func(bit string) bool {
		for _, s := range status {
			if s == bit {
				return true
			}
		}
		return false
	}
	switch name {
	case "assured":
		return has("ASSURED")
	case "replied":
		return has("SEEN_REPLY")
	case "unreplied":
		return !has("SEEN_REPLY")
	case "snat":
		return f.SNAT()
	case "dnat":
		return f.DNAT()
	case "nat":
		return f.SNAT() || f.DNAT()
	case "offload":
		return has("OFFLOAD") || has("HW_OFFLOAD")
	case "expected":
		return has("EXPECTED")
	case "dying":
		return has("DYING")
	case "fixed":
		return has("FIXED_TIMEOUT")
	}
	panic(name)
}

func slowFold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

func slowContains(s, sub string) bool {
	lower := func(s string) string { // ASCII only, as the language folds
		b := []byte(s)
		for i, c := range b {
			if c >= 'A' && c <= 'Z' {
				b[i] += 'a' - 'A'
			}
		}
		return strings.ReplaceAll(string(b), "-", "_")
	}
	return strings.Contains(lower(s), lower(sub))
}

func slowSearch(f *model.Flow, x *model.Extra, text string) bool {
	fields := []string{f.Proto.String(), f.StateText(), f.Helper.String()}
	for _, t := range []model.Tuple{f.Orig(), f.Reply()} {
		src, dst := t.SrcAddr().String(), t.DstAddr().String()
		if t.Proto.HasPorts() {
			src, dst = net.JoinHostPort(src, strconv.Itoa(int(t.Sport))), net.JoinHostPort(dst, strconv.Itoa(int(t.Dport)))
		} else if t.Proto.IsICMP() {
			src = fmt.Sprintf("%s id %d", src, t.Sport)
		}
		fields = append(fields, src, dst)
	}
	if x != nil {
		fields = append(fields, x.Secctx)
		for i := range model.LabelBits {
			if n, ok := testOptions.LabelName(i); ok && x.Labels.Bit(i) {
				fields = append(fields, n)
			}
		}
	}
	for _, s := range fields {
		if slowContains(s, text) {
			return true
		}
	}
	return false
}

func slowCompare(r rel, a, b uint64) bool {
	switch r {
	case relEq:
		return a == b
	case relNe:
		return a != b
	case relLt:
		return a < b
	case relLe:
		return a <= b
	case relGt:
		return a > b
	}
	return a >= b
}

func slowAmount(p *pred, f *model.Flow, now int64) truth {
	side := func(o, r float64) float64 {
		switch p.side {
		case sideOrig:
			return o
		case sideReply:
			return r
		}
		return o + r
	}
	bytes := uint64(side(float64(f.Bytes[0]), float64(f.Bytes[1])))
	packets := uint64(side(float64(f.Packets[0]), float64(f.Packets[1])))
	var v uint64
	known := f.Known&model.KnownCounters != 0
	switch p.field {
	case fieldBytes:
		v = bytes
	case fieldPackets:
		v = packets
	case fieldAvgPkt:
		if packets > 0 {
			v = bytes / packets
		}
	case fieldRate:
		v, known = uint64(8*side(float64(f.Rate[0]), float64(f.Rate[1]))), f.Known&model.KnownRate != 0
	case fieldPPS:
		v, known = uint64(side(float64(f.PacketRate[0]), float64(f.PacketRate[1]))), f.Known&model.KnownRate != 0
	case fieldAge:
		v, known = uint64(max(0, now-f.First)/int64(time.Second)), f.Known&model.KnownStart != 0
		if !known && f.First != 0 {
			return slowAge(p, v)
		}
	case fieldTimeout:
		left := time.Duration(max(0, f.Expires-now))
		v, known = uint64((left+time.Second-1)/time.Second), f.Known&model.KnownTimeout != 0
	}
	if !known {
		return isUnknown
	}
	return truthOf(slowCompare(p.rel, v, p.vals[0].lo))
}

// slowAge decides a comparison with an age of at least v: it is known if all ages from v on, up to far beyond the
// limit, say the same.
func slowAge(p *pred, v uint64) truth {
	limit := p.vals[0].lo
	first := slowCompare(p.rel, v, limit)
	for _, later := range []uint64{limit - 1, limit, limit + 1, 1 << 62} {
		if later > v && later < 1<<63 && slowCompare(p.rel, later, limit) != first {
			return isUnknown
		}
	}
	return truthOf(first)
}

func slowValue(p *pred, v *val, f *model.Flow, x *model.Extra) bool {
	number := func(n uint64) bool {
		switch {
		case p.rel != relEq && p.rel != relNe && p.rel != relHas:
			return slowCompare(p.rel, n, v.lo)
		case v.masked:
			return n&v.mask == v.lo
		}
		return n >= v.lo && n <= v.hi
	}
	o, r := f.Orig(), f.Reply()
	t := o
	if p.side == sideReply {
		t = r
	}
	switch p.field {
	case fieldAddr:
		for i, a := range []netip.Addr{o.SrcAddr(), o.DstAddr(), r.SrcAddr(), r.DstAddr()} {
			if p.ends>>i&1 != 0 && v.addr.Contains(a) {
				return true
			}
		}
		return false
	case fieldPort:
		for i, port := range []uint16{o.Sport, o.Dport, r.Sport, r.Dport} {
			if p.ends>>i&1 != 0 && f.Proto.HasPorts() && number(uint64(port)) {
				return true
			}
		}
		return false
	case fieldZone:
		zone := f.Zone
		if p.side == sideOrig && f.ZoneDir == model.ZoneReply || p.side == sideReply && f.ZoneDir == model.ZoneOrig {
			zone = 0
		}
		return number(uint64(zone))
	case fieldMark:
		return number(uint64(f.Mark))
	case fieldID:
		return number(uint64(f.ID))
	case fieldICMPType:
		typ, _, _ := t.ICMP()
		return f.Proto.IsICMP() && number(uint64(typ))
	case fieldICMPCode:
		_, code, _ := t.ICMP()
		return f.Proto.IsICMP() && number(uint64(code))
	case fieldICMPID:
		_, _, id := t.ICMP()
		return f.Proto.IsICMP() && number(uint64(id))
	case fieldSrcKey:
		return f.Proto == model.ProtoGRE && number(uint64(t.Sport))
	case fieldDstKey:
		return f.Proto == model.ProtoGRE && number(uint64(t.Dport))
	case fieldState:
		return slowFold(f.StateText()) == v.name
	case fieldCtState:
		return f.CtState() == model.CtState(v.lo)
	case fieldPhase:
		return f.Phase() == model.Phase(v.lo)
	case fieldProto:
		return f.Proto == model.Proto(v.lo)
	case fieldFamily:
		return f.Family == model.Family(v.lo)
	case fieldStatus:
		return f.Status.Has(1 << v.lo)
	case fieldHelper:
		return slowFold(f.Helper.String()) == slowFold(v.name)
	case fieldLabel:
		if v.lo == labelNone {
			return x == nil || x.Labels == (model.Labels{})
		}
		return x != nil && x.Labels.Bit(int(v.lo))
	case fieldSecctx:
		return (x == nil && v.name == "") || x != nil && x.Secctx == v.name
	}
	panic(fmt.Sprint("field ", p.field))
}

// testOptions know the names that tests use.
var testOptions = Options{
	Saved: map[string]string{"noisy": "host 203.0.113.7 or port 53", "web": "tcp dport {80, 443}", "both": "@web or @noisy",
		"me": "tcp and @myself", "myself": "udp or @me", "empty": " ", "broken": "tcp and foo 5", "mixed": "tcp or udp and nat"},
	Labels: func(name string) (int, bool) {
		bit, ok := map[string]int{"voip": 3, "bulk": 77, "ends-up": 127}[name]
		return bit, ok
	},
	LabelName: func(bit int) (string, bool) {
		n, ok := map[int]string{3: "voip", 77: "bulk", 127: "ends-up"}[bit]
		return n, ok
	},
	Services: func(name string) (uint16, bool) { return 8765, name == "ours" },
}

const testNow = int64(1_800_000_000_000_000_000)

func pickOf[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// randomFlow makes a flow of values that filters in tests ask for often.
func randomFlow(r *rand.Rand) (*model.Flow, *model.Extra) {
	f := &model.Flow{}
	f.Family = pickOf(r, model.IPv4, model.IPv4, model.IPv6)
	f.Proto = pickOf(r, model.ProtoTCP, model.ProtoTCP, model.ProtoUDP, model.ProtoICMP, model.ProtoICMPv6, model.ProtoSCTP, model.ProtoDCCP, model.ProtoGRE, model.ProtoUDPLite, 50)
	addr := func() [16]byte {
		if f.Family == model.IPv4 {
			return model.AddrBytes(netip.MustParseAddr(pickOf(r, "10.0.0.1", "10.1.2.3", "192.168.1.77", "192.168.2.5",
				"203.0.113.7", "198.51.100.2", "0.0.0.0", "255.255.255.255")))
		}
		return model.AddrBytes(netip.MustParseAddr(pickOf(r, "2001:db8::1", "2001:db8:4::17", "fe80::1", "::", "::ffff:10.0.0.1",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")))
	}
	port := func() uint16 { return pickOf[uint16](r, 0, 22, 53, 80, 443, 8000, 8500, 8999, 9000, 65535, 8<<8, 4711) }
	f.Src, f.Dst, f.Sport, f.Dport = addr(), addr(), port(), port()
	inv := f.Orig().Invert()
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = inv.Src, inv.Dst, inv.Sport, inv.Dport
	if r.IntN(3) == 0 {
		f.ReplyDst, f.ReplyDport = addr(), port()
	}
	if r.IntN(4) == 0 {
		f.ReplySrc, f.ReplySport = addr(), port()
	}
	f.Zone, f.ZoneDir = pickOf[uint16](r, 0, 0, 5, 7, 9), pickOf(r, model.ZoneBoth, model.ZoneBoth, model.ZoneOrig, model.ZoneReply)
	f.Known = model.Known(r.UintN(64))
	f.State = model.State(r.UintN(12))
	f.ID, f.Mark = r.Uint32N(8), pickOf[uint32](r, 0, 1, 0x10, 0x11, 0x1f, 0xf0, 1<<32-1)
	f.Status = model.Status(r.Uint32N(1 << 16))
	if r.IntN(2) == 0 {
		f.Status &^= model.StatusOffload | model.StatusHWOffload
	}
	f.Helper = model.HelperFor([]byte(pickOf(r, "", "", "ftp", "sip", "netbios-ns", "Q.931", "none")))
	for i := range 2 {
		f.Bytes[i] = pickOf[uint64](r, 0, 999, 1000, 1_000_000, 10_000_001, 5e9)
		f.Packets[i] = pickOf[uint64](r, 0, 1, 10, 1000)
		f.Rate[i] = pickOf[float32](r, 0, 100, 625_000, 625_001, 1e7)
		f.PacketRate[i] = pickOf[float32](r, 0, 0.5, 10, 1000)
	}
	ago := pickOf[time.Duration](r, 0, 5*time.Second, 30*time.Second, 31*time.Second, time.Hour, -time.Minute, 1500*time.Millisecond)
	f.First, f.Expires = testNow-int64(ago), testNow+int64(ago)
	if r.IntN(5) == 0 {
		f.First = 0
	}
	if r.IntN(3) == 0 {
		return f, nil
	}
	x := &model.Extra{Owner: randomOwner(r), Route: model.Route{In: pickOf(r, "", "eth0", "lan"), Out: pickOf(r, "", "eth0", "wan")}, Secctx: pickOf(r, "", "system_u:object_r:unlabeled_t:s0", "user_u:role_r:ssh_t")}
	for range r.IntN(3) {
		x.Labels.Set(pickOf(r, 0, 3, 77, 127))
	}
	if r.IntN(2) == 0 {
		x.Master = model.Tuple{Src: addr(), Dst: addr(), Sport: port(), Dport: port(), Proto: model.ProtoTCP, Family: f.Family}
		if r.IntN(2) == 0 {
			x.MasterHelper, x.MasterSeen = model.HelperFor([]byte(pickOf(r, "", "ftp", "sip"))), true
		}
	}
	return f, x
}
