package finding

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"
)

const start = 1_000_000 * second

// A net makes flows for a table.
type flowNet struct {
	tab *table.Table
	evs []model.Event
	now int64

	samples []model.Sample
}

func newNet() *flowNet {
	n := &flowNet{tab: table.New(), now: start}
	n.tab.BeginDump(start)
	n.tab.EndDump(start, true)
	return n
}

// flow is one of kind "tcp", "udp"; edit changes it.
func (n *flowNet) flow(proto model.Proto, src, dst string, sport, dport int, edit ...func(*model.Flow)) {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	e := model.Event{Kind: model.New, Has: model.HasID | model.HasReply | model.HasStatus | model.HasProtoinfo | model.HasHelper, Time: n.now}
	f := &e.Flow
	f.Key = model.Key{Src: s.As16(), Dst: d.As16(), Sport: uint16(sport), Dport: uint16(dport), Proto: proto, Family: model.IPv4}
	if s.Is6() {
		f.Family = model.IPv6
	}
	r := f.Orig().Invert()
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = r.Src, r.Dst, r.Sport, r.Dport
	f.ID, f.Status, f.Known = uint32(len(n.evs)+1), model.StatusConfirmed, model.KnownCounters
	if proto == model.ProtoTCP {
		f.State, f.Known = model.TCPSynSent, f.Known|model.KnownState
	} else {
		e.Has &^= model.HasProtoinfo
	}
	for _, fn := range edit {
		fn(f)
	}
	if f.Known&model.KnownTimeout == 0 {
		f.Known, f.Expires = f.Known|model.KnownTimeout, n.now+120*second
	}
	n.evs = append(n.evs, e)
}

func open(f *model.Flow) {
	f.Status |= model.StatusSeenReply | model.StatusAssured
	if f.Proto == model.ProtoTCP {
		f.State, f.Known, f.Expires = model.TCPEstablished, f.Known|model.KnownTimeout, start+432000*second
	}
}

func closed(f *model.Flow)  { f.Status |= model.StatusSeenReply; f.State = model.TCPClose }
func synRecv(f *model.Flow) { f.Status |= model.StatusSeenReply; f.State = model.TCPSynRecv }

func moved(asked, answered uint64) func(*model.Flow) {
	return func(f *model.Flow) { open(f); f.Bytes = [2]uint64{asked, answered} }
}

func addr(base string, n int) string {
	a := netip.MustParseAddr(base).As16()
	binary.BigEndian.PutUint32(a[12:], binary.BigEndian.Uint32(a[12:])+uint32(n))
	if netip.MustParseAddr(base).Is4() {
		return netip.AddrFrom16(a).Unmap().String()
	}
	return netip.AddrFrom16(a).String()
}

// ordinary adds n flows of many hosts that are answered.
func (n *flowNet) ordinary(count int) {
	for i := range count {
		n.flow(model.ProtoTCP, addr("192.168.1.1", i%50), addr("198.51.100.1", i%20), 10000+i, 443, open)
	}
}

// input is what a machine without trouble tells of the net a while after its flows began.
func (n *flowNet) input(later int64) *Input {
	n.tab.Apply(n.now, n.evs)
	set := func(v int64) model.Setting { return model.Setting{Value: v, OK: true} }
	in := &Input{Now: n.now + later, HasSystem: true}
	s := &in.System
	s.Entries, s.EntriesOK = uint32(len(n.evs)), true
	s.Max, s.Buckets, s.Acct, s.Timestamp, s.Events = set(262144), set(262144), set(1), set(1), set(2)
	for st, v := range []int64{0, 120, 60, 432000, 120, 60, 30, 120, 10} {
		if v > 0 {
			s.TCPTimeouts[st] = set(v)
		}
	}
	s.UDPTimeout, s.UDPStream, s.ICMPTimeout, s.ICMPv6Timeout, s.GenericTimeout = set(30), set(120), set(30), set(30), set(600)
	in.Stats = n.tab.Stats()
	in.Seconds = steady(len(n.evs), 0)
	in.CPUs = []model.CPUStats{{Has: 0xffff}}
	in.Rules = Rules{Known: true, Chains: []Chain{{"nft", "inet", "fw4", "forward", "forward"}, {"iptables-nft", "ip", "filter", "INPUT", "input"}},
		Local: []netip.Addr{netip.MustParseAddr("198.51.100.254")}}
	return in
}

