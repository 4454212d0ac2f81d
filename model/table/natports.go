package table

import (
	"fmt"
	"math"
	"strconv"

	"ctview/model"
	"ctview/model/filter"
)

// natPorts are groups by what a port of NAT is taken for: the kernel gives a flow a reply tuple that no other flow of the
// zone has (nf_nat_used_tuple), so towards one address and port of a destination each flow takes a port of the address
// that sources are translated to. The destination is the one that answers, where it is translated too.
var natPorts = GroupKey{Col: model.ColNAT, Ports: true}

// ByNATPorts reports whether the groups that keys make have NATPorts.
func ByNATPorts(keys []GroupKey) bool { return len(keys) == 1 && keys[0] == natPorts }

// PortRanges tells groups by nat-ports which ports the rules let NAT choose from. Two are the same if their address is.
type PortRanges struct {
	// Of returns the ranges of the rules that may have translated f, none where one of them is not known. It is called once
	// for each group, with the table locked; the caller keeps what it returns and does not change it.
	Of func(f *model.Flow) []model.PortRange
}

// A NATPorts is how far the ports of an address are used up towards a destination.
type NATPorts struct {
	Range model.PortRange // of several that rules give, the one that is used most; zero: not known
	Used  int             // ports of Range that flows hold
}

// Share is how much of the range is in use, from 0 to 1, and -1 where the range is not known.
func (p NATPorts) Share() float64 {
	if p.Range == (model.PortRange{}) {
		return -1
	}
	return float64(p.Used) / float64(p.Range.Size())
}

// A portAcc counts a group's ports in the ranges that they may be from.
type portAcc struct {
	ranges []model.PortRange
	used   [4]uint32
}

// newPortAcc is one for a group whose first flow is f. More ranges than it can count are none.
func newPortAcc(r *PortRanges, f *model.Flow) (a portAcc) {
	if r != nil && takesPort(f) {
		if a.ranges = r.Of(f); len(a.ranges) > len(a.used) {
			a.ranges = nil
		}
	}
	return a
}

func (a *portAcc) add(f *model.Flow) {
	for i, r := range a.ranges {
		if r.Contains(f.ReplyDport) {
			a.used[i]++
		}
	}
}

// most returns the range that is used most of those that there are.
func (a *portAcc) most() (p NATPorts) {
	for i, r := range a.ranges {
		if x := (NATPorts{r, int(a.used[i])}); x.Share() > p.Share() {
			p = x
		}
	}
	return p
}

// key is the share for sorting.
func (a *portAcc) key() uint64 {
	if len(a.ranges) == 0 {
		return noKey
	}
	return math.Float64bits(a.most().Share())
}

func takesPort(f *model.Flow) bool { return f.Proto.HasPorts() && f.SNAT() }

// replyZone is the zone in which a flow's answers are looked up, and NAT looks for a free tuple.
func replyZone(f *model.Flow) uint16 {
	if f.ZoneDir == model.ZoneOrig {
		return 0
	}
	return f.Zone
}

// natPortsValues tell groups by nat-ports apart. All flows that take no port are one group.
func natPortsValues() (vs []func(*model.Flow) groupVal) {
	for _, get := range []func(*model.Flow) groupVal{
		GroupKey{Col: model.ColReplyDst}.value(knower{}),
		GroupKey{Col: model.ColReplySrc}.value(knower{}),
		func(f *model.Flow) groupVal {
			return groupVal{hi: uint64(replyZone(f)), lo: uint64(f.ReplySport)<<8 | uint64(f.Proto), kind: 1}
		},
	} {
		vs = append(vs, func(f *model.Flow) groupVal {
			if !takesPort(f) {
				return groupVal{}
			}
			return get(f)
		})
	}
	return vs
}

// natPortsOrder sorts by the translated address, then by what the ports are taken towards; what takes none is last.
func natPortsOrder() []keyFunc {
	keys := []keyFunc{func(f *model.Flow, _ uint32) uint64 {
		if takesPort(f) {
			return 0
		}
		return 1
	}}
	for _, c := range []model.Column{model.ColReplyDst, model.ColProto, model.ColReplySrc, model.ColReplySport} {
		keys = append(keys, GroupKey{Col: c}.order(knower{}, false)...)
	}
	return append(keys, func(f *model.Flow, _ uint32) uint64 { return uint64(replyZone(f)) })
}

// natPortsLabel is one word: "192.0.2.1>203.0.113.9:443/tcp", and with a zone "192.0.2.1>203.0.113.9:443/tcp/zone=5".
func natPortsLabel(f *model.Flow) string {
	if !takesPort(f) {
		return "-"
	}
	to := model.Tuple{Src: f.ReplySrc, Sport: f.ReplySport, Proto: f.Proto, Family: f.Family}
	s := fmt.Sprintf("%s>%s/%s", f.Family.Addr(f.ReplyDst), model.AppendEndpoint(nil, &to, model.Source), f.Proto)
	if z := replyZone(f); z != 0 {
		s += "/zone=" + strconv.Itoa(int(z))
	}
	return s
}

// natPortsFilter is the filter of the flows that are in f's group.
func natPortsFilter(f *model.Flow) string {
	if !takesPort(f) {
		return "not (snat and proto {tcp, udp, udplite, sctp, dccp})"
	}
	r := &model.Row{Flow: *f}
	s := filter.ByValue(model.ColProto, r) + " and snat and " + filter.ByValue(model.ColReplyDst, r) + " and " +
		filter.ByValue(model.ColReplySrc, r) + " and " + filter.ByValue(model.ColReplySport, r)
	return s + " and reply zone " + strconv.Itoa(int(replyZone(f)))
}
