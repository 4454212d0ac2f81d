package finding

import (
	"fmt"
	"net/netip"
	"slices"

	"ctview/model"
)

// A natKey is an address that sources are translated to, and a destination as it answers.
type natKey struct {
	Addr, Dst [16]byte
	Port      uint16 // of Dst
	Proto     model.Proto
	Family    model.Family
}

func natOf(f *model.Flow) natKey {
	return natKey{f.ReplyDst, f.ReplySrc, f.ReplySport, f.Proto, f.Family}
}

// A NATUse is how many ports of an address are in use towards one destination.
type NATUse struct {
	natKey
	Flows, Ports int
	used         [1 << 16 / 64]uint64
}

// leastNAT is how few ports nobody is told of: who gives a range to NAT gives some.
const leastNAT = 16

func (u *NATUse) add(f *model.Flow) {
	u.Flows++
	w, bit := &u.used[f.ReplyDport/64], uint64(1)<<(f.ReplyDport%64)
	if *w&bit == 0 {
		*w |= bit
		u.Ports++
	}
}

// within counts the ports of a range that are in use.
func (u *NATUse) within(r model.PortRange) (n int) {
	for p := int(r.Lo); p <= int(r.Hi); p++ {
		if u.used[p/64]&(1<<(p%64)) != 0 {
			n++
		}
	}
	return n
}

// A Pinned is where UDP flows are sent by a translation of before, and nobody answers.
type Pinned struct {
	Source bool // Addr is what the source is translated to; else where the destination is
	Family model.Family
	Addr   [16]byte
	Port   uint16 // 0 with Source
	Flows  int    // that send and get nothing back
	Alive  int    // that get answers, of those with rates
}

type pinKey struct {
	source bool
	family model.Family
	addr   [16]byte
	port   uint16
}

const (
	// pinnedPackets is what a UDP flow must have sent to be called pinned.
	pinnedPackets = 10
	keepPinned    = 64
)

// pinnedAge is how long it must have lived, in seconds: longer than a flow without an answer lives that does not send.
func pinnedAge(sys *model.System) int64 {
	if sys.UDPTimeout.OK {
		return sys.UDPTimeout.Value
	}
	return 30
}

// translated looks at what a flow of the sample is translated to.
func (s *surveyor) translated(f *model.Flow) {
	snat := f.SNAT()
	if snat && f.Proto.HasPorts() {
		s.nat.add(natOf(f))
	}
	if f.Proto != model.ProtoUDP || f.Known&model.KnownCounters == 0 {
		return
	}
	old := s.At-f.First > s.pinnedAge
	switch {
	case snat && f.Known&model.KnownRate != 0:
		sends, gets := f.PacketRate[0] > 0, f.PacketRate[1] > 0
		if p := s.pin(pinKey{source: true, family: f.Family, addr: f.ReplyDst}); p != nil {
			if gets {
				p.Alive++
			} else if sends && old {
				p.Flows++
			}
		}
	case f.DNAT() && unanswered(f) && old && f.Packets[0] >= pinnedPackets:
		if p := s.pin(pinKey{family: f.Family, addr: f.ReplySrc, port: f.ReplySport}); p != nil {
			p.Flows++
		}
	}
}

func (s *surveyor) pin(k pinKey) *Pinned {
	p := s.pinned[k]
	if p == nil && len(s.pinned) < keepPinned {
		p = &Pinned{Source: k.source, Family: k.family, Addr: k.addr, Port: k.port}
		s.pinned[k] = p
	}
	return p
}

// A NATRule is a rule that translates sources.
type NATRule struct {
	Place  string          // family, table and chain, for people
	Family model.Family    // 0: both
	Proto  model.Proto     // 0: all
	Lo, Hi netip.Addr      // not valid: an address of the interface (masquerade), or with Mapped any
	Mapped bool            // a map names the address, or the source keeps its own
	Ports  model.PortRange // zero: whatever the kernel takes
	Open   bool            // a map names the ports, which are not known
	Widen  string          // the command that gives it every port, "" where it cannot be told
}