// steady is a minute's history that ends at n flows and grew by so many each second.
func steady(n, growth int) []table.Second {
	s := make([]table.Second, 61)
	for i := range s {
		s[i].At, s[i].Flows = start+int64(i)*second, n-(60-i)*growth
	}
	return s
}

// judge looks at the net's flows, and has e judge.
func (n *flowNet) judge(e *Engine, in *Input) []Finding {
	in.Survey = Look(n.tab, &Question{Now: in.Now, System: &in.System, Samples: n.samples})
	return e.Judge(in)
}

// TestFindings: each trouble is named with its numbers, and what is nearly one stays silent.
func TestFindings(t *testing.T) {
	tests := []struct {
		name string
		make func(n *flowNet)
		edit func(in *Input)
		want []string // "name: text" of each finding
	}{
		{name: "ordinary", make: func(n *flowNet) { n.ordinary(900) }},
		{name: "nothing", make: func(*flowNet) {}},
		{name: "syn flood by one source", make: func(n *flowNet) {
			n.ordinary(100)
			for i := range 7725 {
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.5", 1000+i, 443)
			}
		}, want: []string{"syn-flood-source: 10.1.0.9: 7,725 TCP flows half-open, 98 % of the new ones, 100 % of them to 203.0.113.5:443"}},
		{name: "syn flood by one source, near", make: func(n *flowNet) {
			n.ordinary(2000)
			for i := range 499 {
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.5", 1000+i, 443)
			}
		}},
		{name: "a busy client whose server is slow", make: func(n *flowNet) {
			n.ordinary(2000)
			for i := range 1500 {
				edit := open
				if i%2 == 0 {
					edit = synRecv
				}
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.5", 1000+i, 443, edit)
			}
		}},
		{name: "syn flood towards a target", make: func(n *flowNet) {
			for i := range 3000 {
				n.flow(model.ProtoTCP, addr("11.0.0.1", i), "203.0.113.5", 1000+i%100, 443, synRecv)
			}
			n.ordinary(100)
		}, want: []string{"syn-flood-target: 203.0.113.5:443: 3,000 TCP flows half-open from 3,000 sources, 100 % of all to it"}},
		{name: "syn flood towards a target, near: most are served", make: func(n *flowNet) {
			for i := range 3000 {
				edit := open
				if i%5 == 0 {
					edit = synRecv
				}
				n.flow(model.ProtoTCP, addr("11.0.0.1", i), "203.0.113.5", 1000+i%100, 443, edit)
			}
		}},
		{name: "syn flood towards a target, near: 499", make: func(n *flowNet) {
			for i := range 499 {
				n.flow(model.ProtoTCP, addr("11.0.0.1", i), "203.0.113.5", 1000+i%100, 443, synRecv)
			}
		}},
		{name: "scan of a network", make: func(n *flowNet) {
			n.ordinary(1000)
			for i := range 254 {
				n.flow(model.ProtoTCP, "10.1.0.7", addr("203.0.113.1", i), 40000, 22)
			}
		}, want: []string{"scan: 10.1.0.7: 254 flows unanswered or refused, 100 % of its own: it tries 254 addresses and 1 port"}},
		{name: "scan of ports, refused", make: func(n *flowNet) {
			n.ordinary(3000)
			for i := range 1000 {
				n.flow(model.ProtoTCP, "2001:db8::7", "2001:db8:1::1", 40000, 1+i, closed)
			}
		}, want: []string{"scan: 2001:db8::7: 1,000 flows unanswered or refused, 100 % of its own: it tries 1 address and 1,000 ports"}},
		{name: "scan, near: 99 targets", make: func(n *flowNet) {
			for i := range 99 {
				n.flow(model.ProtoTCP, "10.1.0.7", addr("203.0.113.1", i), 40000, 22)
			}
		}},
		{name: "scan, near: peers of which many answer", make: func(n *flowNet) {
			for i := range 600 {
				edit := open
				if i%3 != 0 {
					edit = func(*model.Flow) {}
				}
				n.flow(model.ProtoUDP, "10.1.0.7", addr("203.0.113.1", i), 6881, 6881, edit)
			}
		}},
		{name: "nobody answers", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range 7725 {
				n.flow(model.ProtoUDP, "10.1.0.9", "203.0.113.53", 1000+i, 53)
			}
		}, want: []string{"unanswered: 10.1.0.9: 7,725 flows never answered, 89 % of the new ones, to 1 address and 1 port"}},
		{name: "nobody answers, near: a small part of a large table", make: func(n *flowNet) {
			n.ordinary(9000)
			for i := range 900 {
				n.flow(model.ProtoUDP, "10.1.0.9", "203.0.113.53", 1000+i, 53)
			}
		}},
		{name: "one host has the table", make: func(n *flowNet) {
			n.ordinary(4000)
			for i := range 12000 {
				n.flow(model.ProtoTCP, "10.1.0.9", addr("203.0.113.1", i%40), 1000+i, 443, open)
			}
		}, want: []string{"one-host: 10.1.0.9 has 12,000 flows, 75 % of all and 4 % of what the table can hold"}},
		{name: "one host has the table, near: a small table", make: func(n *flowNet) {
			for i := range 10000 {
				n.flow(model.ProtoTCP, "10.1.0.9", addr("203.0.113.1", i%40), 1000+i, 443, open)
			}
		}},
		{name: "one host has the table, near: less than half", make: func(n *flowNet) {
			n.ordinary(12100)
			for i := range 12000 {
				n.flow(model.ProtoTCP, "10.1.0.9", addr("203.0.113.1", i%40), 1000+i, 443, open)
			}
		}},
		{name: "amplification", make: func(n *flowNet) {
			n.ordinary(100)
			for i := range 50 {
				n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1000+i, 53, moved(5000, 250_000))
			}
			n.flow(model.ProtoUDP, "192.0.2.67", "198.51.100.254", 1000, 53, moved(50, 500))
		}, want: []string{"udp-amplification: 198.51.100.254:53 (dns) answered 250k with 12.5M, 99 % of it to 192.0.2.66: somebody may be using it against that address"}},
		{name: "amplification, near: many are served", make: func(n *flowNet) {
			for i := range 200 {
				n.flow(model.ProtoUDP, addr("192.0.2.1", i), "198.51.100.254", 1000, 53, moved(5000, 100_000))
			}
		}},
		{name: "amplification, near: a video", make: func(n *flowNet) {
			for i := range 20 {
				n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1000+i, 443, moved(5000, 9_000_000))
			}
		}},
		{name: "full", edit: func(in *Input) { in.System.Entries = 250000 },
			want: []string{"table-filling: the table is 95 % full: 250,000 of 262,144 entries"}},
		{name: "filling", edit: func(in *Input) { in.System.Entries, in.Seconds = 200000, steady(200000, 190) },
			want: []string{"table-filling: the table is 76 % full: 200,000 of 262,144 entries, 190 more each second, full in 5m27s"}},
		{name: "filling, near: half full and steady", edit: func(in *Input) { in.System.Entries = 205000 }},
		{name: "filling, near: fast and empty", edit: func(in *Input) { in.System.Entries, in.Seconds = 50000, steady(50000, 800) }},
		{name: "filling, near: slow", edit: func(in *Input) { in.System.Entries, in.Seconds = 140000, steady(140000, 20) }},
		{name: "events off", edit: func(in *Input) { in.System.Events.Value = 0 },
			want: []string{"events-off: nf_conntrack_events=0: " + EventsOff}},
		{name: "accounting and timestamps off", edit: func(in *Input) { in.System.Acct.Value, in.System.Timestamp.Value = 0, 0 },
			want: []string{"acct-off: nf_conntrack_acct=0: " + AcctOff, "timestamp-off: nf_conntrack_timestamp=0: " + TimestampOff}},
		{name: "settings that cannot be read", edit: func(in *Input) { in.System.Events, in.System.Acct = model.Setting{}, model.Setting{} }},
		{name: "flows without counters", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs[:20] {
				uncount(&n.evs[i].Flow)
			}
		}, want: []string{"uncounted: 20 of 900 flows have no counters: they began before nf_conntrack_acct was on, and no sum of bytes has them in"}},
		{name: "flows without counters, near: few", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs[:8] {
				uncount(&n.evs[i].Flow)
			}
		}},
		{name: "flows without counters, near: nothing is counted", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs {
				uncount(&n.evs[i].Flow)
			}
		}, edit: func(in *Input) { in.System.Acct.OK = false }},
		{name: "flows without counters, near: their NEW told none, and nothing has read them since", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs {
				n.evs[i].Flow.Known &^= model.KnownCounters
			}
		}},
		{name: "idle", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs[:300] {
				n.evs[i].Flow.Expires = start + 300000*second
			}
		}, want: []string{"idle-flows: 300 TCP flows are established and idle for more than a day, 33 % of all: they stay 5d after their last packet"}},
		{name: "idle, near: for less than a day", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs[:300] {
				n.evs[i].Flow.Expires = start + (432000-day+60)*second
			}
		}},
		{name: "idle, near: an acknowledgement is due", make: func(n *flowNet) {
			n.ordinary(900)
			for i := range n.evs[:300] {
				n.evs[i].Flow.Expires = n.now + 300*second
			}
		}},
		{name: "timeouts", edit: func(in *Input) {
			in.System.UDPStream.Value, in.System.TCPTimeouts[model.TCPEstablished].Value = 4*3600, 60
		}, want: []string{"timeout: nf_conntrack_tcp_timeout_established is 1m: connections that pause are cut",
			"timeout: nf_conntrack_udp_timeout_stream is 4h: a port stays with its first peer for so long, and dead paths with it"}},
		{name: "timeouts, near", edit: func(in *Input) {
			in.System.UDPStream.Value, in.System.TCPTimeouts[model.TCPEstablished].Value = 3600, 300
		}},
		{name: "ports of an address", make: func(n *flowNet) { n.ordinary(300); n.masked(64, 5000) }, edit: natRange(5000, 5063),
			want: []string{"nat-ports: 64 of 64 ports of 192.0.2.1 to 203.0.113.9:443 in use"}},
		{name: "ports of an address, near", make: func(n *flowNet) { n.ordinary(300); n.masked(57, 5000) }, edit: natRange(5000, 5063)},
		{name: "ports of an address, near: no range", make: func(n *flowNet) { n.ordinary(300); n.masked(2000, 5000) }},
		{name: "ports of an address, near: several destinations", make: func(n *flowNet) {
			n.masked(40, 5000)
			for i := range 40 {
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.10", 1000+i, 443, open, snat("192.0.2.1", 5000+i))
			}
		}, edit: natRange(5000, 5063)},
		{name: "one direction", make: func(n *flowNet) {
			n.ordinary(300)
			for i := range 5 {
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000+i, 443, open, silent)
			}
		}, want: []string{"one-way: 5 TCP flows are established without a packet back: only one direction passes this machine, or replies are looked up in another zone"}},
		{name: "one direction, near: few", make: func(n *flowNet) {
			for i := range 4 {
				n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000+i, 443, open, silent)
			}
		}},
		{name: "UDP to where a translation of before led", make: func(n *flowNet) {
			n.ordinary(30)
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1000, 514, silent, old(31), sent(10), dnat("10.5.0.3", 514))
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1001, 514, silent, old(900), sent(10000), dnat("10.5.0.3", 514))
		}, want: []string{"stale-udp: 2 UDP flows translated to 10.5.0.3:514, where no rule leads any more, without an answer: they began before, and live as long as they send"}},
		{name: "UDP to where a rule leads, and nobody answers", make: func(n *flowNet) {
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1000, 514, silent, old(900), sent(1000), dnat("10.5.0.3", 514))
		}, edit: func(in *Input) {
			in.Rules.Targets = []NATRule{{Lo: netip.MustParseAddr("10.5.0.2"), Hi: netip.MustParseAddr("10.5.0.4")}}
		}, want: []string{"stale-udp: 1 UDP flow translated to 10.5.0.3:514, which never answers: as long as they send, no other rule is asked"}},
		{name: "UDP to where a translation of before led, near", make: func(n *flowNet) {
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1000, 514, silent, old(29), sent(1000), dnat("10.5.0.3", 514)) // young
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1001, 514, silent, old(900), sent(9), dnat("10.5.0.3", 514))   // hardly used
			n.flow(model.ProtoUDP, "192.0.2.66", "198.51.100.254", 1002, 514, open, old(900), sent(900), dnat("10.5.0.3", 514))   // answered
			n.flow(model.ProtoUDP, "192.0.2.66", "10.5.0.3", 1003, 514, silent, old(900), sent(900))                              // not translated
		}},
		{name: "FTP without a helper, translated", make: func(n *flowNet) {
			n.ordinary(30)
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000, 21, open, snat("192.0.2.1", 1000))
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1001, 21, open, snat("192.0.2.1", 1001), helped("ftp"))
		}, want: []string{"helper-missing: 1 flow to tcp port 21 without a helper (ftp): connections that they open are new to the firewall, not RELATED, and NAT does not know them"}},
		{name: "FTP without a helper, near: it has one, is over, or was refused", make: func(n *flowNet) {
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000, 21, open, helped("ftp"))
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1001, 21, closed)
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1002, 21, silent)
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 21, 1003, open)
		}},
		{name: "answers are looked up in another zone", make: func(n *flowNet) { n.stray(3, 5, "SYN,ACK", false) },
			want: []string{"asymmetric: the answers to 3 half-open flows in zone 5 are INVALID, such as those to 10.1.0.9: they are looked up in another zone"}},
		{name: "answers are looked up in another zone, near: two", make: func(n *flowNet) { n.stray(2, 5, "SYN,ACK", false) }},
		{name: "answers pass elsewhere", make: func(n *flowNet) { n.stray(4, 0, "ACK", true) },
			want: []string{"asymmetric: 4 half-open flows go on INVALID, as if they had been answered, such as of 10.1.0.9: the answers do not pass this machine"}},
		{name: "answers pass elsewhere, near: the packets are old", make: func(n *flowNet) {
			n.stray(4, 0, "ACK", true)
			for i := range n.samples {
				n.samples[i].At -= 66 * second
			}
		}},
		{name: "answers pass elsewhere, near: the flows are open, and a packet fell out of a window", make: func(n *flowNet) {
			n.stray(4, 0, "ACK", false)
			for i := range n.evs {
				open(&n.evs[i].Flow)
			}
		}},
		{name: "only answers pass", make: func(n *flowNet) { n.stray(5, 0, "SYN,ACK", false); n.evs = nil; n.ordinary(30) },
			want: []string{"asymmetric: 5 answers of TCP for connections that did not begin here, such as to 10.1.0.9: only the way back passes this machine"}},
		{name: "only answers pass, near: they are of nothing that begins", make: func(n *flowNet) { n.stray(5, 0, "ACK", false); n.evs = nil; n.ordinary(30) }},
		{name: "offloaded", make: func(n *flowNet) {
			n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000, 443, open, func(f *model.Flow) { f.Status |= model.StatusOffload })
		}, want: []string{"offloaded: 1 flow in a flowtable: what they move is not counted here unless the flowtable has \"counter\", and their timeouts stand"}},
		{name: "another namespace", edit: func(in *Input) {
			in.Rules.Elsewhere = []Elsewhere{{"web", "nginx (pid 8)", 215000}, {"db", "", 200000}}
		}, want: []string{"other-namespace: namespace web (nginx (pid 8)) has 215,000 of 262,144 entries, 82 % of what it may have"}},
		{name: "a zone before NOTRACK", edit: func(in *Input) { in.Rules.Zoned = []Zoned{{"inet fw/raw", "inet fw/zones"}} },
			want: []string{"notrack-zoned: the NOTRACK rule in inet fw/raw does nothing for packets to which inet fw/zones gives a zone first"}},
		{name: "lost events", edit: func(in *Input) {
			in.Stats.Lost, in.Stats.LastLost, in.Stats.Stale = 1975, in.Now-3*second, true
		}, want: []string{"lost-events: 1,975 events lost, the last 3s ago: they came faster than they were read, and the table is not read again yet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet()
			n.now += 20 * second
			if tt.make != nil {
				tt.make(n)
			} else {
				n.ordinary(900)
			}
			in := n.input(5 * second)
			if tt.edit != nil {
				tt.edit(in)
			}
			got := n.judge(&Engine{}, in)
			var texts []string
			for _, f := range got {
				texts = append(texts, f.Name+": "+f.Text)
			}
			if strings.Join(texts, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(tt.want, "\n"))
			}
			for _, f := range got {
				n.proves(t, in, &f)
			}
		})
	}
}

