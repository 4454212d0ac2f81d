package table

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/filter"
)

// randomTable returns a table of about n flows of all sorts, with holes in the slab, and values that often agree.
func randomTable(rng *rand.Rand, n int) *Table {
	t := New()
	if rng.IntN(3) > 0 {
		t.SetOwners(randomOwners(rng))
	}
	if rng.IntN(3) > 0 {
		t.SetRoutes(randomRoutes(rng))
	}
	const now = 1e18
	for i := range n * 5 / 4 {
		e := randomEvent(rng, i)
		t.Apply(now+int64(i), []model.Event{e})
		if rng.IntN(3) == 0 && e.Flow.Known&model.KnownCounters != 0 {
			e.Kind = model.Dump
			e.Flow.CountersAt += second
			e.Flow.Bytes[0] += uint64(rng.IntN(3)) * 1000
			t.Apply(now+second, []model.Event{e})
		}
		if rng.IntN(5) == 0 {
			e.Kind = model.Destroy
			t.Apply(now+second, []model.Event{e})
		}
	}
	return t
}

func randomEvent(rng *rand.Rand, i int) model.Event {
	protos := []model.Proto{model.ProtoTCP, model.ProtoTCP, model.ProtoUDP, model.ProtoICMP, model.ProtoSCTP, model.ProtoGRE, 255}
	e := model.Event{Kind: model.Dump, Has: model.HasID | model.HasReply | model.HasStatus | model.HasMark}
	f := &e.Flow
	f.Proto, f.Family = protos[rng.IntN(len(protos))], model.IPv4
	f.Src = [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: byte(rng.IntN(9))}
	f.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 192, 14: byte(rng.IntN(3)), 15: byte(rng.IntN(3))}
	if rng.IntN(3) == 0 {
		f.Family = model.IPv6
		f.Src = [16]byte{0: 0x20, 7: byte(rng.IntN(6)), 15: byte(rng.IntN(12))}
		f.Dst = [16]byte{0: 0xfe, 15: byte(rng.IntN(4))}
	}
	f.Sport, f.Dport, f.Zone = uint16(i), uint16(rng.IntN(4)), uint16(rng.IntN(3))
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = f.Dst, f.Src, f.Dport, f.Sport
	if rng.IntN(4) == 0 {
		f.ReplyDst[15] = 200
	}
	f.ID, f.Mark, f.Status = rng.Uint32(), rng.Uint32N(3), model.Status(rng.Uint32N(1<<16))
	if model.StateNames(f.Proto) != nil && rng.IntN(8) > 0 {
		f.State, f.Known, e.Has = model.State(rng.IntN(10)), model.KnownState, e.Has|model.HasProtoinfo
	}
	if rng.IntN(4) == 0 {
		f.Helper = model.HelperFor([]byte([]string{"sip", "ftp", "pptp"}[rng.IntN(3)]))
	}
	if rng.IntN(4) > 0 {
		f.Expires, f.Known = 1e18+rng.Int64N(50)*second, f.Known|model.KnownTimeout
	}
	if rng.IntN(4) > 0 {
		f.Known |= model.KnownCounters
		f.CountersAt = 1e18
		f.Bytes = [2]uint64{uint64(rng.IntN(40)), uint64(rng.IntN(2))}
		f.Packets = [2]uint64{uint64(rng.IntN(4)), uint64(rng.IntN(2))}
	}
	if rng.IntN(3) == 0 {
		f.First, f.Known = 1e18-rng.Int64N(99)*second, f.Known|model.KnownStart
	}
	if rng.IntN(6) == 0 {
		e.Has |= model.HasLabels | model.HasSecctx | model.HasMaster
		e.Extra.Labels[rng.IntN(16)] = byte(rng.IntN(4))
		e.Extra.Secctx = []string{"", "system_u:b", "system_u:a"}[rng.IntN(3)]
		e.Extra.Master = model.Tuple{Family: f.Family, Src: f.Src, Dst: f.Dst, Sport: uint16(rng.IntN(3))}
	}
	return e
}

