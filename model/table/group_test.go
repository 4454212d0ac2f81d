package table

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/filter"
)

func randomKeys(rng *rand.Rand) []GroupKey {
	var keys []GroupKey
	if rng.IntN(6) == 0 {
		return []GroupKey{natPorts}
	}
	for range 1 + rng.IntN(MaxGroupKeys) {
		k := GroupKey{Col: groupColumns[rng.IntN(len(groupColumns))]}
		if k.isAddr() && rng.IntN(2) == 0 {
			k.Len4, k.Len6 = uint8(1+rng.IntN(32)), uint8(1+rng.IntN(128))
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// slowGroups puts flows into groups by the texts that stand for their values.
func slowGroups(tab *Table, q *GroupQuery) map[string]GroupSum {
	groups := map[string]GroupSum{}
	since := max(q.Now-newWindow, tab.stats.LoadedAt)
	tab.Each(func(f *model.Flow, x *model.Extra) bool {
		if q.Filter != nil && !q.Filter.Match(f, x, q.Now) {
			return true
		}
		id := ""
		for _, k := range q.Keys {
			id += k.label(tab.now(), f) + "|" + k.filter(tab.now(), f) + "|"
		}
		s := groups[id]
		s.Flows++
		s.Unreplied += b2i(f.Status&model.StatusSeenReply == 0)
		if f.First > since {
			s.NewPerSec += 1 / max(float64(q.Now-since)/float64(second), 1)
		}
		if f.Known&model.KnownCounters != 0 {
			s.KnownBytes++
			s.Bytes += f.Bytes[0] + f.Bytes[1]
			s.Packets += f.Packets[0] + f.Packets[1]
		}
		if f.Known&model.KnownRate != 0 {
			s.KnownRate++
			s.Rate += float64(f.Rate[0] + f.Rate[1])
		}
		groups[id] = s
		return true
	})
	return groups
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(math.Abs(a), 1) }

func sameSum(a, b GroupSum) bool {
	if !near(a.NewPerSec, b.NewPerSec) || !near(a.Rate, b.Rate) {
		return false
	}
	a.NewPerSec, a.Rate, b.NewPerSec, b.Rate = 0, 0, 0, 0
	return a == b
}

func TestGroup(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 5))
		tab := randomTable(rng, 1+rng.IntN(1500))
		var v GroupView
		for range 8 {
			q := &GroupQuery{Keys: randomKeys(rng), Limit: 1 << 20, Now: at0 + 3*second, Sort: GroupColumn(rng.IntN(int(numGroupColumns)))}
			q.Desc = rng.IntN(2) == 0
			if rng.IntN(3) > 0 {
				q.Ranges = &PortRanges{rangesOf}
			}
			if rng.IntN(3) == 0 {
				q.Filter, _ = filter.Parse("tcp or zone 1", filter.Options{})
			}
			tab.Group(q, &v)
			if err := checkGroups(tab, q, &v); err != nil {
				t.Fatalf("seed %d, by %v sort %v: %v", seed, q.Keys, q.Sort, err)
			}
			if err := checkGroupWindow(rng, tab, q, &v); err != nil {
				t.Fatalf("seed %d, by %v sort %v: %v", seed, q.Keys, q.Sort, err)
			}
		}
	}
}

func checkGroups(tab *Table, q *GroupQuery, v *GroupView) error {
	want := slowGroups(tab, q)
	if v.Groups != len(want) || len(v.Rows) != len(want) {
		return fmt.Errorf("%d groups, %d rows, want %d", v.Groups, len(v.Rows), len(want))
	}
	seen := map[uint64]bool{}
	for i, r := range v.Rows {
		var id strings.Builder
		f := sampleOf(tab, r.ID)
		for n, k := range q.Keys {
			id.WriteString(r.Values[n] + "|" + k.filter(tab.now(), f) + "|")
		}
		if !sameSum(r.GroupSum, want[id.String()]) || seen[r.ID] {
			return fmt.Errorf("%s: %+v, want %+v", id.String(), r.GroupSum, want[id.String()])
		}
		seen[r.ID] = true
		if i > 0 && outOfOrder(q, &v.Rows[i-1], &r) {
			return fmt.Errorf("rows %d and %d are out of order", i-1, i)
		}
		if i < 20 {
			if err := checkGroupFilter(tab, q, &r); err != nil {
				return err
			}
		}
	}
	return nil
}

// rangesOf makes up what rules give: nothing that is known for SCTP, two ranges for UDP.
func rangesOf(f *model.Flow) []model.PortRange {
	return map[model.Proto][]model.PortRange{
		model.ProtoTCP: {{Lo: 100, Hi: 399}}, model.ProtoUDP: {{Lo: 1, Hi: 65535}, {Lo: uint16(f.ReplySport) + 1, Hi: 700}},
	}[f.Proto]
}

// slowPorts counts the ports of each range that the flows of a group hold.
func slowPorts(f *model.Flow, flows []model.Flow) (most NATPorts) {
	if !f.SNAT() || !f.Proto.HasPorts() {
		return NATPorts{}
	}
	for _, r := range rangesOf(f) {
		held := map[uint16]bool{}
		for i := range flows {
			if p := flows[i].ReplyDport; r.Lo <= p && p <= r.Hi {
				held[p] = true
			}
		}
		if x := (NATPorts{r, len(held)}); x.Share() > most.Share() {
			most = x
		}
	}
	return most
}

func sampleOf(tab *Table, id uint64) *model.Flow {
	n, _ := tab.groups.find(id)
	return tab.flows.one()(tab.groups.accs[n].sample)
}