func natRange(lo, hi uint16) func(*Input) {
	return func(in *Input) {
		a := netip.MustParseAddr("192.0.2.1")
		in.Rules.NAT = []NATRule{{Place: "inet nat/post", Lo: a, Hi: a, Ports: model.PortRange{Lo: lo, Hi: hi}, Widen: "nft replace …"}}
	}
}

// masked adds n flows whose source is translated to ports of 192.0.2.1 from one on.
func (n *flowNet) masked(count, from int) {
	for i := range count {
		n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000+i, 443, open, snat("192.0.2.1", from+i))
	}
}

func snat(to string, port int) func(*model.Flow) {
	return func(f *model.Flow) {
		f.Status |= model.StatusSrcNAT
		f.ReplyDst, f.ReplyDport = netip.MustParseAddr(to).As16(), uint16(port)
	}
}

func dnat(to string, port int) func(*model.Flow) {
	return func(f *model.Flow) {
		f.Status |= model.StatusDstNAT
		f.ReplySrc, f.ReplySport = netip.MustParseAddr(to).As16(), uint16(port)
	}
}

// stray adds n half-open flows of a zone, and for each an INVALID packet of its direction or the other.
func (n *flowNet) stray(count int, zone uint16, flags string, same bool) {
	for i := range count {
		n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.9", 1000+i, 443, func(f *model.Flow) { f.Zone = zone })
		f := &n.evs[len(n.evs)-1].Flow
		x := model.Sample{At: n.now + second, State: model.CtInvalid, Tuple: f.Reply(), HasPort: true, TCP: flags}
		if same {
			x.Tuple = f.Orig()
		}
		n.samples = append(n.samples, x)
	}
}

