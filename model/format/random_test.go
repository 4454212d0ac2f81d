package format

import (
	"math/rand/v2"

	"ctview/model"
)

// testProtos are the protocols whose tuples differ, and two that conntrack does not know.
var testProtos = []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoUDPLite, model.ProtoSCTP, model.ProtoDCCP,
	model.ProtoICMP, model.ProtoICMPv6, model.ProtoGRE, 50, 0, 255}

// hostile are strings that a kernel could be made to send and that no output may pass on as they are.
var hostile = []string{"ftp", "", "a b", `q"uo\te`, "\x1b[31mred", "bad\xff\xfe", "<&>", "=1+1", "@x", "-2", "line\nbreak",
	"\u202egpj", "\u009b2J", "ünï", "a,b;c", "\x00", "\u2028", "\ufffd", "'quoted'", "]]>"}

// randomEvent makes an event in which anything can be set, whether or not a kernel would.
func randomEvent(seed uint64) *model.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	e := &model.Event{Kind: model.Kind(1 + r.IntN(4)), Has: model.Fields(r.Uint32()), PortID: r.Uint32() * r.Uint32N(2)}
	e.Has |= model.HasOrig | model.HasReply
	f := &e.Flow
	f.Family = model.IPv4
	if r.IntN(2) == 0 {
		f.Family = model.IPv6
	}
	f.Proto = testProtos[r.IntN(len(testProtos))]
	for _, a := range []*[16]byte{&f.Src, &f.Dst, &f.ReplySrc, &f.ReplyDst, &e.Extra.Master.Src, &e.Extra.Master.Dst} {
		*a = randomAddr(r, f.Family)
	}
	f.Sport, f.Dport = uint16(r.Uint32()), uint16(r.Uint32())
	f.ReplySport, f.ReplyDport = uint16(r.Uint32()), uint16(r.Uint32())
	f.Zone, f.ZoneDir = uint16(r.Uint32()), model.ZoneDir(r.IntN(3))
	f.State = model.State(r.IntN(12))
	f.ID, f.Mark = r.Uint32(), r.Uint32N(50)
	f.Status = model.Status(r.Uint32())
	f.Helper = model.HelperFor([]byte(hostile[r.IntN(len(hostile))]))
	for dir := range 2 {
		f.Packets[dir], f.Bytes[dir] = r.Uint64()>>r.UintN(64), r.Uint64()>>r.UintN(64)
		e.TCP.WScale[dir], e.TCP.Flags[dir] = uint8(r.Uint32()), uint8(r.Uint32())
		e.SCTP.VTag[dir] = r.Uint32()
	}
	for range r.IntN(4) {
		e.Extra.Labels.Set(r.IntN(model.LabelBits))
	}
	if r.IntN(2) == 0 {
		e.Extra.Route = model.Route{In: hostile[r.IntN(len(hostile))], Out: hostile[r.IntN(len(hostile))]}
	}
	if e.Extra.Owner.Known = r.IntN(2) == 0; e.Extra.Owner.Known {
		for i := range e.Extra.Owner.Ends {
			if e.Extra.Owner.Here[i] = r.IntN(2) == 0; e.Extra.Owner.Here[i] && r.IntN(4) > 0 {
				text := func() string { return hostile[r.IntN(len(hostile))] }
				e.Extra.Owner.Ends[i] = &model.Holder{PID: r.Int32N(3), More: r.Int32N(3), Proc: text(), UID: r.Uint32(), User: text(), Cgroup: text(), Container: text()}
			}
		}
	}
	e.Extra.Secctx = hostile[r.IntN(len(hostile))]
	e.Extra.Master.Proto, e.Extra.Master.Family = f.Proto, f.Family
	e.Extra.MasterZone = uint16(r.Uint32N(2) * r.Uint32())
	e.Timeout, e.Use, e.Secmark = r.Uint32(), r.Uint32N(5), r.Uint32()
	e.Start, e.Stop, e.Time = r.Int64N(2e18), r.Int64N(2e18)*r.Int64N(2), r.Int64N(2e18)
	return e
}

func randomAddr(r *rand.Rand, fam model.Family) (a [16]byte) {
	if fam == model.IPv4 {
		a[10], a[11] = 0xff, 0xff
		for i := 12; i < 16; i++ {
			a[i] = byte(r.Uint32())
		}
		return a
	}
	for i := range a {
		a[i] = byte(r.Uint32()) * byte(r.IntN(2))
	}
	return a
}

// randomExpect is randomEvent for expectations.
func randomExpect(seed uint64) *model.Expect {
	r := rand.New(rand.NewPCG(seed, 2))
	x := &model.Expect{Kind: model.Kind(1 + r.IntN(4)), PortID: r.Uint32() * r.Uint32N(2), Zone: uint16(r.Uint32()),
		ID: r.Uint32(), Timeout: r.Uint32(), Class: r.Uint32N(3), Flags: model.ExpectFlags(r.Uint32N(16)),
		Helper: hostile[r.IntN(len(hostile))], Fn: hostile[r.IntN(len(hostile))], NATDir: r.Uint32N(2),
		HasTimeout: r.IntN(2) == 0, HasZone: r.IntN(2) == 0, HasClass: r.IntN(2) == 0, HasFlags: r.IntN(2) == 0}
	fam := []model.Family{model.IPv4, model.IPv6}[r.IntN(2)]
	proto := testProtos[r.IntN(len(testProtos))]
	for _, t := range []*model.Tuple{&x.Tuple, &x.Mask, &x.Master, &x.NAT} {
		*t = model.Tuple{Src: randomAddr(r, fam), Dst: randomAddr(r, fam), Sport: uint16(r.Uint32()), Dport: uint16(r.Uint32()),
			Proto: proto, Family: fam}
	}
	if r.IntN(2) == 0 {
		x.NAT = model.Tuple{}
	}
	return x
}