// kernelPorts are what NAT takes for a source port of 1024 and above where a rule names none (nf_nat_l4proto_unique_tuple); for
// those below 512 it takes 1 to 511, for the rest 600 to 1023.
var kernelPorts = model.PortRange{Lo: 1024, Hi: 65535}

// translates reports whether the rule can have translated the source of a flow of a protocol to an address.
func (n *NATRule) translates(r *Rules, f model.Family, p model.Proto, addr [16]byte) bool {
	a := f.Addr(addr)
	switch {
	case n.Family != 0 && n.Family != f, n.Proto != 0 && n.Proto != p:
		return false
	case n.Lo.IsValid():
		return n.Lo.Compare(a) <= 0 && a.Compare(n.Hi) <= 0
	}
	return n.Mapped || slices.Contains(r.Local, a)
}

// natRule returns the rule with the fewest ports that can have translated to u's address; ok is false where none is known.
func (in *Input) natRule(u *NATUse) (rule *NATRule, ok bool) {
	for i := range in.Rules.NAT {
		n := &in.Rules.NAT[i]
		if n.Ports != (model.PortRange{}) && n.translates(&in.Rules, u.Family, u.Proto, u.Addr) && (rule == nil || n.Ports.Size() < rule.Ports.Size()) {
			rule = n
		}
	}
	return rule, rule != nil
}

// SourcePorts returns the ranges of ports that rules can have given the source of f: those of the rules that translate to the
// address that it has got, each once. nil where no such rule is known, or one of them takes its ports from a map.
func (r *Rules) SourcePorts(f *model.Flow) (ranges []model.PortRange) {
	for i := range r.NAT {
		n := &r.NAT[i]
		if !n.translates(r, f.Family, f.Proto, f.ReplyDst) {
			continue
		}
		ports := n.Ports
		switch {
		case n.Open:
			return nil
		case ports == model.PortRange{}:
			ports = kernelPorts
		}
		if !slices.Contains(ranges, ports) {
			ranges = append(ranges, ports)
		}
	}
	return ranges
}

// natPorts tells of addresses that have no ports left towards a destination.
func natPorts(e *Engine, in *Input) (all []Finding) {
	if in.Survey == nil {
		return nil
	}
	for i := range in.Survey.NATs {
		u := &in.Survey.NATs[i]
		ports, rule := kernelPorts, (*NATRule)(nil)
		if r, ok := in.natRule(u); ok {
			ports, rule = r.Ports, r
		}
		n := u.within(ports)
		if share(n, ports.Size()) < 0.9 {
			continue
		}
		to := Target{Addr: u.Dst, Port: u.Port, Proto: u.Proto, Family: u.Family}
		addr := address(u.Family, u.Addr)
		f := Finding{Name: "nat-ports", Subject: addr + " to " + to.endpoint(), Severity: Warning, Place: InFlows, Amount: int64(n)}
		f.Filter = fmt.Sprintf("%s and snat and reply dst %s and reply src %s and reply sport %d", u.Proto, addr, address(u.Family, u.Dst), u.Port)
		f.Text = fmt.Sprintf("%s of %s ports of %s to %s in use", count(n), count(ports.Size()), addr, to.endpoint())
		if t := &e.counters; t.has && t.first[statInsertFailed] != 0 && in.Now-t.last[statInsertFailed] <= fresh {
			f.Severity = Severe
			f.Text += fmt.Sprintf(", and %s packets of new flows found none", count(int(t.sum[statInsertFailed]-t.base[statInsertFailed])))
		}
		if rule != nil {
			f.Cures = append(f.Cures, Cure{fmt.Sprintf("give the rule in %s all ports, it has %d to %d", rule.Place, ports.Lo, ports.Hi), in.here(rule.Widen)})
		} else {
			f.Cures = append(f.Cures, Cure{"give the rule that translates it more addresses: these are all the ports that there are", ""})
		}
		if t := in.System.TCPTimeouts[model.TCPTimeWait]; u.Proto == model.ProtoTCP && t.OK && t.Value > 10 {
			f.Cures = append(f.Cures, Cure{"let closed connections go sooner", sysctl(in, "nf_conntrack_tcp_timeout_time_wait", "10")})
		}
		all = append(all, f)
	}
	return all
}