// uncount makes a flow that is older than the first dump, and was not counted then.
func uncount(f *model.Flow) {
	f.First, f.Known = start-second, f.Known&^model.KnownCounters|model.KnownStart
}

func silent(f *model.Flow) { f.Status &^= model.StatusSeenReply | model.StatusAssured }

func old(seconds int64) func(*model.Flow) {
	return func(f *model.Flow) { f.First, f.Known = start+25*second-seconds*second, f.Known|model.KnownStart }
}

func sent(packets uint64) func(*model.Flow) {
	return func(f *model.Flow) { f.Packets[0], f.Bytes[0] = packets, packets*100 }
}

func helped(name string) func(*model.Flow) {
	return func(f *model.Flow) { f.Helper = model.HelperFor([]byte(name)) }
}

// proves holds a finding's filter to the number that its sentence begins with.
func (n *flowNet) proves(t *testing.T, in *Input, f *Finding) {
	t.Helper()
	if f.Filter == "" {
		return
	}
	flt, err := filter.Parse(f.Filter, filter.Options{})
	if err != nil {
		t.Errorf("%s: filter %q: %v", f.Name, f.Filter, err)
		return
	}
	var v table.View
	n.tab.View(&table.Query{Filter: flt, Now: in.Now}, &v)
	if !strings.Contains(f.Text, count(v.Matched)) && f.Name != "udp-amplification" || v.Matched == 0 {
		t.Errorf("%s: %q matches %d flows, the sentence says %q", f.Name, f.Filter, v.Matched, f.Text)
	}
}