// checkGroupFilter holds the filter text of a group to its promise.
func checkGroupFilter(tab *Table, q *GroupQuery, r *GroupRow) error {
	f, err := filter.Parse(r.Filter, filter.Options{})
	if err != nil {
		return fmt.Errorf("%s: %w", r.Filter, err)
	}
	flows, ports := 0, map[uint16]int{}
	var all []model.Flow
	tab.Each(func(fl *model.Flow, x *model.Extra) bool {
		if f.Match(fl, x, q.Now) && (q.Filter == nil || q.Filter.Match(fl, x, q.Now)) {
			flows++
			all = append(all, *fl)
			if fl.Proto.HasPorts() {
				ports[fl.Dport]++
			}
		}
		return true
	})
	if flows != r.Flows {
		return fmt.Errorf("%q matches %d flows, its group has %d", r.Filter, flows, r.Flows)
	}
	want := NATPorts{}
	if ByNATPorts(q.Keys) && q.Ranges != nil {
		want = slowPorts(&all[0], all)
	}
	if r.NATPorts != want {
		return fmt.Errorf("%q: %+v, want %+v", r.Filter, r.NATPorts, want)
	}
	for p, n := range ports {
		if n*2 > flows && !byPort(q.Keys) && (r.TopDport != p || r.TopFlows != n) {
			return fmt.Errorf("%q: top port %d of %d flows, want %d of %d", r.Filter, r.TopDport, r.TopFlows, p, n)
		}
	}
	if r.TopFlows > 0 && ports[r.TopDport] != r.TopFlows {
		return fmt.Errorf("%q: %d flows to port %d, want %d", r.Filter, r.TopFlows, r.TopDport, ports[r.TopDport])
	}
	return nil
}

func outOfOrder(q *GroupQuery, a, b *GroupRow) bool {
	x, xok := metricOf(q.Sort, a)
	y, yok := metricOf(q.Sort, b)
	switch {
	case !xok || !yok:
		return !xok && yok
	case q.Desc:
		return x < y
	}
	return x > y
}

func metricOf(c GroupColumn, r *GroupRow) (float64, bool) {
	switch c {
	case GroupFlows:
		return float64(r.Flows), true
	case GroupUnreplied:
		return float64(r.Unreplied), true
	case GroupNew:
		return r.NewPerSec, true
	case GroupRate:
		return r.Rate, r.KnownRate > 0
	case GroupBytes:
		return float64(r.Bytes), r.KnownBytes > 0
	case GroupPackets:
		return float64(r.Packets), r.KnownBytes > 0
	case GroupUsed:
		return r.Share(), r.Share() >= 0
	}
	return 0, true
}

// checkGroupWindow asks for a window and an anchor, given all rows.
func checkGroupWindow(rng *rand.Rand, tab *Table, q *GroupQuery, all *GroupView) error {
	w := *q
	w.Limit, w.Offset = rng.IntN(20), rng.IntN(all.Groups+1)
	at := -1
	if all.Groups > 0 {
		at = rng.IntN(all.Groups)
		w.HasAnchor, w.Anchor = true, all.Rows[at].ID
	}
	var v GroupView
	tab.Group(&w, &v)
	if v.AnchorAt != at {
		return fmt.Errorf("anchor at %d, want %d", v.AnchorAt, at)
	}
	if v.Offset != max(0, min(w.Offset, all.Groups-w.Limit)) {
		return fmt.Errorf("offset %d of %d", v.Offset, all.Groups)
	}
	for i, r := range v.Rows {
		if want := all.Rows[v.Offset+i]; r.ID != want.ID || r.Filter != want.Filter {
			return fmt.Errorf("row %d of the window is %q, want %q", i, r.Filter, want.Filter)
		}
	}
	return nil
}

func TestParseGroupKeys(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "src", want: "src"},
		{in: "SRC, dport", want: "src,dport"},
		{in: "src/24", want: "src/24"},
		{in: "dst/64", want: "dst/64"},
		{in: "src/24/64", want: "src/24"},
		{in: "src/32/48", want: "src/48"},
		{in: "reply_dst/16/48", want: "reply-dst/16/48"},
		{in: "nat", want: "nat"},
		{in: "NAT-ports", want: "nat-ports"},
		{in: "nat-ports,src", err: "nat-ports stands alone: it is address, protocol and destination already"},
		{in: "sorce", err: `unknown column "sorce": did you mean src?`},
		{in: "bytes", err: "cannot group by bytes: its values are as many as the flows"},
		{in: "zone/3", err: "zone has no prefixes"},
		{in: "src/129", err: `bad prefix length in "src/129": want 1 to 32, or to 128 for IPv6`},
		{in: "src/0", err: `bad prefix length in "src/0": want 1 to 32, or to 128 for IPv6`},
		{in: "src/33/64", err: `bad prefix lengths in "src/33/64": want src/24/64, IPv4 first`},
		{in: "src,src", err: "src is there twice"},
		{in: "nat,dst,dport,proto", want: "nat,dst,dport,proto"},
		{in: "src,dst,zone,proto,dport", err: "5 keys to group by: at most 4"},
	} {
		keys, err := ParseGroupKeys(tt.in)
		var got []string
		for _, k := range keys {
			got = append(got, k.String())
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if strings.Join(got, ",") != tt.want || text != tt.err {
			t.Errorf("%q: %v, %q; want %q, %q", tt.in, got, text, tt.want, tt.err)
		}
	}
	for _, c := range GroupSorts() {
		if got, err := ParseGroupColumn(c.String()); err != nil || got != c {
			t.Errorf("ParseGroupColumn(%q) = %v, %v", c, got, err)
		}
	}
	if _, err := ParseGroupColumn("x"); err == nil {
		t.Error("ParseGroupColumn takes x")
	}
}