// pinned tells of UDP flows that an old translation holds to where nobody answers: as long as they send, they live.
func pinned(_ *Engine, in *Input) (all []Finding) {
	if in.Survey == nil {
		return nil
	}
	for i := range in.Survey.Stale {
		p := &in.Survey.Stale[i]
		addr := address(p.Family, p.Addr)
		f := Finding{Name: "stale-udp", Severity: Warning, Place: InFlows, Amount: int64(p.Flows)}
		switch {
		case p.Flows == 0:
			continue
		case p.Source && (len(in.Rules.Local) == 0 || p.Alive > 0 || in.local(p.Family, p.Addr)):
			continue
		case p.Source:
			f.Subject = addr
			f.Filter = "udp and snat and reply dst " + addr
			f.Text = fmt.Sprintf("%s%s sent as %s, which is no address of this machine, without an answer: as long as they send, no other rule is asked",
				in.Survey.some(), plural(p.Flows, "UDP flow"), addr)
		default:
			to := Target{Addr: p.Addr, Port: p.Port, Proto: model.ProtoUDP, Family: p.Family}
			f.Subject = to.endpoint()
			f.Filter = fmt.Sprintf("udp and dnat and unreplied and reply src %s and reply sport %d and orig packets >= %d and age > %ds", addr, p.Port,
				pinnedPackets, pinnedAge(&in.System))
			f.Text = fmt.Sprintf("%s%s translated to %s, which never answers: as long as they send, no other rule is asked",
				in.Survey.some(), plural(p.Flows, "UDP flow"), to.endpoint())
			if !in.Rules.Known || in.Rules.OtherTargets || in.Rules.leadsTo(p.Family.Addr(p.Addr)) {
				f.Severity = Note // it may be meant so: who collects logs does not answer
			} else {
				f.Text = fmt.Sprintf("%s%s translated to %s, where no rule leads any more, without an answer: they began before, and live as long as they send",
					in.Survey.some(), plural(p.Flows, "UDP flow"), to.endpoint())
			}
		}
		f.Cures = []Cure{in.forget(f.Filter)}
		all = append(all, f)
	}
	return all
}

// leadsTo reports whether a rule translates destinations to a.
func (r *Rules) leadsTo(a netip.Addr) bool {
	return slices.ContainsFunc(r.Targets, func(n NATRule) bool { return n.Lo.Compare(a) <= 0 && a.Compare(n.Hi) <= 0 })
}

// oneWay tells of TCP of which only one direction passes here.
func oneWay(_ *Engine, in *Input) []Finding {
	s := in.Survey
	if s == nil || s.OneWay < 5 {
		return nil
	}
	f := Finding{Name: "one-way", Severity: Warning, Place: InFlows, Amount: int64(s.OneWay), Filter: "tcp and state established and unreplied"}
	f.Text = fmt.Sprintf("%s%s TCP flows are established without a packet back: only one direction passes this machine, or replies are looked up in another zone",
		s.some(), count(s.OneWay))
	f.Cures = []Cure{{"see which way each takes", "ctview list --group-by src,dst '" + f.Filter + "'" + netnsFlag(in)},
		{"the route of the replies, on the hosts and routers beside this one; zones of both directions, in the rules here", ""}}
	return []Finding{f}
}

// offloaded tells of flows whose counters and timeouts stand.
func offloaded(_ *Engine, in *Input) []Finding {
	s := in.Survey
	if s == nil || s.Offloaded == 0 {
		return nil
	}
	return []Finding{{Name: "offloaded", Place: InFlows, Amount: int64(s.Offloaded), Filter: "offload",
		Text: fmt.Sprintf("%s%s in a flowtable: what they move is not counted here unless the flowtable has \"counter\", and their timeouts stand",
			s.some(), plural(s.Offloaded, "flow")),
		Cures: []Cure{{"add the line \"counter\" to the flowtable in the ruleset and load it again", ""}}}}
}