// TestCounters: what has grown stays told after it has stopped, milder, until it is acknowledged.
func TestCounters(t *testing.T) {
	n := newNet()
	n.ordinary(10)
	in, e := n.input(0), &Engine{}
	step := func(after int64, drop, failed uint32) string {
		in.Now += after
		in.CPUs = []model.CPUStats{{CPU: 0, Has: 0xffff}, {CPU: 1, Has: 0xffff}}
		in.CPUs[0].Values[statDrop], in.CPUs[1].Values[statInsertFailed] = drop, failed
		var s []string
		for _, f := range e.Judge(in) {
			if !e.Quiet(&f) {
				s = append(s, f.Severity.String()+" "+f.Name+" "+f.Text)
			}
		}
		return strings.Join(s, "\n")
	}
	const why = "no entry could be made for them: the table was full, or memory short"
	for i, s := range []struct {
		after        int64
		drop, failed uint32
		want         string
	}{
		{0, 0, 6, ""},
		{second, 8, 14, ""}, // eight are nobody's concern, and dropped because of that
		{second, 9, 14, ""}, // one, of which insert_failed was read too early
		{second, 9, 15, ""},
		{second, 13, 15, ""},
		{second, 13, 15, "severe drops 4 packets dropped, the last 0s ago: " + why},
		{59 * second, 13, 15, "severe drops 4 packets dropped, the last 59s ago: " + why},
		{second, 21, 23, "severe drops 4 packets dropped, the last 1m ago: " + why}, // eight more, in another minute
		{second, 21, 33, "warning drops 4 packets dropped, the last 1m ago: " + why + "\n" +
			"warning insert-failed 27 entries could not be put in, the last 0s ago: their tuple was taken: NAT found no free port, or two packets raced"},
	} {
		if got := step(s.after, s.drop, s.failed); got != s.want {
			t.Fatalf("step %d:\n%s\nwant:\n%s", i, got, s.want)
		}
	}
	for _, f := range e.Judge(in) {
		e.Acknowledge(&f)
	}
	if got := step(second, 22, 33) + step(second, 22, 33); got != "" {
		t.Errorf("acknowledged, and grown by a quarter: %s", got)
	}
	step(second, 24, 33)
	if got := step(second, 24, 33); !strings.HasPrefix(got, "severe drops 7 packets") {
		t.Errorf("acknowledged at 4, grown to 7: %q", got)
	}

	e = &Engine{}
	if got, want := step(0, 97, 90), "note drops 7 packets dropped since the namespace began, none in the last 0s: "+why; got != want {
		t.Errorf("first reading: %q, want %q", got, want)
	}
	if got := step(second, 92, 90); strings.Contains(got, "429") {
		t.Errorf("counters that went back: %q", got)
	}
}