// randomRoutes knows the way of some of randomEvent's flows.
func randomRoutes(rng *rand.Rand) *model.Routes {
	by := model.RouteBy{Mark: rng.IntN(2) == 0, Ports: rng.IntN(2) == 0}
	old := model.NewRoutes(by, nil)
	r := model.NewRoutes(by, old)
	for i := range 4000 {
		e := randomEvent(rng, rng.IntN(2000))
		names := []string{"", "eth0", "eth1", "enp0s31f6.4093", "enp0s31f6.4094"}
		way := model.Route{In: names[rng.IntN(len(names))], Out: names[rng.IntN(len(names))]}
		if i%2 == 0 {
			old.Add([]model.RouteKey{by.Key(&e.Flow)}, []model.Route{way})
		} else {
			r.Add([]model.RouteKey{by.Key(&e.Flow)}, []model.Route{way})
		}
	}
	return r
}

// randomOwners knows who holds some sockets of randomEvent's flows.
func randomOwners(rng *rand.Rand) *model.Owners {
	var local []netip.Addr
	var sockets []model.BoundSocket
	for _, a := range []string{"10.0.0.0", "10.0.0.3", "192.0.1.1", "192.0.2.0", "fe00::1", "2000::7"} {
		addr := netip.MustParseAddr(a)
		if rng.IntN(3) == 0 {
			continue
		}
		local = append(local, addr)
		for port := range uint16(4) {
			pid := int32(rng.IntN(3) * 500)
			h := &model.Holder{PID: pid, UID: uint32(pid), User: []string{"root", "500", "www-data"}[pid/500], Cgroup: []string{"", "/a", "/docker/b"}[pid/500]}
			if pid > 0 {
				h.Proc = []string{"", "sshd", "a system of many words, longer than a key"}[pid/500]
			}
			for _, p := range []model.Proto{model.ProtoTCP, model.ProtoUDP} {
				sockets = append(sockets, model.BoundSocket{Proto: p, Local: netip.AddrPortFrom(addr, port), Holder: h})
				from := netip.AddrPortFrom(addr, uint16(rng.IntN(100)))
				sockets = append(sockets, model.BoundSocket{Proto: p, Local: from, Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.1.1"), port), Holder: h})
			}
		}
	}
	return model.NewOwners(local, nil, sockets)
}

// compareRows is the order of a column said in the plainest way; unknown values are dealt with by the caller.
func compareRows(c model.Column, a, b *model.Row) int {
	x, y := &a.Flow, &b.Flow
	num := func(get func(*model.Flow) uint64) int { return cmp.Compare(get(x), get(y)) }
	rate := func(get func(*model.Flow) float32) int { return cmp.Compare(get(x), get(y)) }
	addr := func(p, q [16]byte, pp, qp uint16) int {
		return cmp.Or(cmp.Compare(x.Family, y.Family), bytes.Compare(p[:], q[:]), cmp.Compare(pp, qp))
	}
	switch c {
	case model.ColProto:
		return cmp.Compare(x.Proto, y.Proto)
	case model.ColState:
		return strings.Compare(strings.ToLower(x.StateText()), strings.ToLower(y.StateText()))
	case model.ColSrc:
		return addr(x.Src, y.Src, x.Sport, y.Sport)
	case model.ColDst:
		return addr(x.Dst, y.Dst, x.Dport, y.Dport)
	case model.ColReplySrc:
		return addr(x.ReplySrc, y.ReplySrc, x.ReplySport, y.ReplySport)
	case model.ColReplyDst:
		return addr(x.ReplyDst, y.ReplyDst, x.ReplyDport, y.ReplyDport)
	case model.ColSport:
		return cmp.Compare(x.Sport, y.Sport)
	case model.ColDport:
		return cmp.Compare(x.Dport, y.Dport)
	case model.ColReplySport:
		return cmp.Compare(x.ReplySport, y.ReplySport)
	case model.ColReplyDport:
		return cmp.Compare(x.ReplyDport, y.ReplyDport)
	case model.ColNAT:
		return num(func(f *model.Flow) (n uint64) { return uint64(natClass(f)) })
	case model.ColZone:
		return cmp.Compare(x.Zone, y.Zone)
	case model.ColHelper:
		return strings.Compare(x.Helper.String(), y.Helper.String())
	case model.ColFlags:
		return num(func(f *model.Flow) (n uint64) { return uint64(flagBits(f)) })
	case model.ColTimeout:
		return cmp.Compare(x.Expires, y.Expires)
	case model.ColRate:
		return rate(func(f *model.Flow) float32 { return f.Rate[0] + f.Rate[1] })
	case model.ColOrigRate:
		return rate(func(f *model.Flow) float32 { return f.Rate[0] })
	case model.ColReplyRate:
		return rate(func(f *model.Flow) float32 { return f.Rate[1] })
	case model.ColPPS:
		return rate(func(f *model.Flow) float32 { return f.PacketRate[0] + f.PacketRate[1] })
	case model.ColBytes:
		return num(func(f *model.Flow) uint64 { return f.Bytes[0] + f.Bytes[1] })
	case model.ColPackets:
		return num(func(f *model.Flow) uint64 { return f.Packets[0] + f.Packets[1] })
	case model.ColOrigBytes:
		return num(func(f *model.Flow) uint64 { return f.Bytes[0] })
	case model.ColReplyBytes:
		return num(func(f *model.Flow) uint64 { return f.Bytes[1] })
	case model.ColOrigPackets:
		return num(func(f *model.Flow) uint64 { return f.Packets[0] })
	case model.ColReplyPackets:
		return num(func(f *model.Flow) uint64 { return f.Packets[1] })
	case model.ColAvgPkt:
		avg := func(f *model.Flow) float64 {
			return float64(f.Bytes[0]+f.Bytes[1]) / float64(f.Packets[0]+f.Packets[1])
		}
		return cmp.Compare(avg(x), avg(y))
	case model.ColAge:
		return cmp.Compare(y.First, x.First)
	case model.ColStart:
		return cmp.Compare(x.First, y.First)
	case model.ColMark:
		return cmp.Compare(x.Mark, y.Mark)
	case model.ColID:
		return cmp.Compare(x.ID, y.ID)
	case model.ColFamily:
		return cmp.Compare(x.Family, y.Family)
	case model.ColCtState:
		return cmp.Compare(x.CtState(), y.CtState())
	case model.ColPhase:
		return cmp.Compare(x.Phase(), y.Phase())
	case model.ColStatus:
		return cmp.Compare(x.Status, y.Status)
	case model.ColLabels:
		return bytes.Compare(a.Extra.Labels[:], b.Extra.Labels[:])
	case model.ColSecctx:
		return strings.Compare(a.Extra.Secctx, b.Extra.Secctx)
	case model.ColMaster:
		m, n := &a.Extra.Master, &b.Extra.Master
		return cmp.Or(cmp.Compare(m.Family, n.Family), bytes.Compare(m.Src[:], n.Src[:]), cmp.Compare(m.Sport, n.Sport))
	case model.ColIif, model.ColOif:
		return strings.Compare(a.Extra.Route.Text(c), b.Extra.Route.Text(c))
	case model.ColPID:
		return slices.Compare(slowPIDs(a), slowPIDs(b))
	case model.ColProc, model.ColUser, model.ColCgroup:
		return cmp.Or(cmp.Compare(b2i(a.Extra.Owner.Forwarded()), b2i(b.Extra.Owner.Forwarded())), bytes.Compare(model.AppendOwner(nil, c, &a.Extra.Owner), model.AppendOwner(nil, c, &b.Extra.Owner)))
	}
	return 0
}

// slowPIDs reads what the column shows; forwarded flows are behind all others.
func slowPIDs(r *model.Row) (pids []int) {
	text := string(model.AppendOwner(nil, model.ColPID, &r.Extra.Owner))
	if text == "forwarded" {
		return []int{1 << 40}
	}
	for _, s := range strings.Split(text, ">") {
		n, _ := strconv.Atoi(s)
		pids = append(pids, n)
	}
	return append(pids, 0)[:2]
}

// lacks reports whether the flow has no value in a column.
func lacks(c model.Column, r *model.Row) bool {
	f := &r.Flow
	switch c {
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return len(model.AppendOwner(nil, c, &r.Extra.Owner)) == 0
	case model.ColIif, model.ColOif:
		return r.Extra.Route.Text(c) == ""
	case model.ColTimeout:
		return f.Known&model.KnownTimeout == 0
	case model.ColRate, model.ColOrigRate, model.ColReplyRate, model.ColPPS:
		return f.Known&model.KnownRate == 0
	case model.ColBytes, model.ColPackets, model.ColOrigBytes, model.ColReplyBytes, model.ColOrigPackets, model.ColReplyPackets:
		return f.Known&model.KnownCounters == 0
	case model.ColAvgPkt:
		return f.Known&model.KnownCounters == 0 || f.Packets[0]+f.Packets[1] == 0
	}
	return false
}

// slowRows sorts everything, in slot order where the column does not tell.
func slowRows(t *Table, q *Query) []model.Row {
	var rows []model.Row
	t.Each(func(f *model.Flow, x *model.Extra) bool { // in the order of the slots
		if q.Filter == nil || q.Filter.Match(f, x, q.Now) {
			rows = append(rows, model.Row{Flow: *f, Extra: *x})
		}
		return true
	})
	slices.SortStableFunc(rows, func(a, b model.Row) int {
		la, lb := lacks(q.Sort, &a), lacks(q.Sort, &b)
		switch {
		case la || lb:
			return cmp.Compare(b2i(la), b2i(lb))
		case q.Desc:
			return compareRows(q.Sort, &b, &a)
		}
		return compareRows(q.Sort, &a, &b)
	})
	return rows
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func checkView(t *Table, q *Query, v *View) error {
	t.View(q, v)
	all := slowRows(t, q)
	if v.Matched != len(all) || v.Total != t.Stats().Flows {
		return fmt.Errorf("matched %d of %d, want %d", v.Matched, v.Total, len(all))
	}
	unknown := 0
	t.Each(func(f *model.Flow, x *model.Extra) bool {
		_, u := q.Filter.MatchKnown(f, x, q.Now)
		unknown += b2i(u)
		return true
	})
	if v.Unknown != unknown {
		return fmt.Errorf("%d unknown, want %d", v.Unknown, unknown)
	}
	none := 0
	for i := range all {
		none += b2i(lacks(q.Sort, &all[i]))
	}
	if q.Limit > 0 && v.NoValue != none {
		return fmt.Errorf("%d without a value, want %d", v.NoValue, none)
	}
	at := -1
	if q.HasAnchor {
		at = slices.IndexFunc(all, func(r model.Row) bool { return r.Flow.Key == q.Anchor })
	}
	if v.AnchorAt != at {
		return fmt.Errorf("anchor at %d, want %d", v.AnchorAt, at)
	}
	off := q.Offset
	if q.Follow && at >= 0 {
		off = at - q.AnchorRow
	}
	off = max(0, min(off, len(all)-q.Limit))
	if v.Offset != off {
		return fmt.Errorf("offset %d, want %d", v.Offset, off)
	}
	want := all[off:min(off+q.Limit, len(all))]
	if !slices.Equal(v.Rows, want) {
		for i := range min(len(want), len(v.Rows)) {
			if v.Rows[i] != want[i] {
				return fmt.Errorf("row %d:\n got %+v\nwant %+v", i, v.Rows[i], want[i])
			}
		}
		return fmt.Errorf("%d rows, want %d", len(v.Rows), len(want))
	}
	return nil
}

var viewFilters = []*filter.Filter{
	viewFilter("tcp"), viewFilter("zone 2 and not tcp"), viewFilter("bytes > 20"), viewFilter("not timeout < 20s"),
	viewFilter("label 8 or age > 30s"), viewFilter("mark 9"), viewFilter("forwarded or proc sshd"), viewFilter("not user root"), viewFilter("label 8 or local or pid > 1"),
}

func viewFilter(text string) *filter.Filter {
	f, err := filter.Parse(text, filter.Options{})
	if err != nil {
		panic(err)
	}
	return f
}

func randomQuery(rng *rand.Rand, t *Table, n int) *Query {
	q := &Query{Sort: model.Column(rng.IntN(int(model.NumColumns))), Desc: rng.IntN(2) == 0, Now: 1e18 + 9e9, Limit: rng.IntN(60)}
	if rng.IntN(3) > 0 && n > 0 {
		q.Offset = rng.IntN(n)
	}
	if rng.IntN(2) == 0 {
		q.Filter = viewFilters[rng.IntN(len(viewFilters))]
	}
	if rng.IntN(2) == 0 {
		q.HasAnchor, q.Follow, q.AnchorRow = true, rng.IntN(2) == 0, rng.IntN(30)
		skip := rng.IntN(n + 1)
		t.Each(func(f *model.Flow, _ *model.Extra) bool {
			q.Anchor = f.Key
			skip--
			return skip > 0
		})
		if rng.IntN(9) == 0 {
			q.Anchor.Sport--
		}
	}
	return q
}

// TestView holds views of tables of up to 4,000 flows to the slow obvious way, while the tables change.
func TestView(t *testing.T) {
	for seed := range uint64(12) {
		changingViews(t, seed, int(3*seed*seed*seed), 80)
	}
}

// FuzzView does it with small tables: there are more of them in the same time.
func FuzzView(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Add(uint64(2), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { changingViews(t, seed, int(n), 8) })
}

func changingViews(t *testing.T, seed uint64, flows, queries int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	tab := randomTable(rng, flows)
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
	var v View
	for range queries {
		q := randomQuery(rng, tab, tab.Stats().Flows)
		if err := checkView(tab, q, &v); err != nil {
			t.Fatalf("seed %d, %+v: %v", seed, *q, err)
		}
		if rng.IntN(4) == 0 {
			e := randomEvent(rng, rng.IntN(1<<16))
			tab.Apply(1e18, []model.Event{e})
		}
	}
}

// TestViewEveryColumn pages through the whole table by every column, so that rows at the seams of windows are there
// once.
func TestViewEveryColumn(t *testing.T) {
	tab := randomTable(rand.New(rand.NewPCG(7, 7)), 3000)
	var v View
	for c := range model.NumColumns {
		for _, desc := range []bool{false, true} {
			q := &Query{Sort: c, Desc: desc, Limit: 250}
			want := slowRows(tab, q)
			var got []model.Row
			for q.Offset = 0; q.Offset < len(want); q.Offset += q.Limit {
				tab.View(q, &v)
				got = append(got, v.Rows[max(0, len(got)-v.Offset):]...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v desc %v: pages do not add up to the sorted table", c, desc)
			}
		}
	}
}

func TestViewCounts(t *testing.T) {
	tab := randomTable(rand.New(rand.NewPCG(1, 1)), 100)
	var v View
	tab.View(&Query{}, &v)
	if n := tab.Stats().Flows; v.Matched != n || v.Total != n || len(v.Rows) != 0 || v.AnchorAt != -1 {
		t.Errorf("matched %d, total %d, %d rows, anchor %d; want %d, %d, 0, -1", v.Matched, v.Total, len(v.Rows),
			v.AnchorAt, n, n)
	}
}

func TestViewDoesNotAllocate(t *testing.T) {
	tab := randomTable(rand.New(rand.NewPCG(1, 1)), 2000)
	var v View
	offset := 0
	n := testing.AllocsPerRun(50, func() {
		tab.Refuse(1, 0) // something changed
		offset = (offset + 31) % 1500
		tab.View(&Query{Sort: model.ColBytes, Desc: true, Limit: 100, Offset: offset}, &v)
	})
	if n > 3 { // the order's closures
		t.Errorf("%v allocations a view, want at most 3", n)
	}
}