// TestAcknowledge: what was acknowledged is quiet until it grows by half, gets worse, or comes back after half a minute.
func TestAcknowledge(t *testing.T) {
	in, e := newNet().input(0), &Engine{}
	worst := func(after int64, entries int) string {
		in.Now += after
		in.System.Entries = uint32(entries)
		if f := e.Worst(e.Judge(in)); f != nil {
			return f.Severity.String()
		}
		return ""
	}
	ack := func() {
		for _, f := range e.Judge(in) {
			e.Acknowledge(&f)
		}
	}
	begun := in.Now
	if got := worst(0, 215000); got != "warning" {
		t.Fatalf("82 %% full is %q", got)
	}
	in.Now += 7 * second
	if all := e.Judge(in); all[0].Since != begun {
		t.Errorf("since %d, want %d", all[0].Since, begun)
	}
	ack()
	if got := worst(second, 220000); got != "" {
		t.Errorf("acknowledged: %q", got)
	}
	if got := worst(second, 255000); got != "severe" {
		t.Errorf("worse: %q", got)
	}
	ack()
	worst(second, 100)
	if got := worst(29*second, 255000); got != "" {
		t.Errorf("back after 29 s: %q", got)
	}
	worst(second, 100)
	worst(31*second, 100)
	if got := worst(second, 255000); got != "severe" {
		t.Errorf("back after 31 s: %q", got)
	}
}

// TestCures: a cure is written for the packet filter of this machine, and for the namespace.
func TestCures(t *testing.T) {
	n := newNet()
	for i := range 600 {
		n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.5", 1000+i, 443)
		n.flow(model.ProtoTCP, "10.1.0.8", "198.51.100.254", 1000+i, 443)
		n.flow(model.ProtoTCP, "2001:db8::9", "2001:db8:1::1", 1000+i, 443)
	}
	in := n.input(0)
	cures := func() map[string]string {
		m := map[string]string{}
		for _, f := range n.judge(&Engine{}, in) {
			m[f.Subject] = f.Cures[0].Command
		}
		return m
	}
	check := func(want map[string]string) {
		t.Helper()
		got := cures()
		for k, w := range want {
			if got[k] != w {
				t.Errorf("cure for %s: %q, want %q", k, got[k], w)
			}
		}
	}
	check(map[string]string{
		"10.1.0.9":    "nft insert rule inet fw4 forward ip saddr 10.1.0.9 ct state new counter drop",
		"10.1.0.8":    "iptables-nft -t filter -I INPUT -s 10.1.0.8 -m conntrack --ctstate NEW -j DROP",
		"2001:db8::9": "nft insert rule inet fw4 forward ip6 saddr 2001:db8::9 ct state new counter drop",
	})
	in.Rules.Netns = "blue"
	in.Rules.Chains = []Chain{{"iptables-legacy", "ip", "filter", "FORWARD", "forward"}, {"iptables-legacy", "ip6", "filter", "FORWARD", "forward"}}
	check(map[string]string{
		"10.1.0.9":    "ip netns exec blue iptables-legacy -t filter -I FORWARD -s 10.1.0.9 -m conntrack --ctstate NEW -j DROP",
		"2001:db8::9": "ip netns exec blue ip6tables-legacy -t filter -I FORWARD -s 2001:db8::9 -m conntrack --ctstate NEW -j DROP",
	})
	in.Rules.Known = false
	check(map[string]string{"10.1.0.9": ""})
	in.Rules = Rules{Known: true, Chains: []Chain{{"nft", "ip", "my table; reboot", "f", "forward"}}}
	check(map[string]string{
		"10.1.0.9":    "nft insert rule ip 'my table; reboot' f ip saddr 10.1.0.9 ct state new counter drop",
		"2001:db8::9": "nft 'add table inet guard; add chain inet guard forward { type filter hook forward priority 0; }; add rule inet guard forward ip6 saddr 2001:db8::9 ct state new counter drop'",
	})
}

// TestLookSamples: of a large table a part is looked at, and what is said of a suspect is counted all the same.
func TestLookSamples(t *testing.T) {
	n := newNet()
	n.now += 20 * second
	for i := range 3 * sampled {
		n.flow(model.ProtoTCP, addr("11.0.0.1", i), addr("198.51.100.1", i%20), 10000+i, 443, open)
	}
	for i := range 60000 {
		n.flow(model.ProtoTCP, "10.1.0.9", "203.0.113.5", 1+i, 443)
	}
	in := n.input(0)
	in.System.Entries = 0
	for pass := range 4 {
		in.Survey = Look(n.tab, &Question{Now: in.Now, System: &in.System, Pass: pass})
		if s := in.Survey; s.Exact || s.Flows != len(n.evs) || s.New != len(n.evs) || s.NewUnanswered != 60000 {
			t.Fatalf("pass %d: exact %v, %d flows, %d new, %d of them unanswered; want false, %d, %d, 60000", pass, s.Exact, s.Flows, s.New,
				s.NewUnanswered, len(n.evs), len(n.evs))
		}
		if all := (&Engine{}).Judge(in); len(all) != 1 || !strings.HasPrefix(all[0].Text, "10.1.0.9: 60,000 TCP flows half-open") {
			t.Errorf("pass %d: %+v", pass, all)
		}
	}
}

// TestHeavy holds the summary to its promise: who comes up more than n/size times is in it, at most n/size too low.
func TestHeavy(t *testing.T) {
	h, n := newHeavy[int](10), 0
	for i := range 5000 {
		h.add(1000 + i) // each once
		n++
		if i%4 == 0 {
			h.add(1)
			n++
		}
	}
	if got := h.counts[1]; got < 1250-n/10 || got > 1250 || len(h.counts) > 10 {
		t.Errorf("of %d adds 1,250 of one key: %d, %d keys kept", n, got, len(h.counts))
	}
}

func BenchmarkLook(b *testing.B) {
	for _, bb := range []struct {
		name  string
		guilt int
	}{{"quiet", 0}, {"flood", 300_000}} {
		b.Run(bb.name, func(b *testing.B) {
			n := newNet()
			for i := range 1_000_000 - bb.guilt {
				n.flow(model.ProtoTCP, addr("11.0.0.1", i), addr("198.51.100.1", i%20), 10000+i, 443, open)
			}
			for i := range bb.guilt {
				n.flow(model.ProtoTCP, "10.1.0.9", addr("203.0.113.5", i>>16), 1+i, 443)
			}
			in := n.input(0)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				Look(n.tab, &Question{Now: in.Now, System: &in.System, Pass: i})
			}
		})
	}
}
