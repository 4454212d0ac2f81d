package table

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
	"ctview/model/filter"
)

// A GroupKey says by what flows are put into groups: by a column's value, for addresses perhaps by a prefix. Its text
// form is the column's name, "src/24" for a prefix (of IPv6 then the /64), "src/48" for one that only IPv6 has, or
// "src/24/56" for both; "nat-ports" is what a port of NAT is taken for. It is comparable.
type GroupKey struct {
	Col        model.Column
	Len4, Len6 uint8 // of addresses: prefix lengths; a Len6 of 0 means that the whole address counts
	Ports      bool  // of ColNAT: see natPorts
}

// groupColumns are the columns that can be grouped by. nat is the address that takes the place of another.
var groupColumns = []model.Column{model.ColSrc, model.ColDst, model.ColSport, model.ColDport, model.ColProto, model.ColState, model.ColCtState, model.ColPhase, model.ColZone,
	model.ColHelper, model.ColMark, model.ColFamily, model.ColNAT, model.ColReplySrc, model.ColReplyDst, model.ColReplySport, model.ColReplyDport,
	model.ColPID, model.ColProc, model.ColUser, model.ColCgroup, model.ColIif, model.ColOif}

func (k GroupKey) isAddr() bool {
	return k.Col == model.ColSrc || k.Col == model.ColDst || k.Col == model.ColReplySrc || k.Col == model.ColReplyDst
}

// String returns the text that ParseGroupKey reads.
func (k GroupKey) String() string {
	s := k.Col.String()
	switch {
	case k.Ports:
		return s + "-ports"
	case k.Len6 == 0:
		return s
	case k.Len4 == 32 && k.Len6 > 32:
		return s + "/" + strconv.Itoa(int(k.Len6))
	case k.Len6 == 64:
		return s + "/" + strconv.Itoa(int(k.Len4))
	}
	return s + "/" + strconv.Itoa(int(k.Len4)) + "/" + strconv.Itoa(int(k.Len6))
}

// ParseGroupKey reads a key as String writes it.
func ParseGroupKey(s string) (GroupKey, error) {
	if strings.EqualFold(strings.TrimSpace(s), natPorts.String()) {
		return natPorts, nil
	}
	name, lens, prefix := strings.Cut(strings.TrimSpace(s), "/")
	c, err := model.ParseColumn(name)
	if err != nil {
		return GroupKey{}, err
	}
	k := GroupKey{Col: c}
	if !slices.Contains(groupColumns, c) {
		return GroupKey{}, fmt.Errorf("cannot group by %s: its values are as many as the flows", c)
	}
	if !prefix {
		return k, nil
	}
	if !k.isAddr() {
		return GroupKey{}, fmt.Errorf("%s has no prefixes", c)
	}
	a, b, both := strings.Cut(lens, "/")
	n, err := strconv.ParseUint(a, 10, 8)
	if err != nil || n > 128 || n == 0 {
		return GroupKey{}, fmt.Errorf("bad prefix length in %q: want 1 to 32, or to 128 for IPv6", s)
	}
	k.Len4, k.Len6 = uint8(n), 64
	if n > 32 {
		k.Len4, k.Len6 = 32, uint8(n)
	}
	if both {
		m, err := strconv.ParseUint(b, 10, 8)
		if err != nil || n > 32 || m > 128 || m == 0 {
			return GroupKey{}, fmt.Errorf("bad prefix lengths in %q: want src/24/64, IPv4 first", s)
		}
		k.Len6 = uint8(m)
	}
	return k, nil
}

// MaxGroupKeys is how many keys flows can be grouped by at a time.
const MaxGroupKeys = 4

// ParseGroupKeys reads one key, or up to MaxGroupKeys with commas between.
func ParseGroupKeys(s string) ([]GroupKey, error) {
	var keys []GroupKey
	for _, part := range strings.Split(s, ",") {
		k, err := ParseGroupKey(part)
		if err != nil {
			return nil, err
		}
		if slices.Contains(keys, k) {
			return nil, fmt.Errorf("%s is there twice", k)
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) > MaxGroupKeys:
		return nil, fmt.Errorf("%d keys to group by: at most %d", len(keys), MaxGroupKeys)
	case len(keys) > 1 && slices.Contains(keys, natPorts):
		return nil, fmt.Errorf("%s stands alone: it is address, protocol and destination already", natPorts)
	}
	return keys, nil
}

// A groupVal is what the flows of a group have in common under one key. kind tells apart what has the same number but
// another meaning: families, and what a port of some protocol is.
type groupVal struct {
	hi, lo uint64
	kind   uint8
}

const noPorts = 255

// value returns the function that takes the key's value from a flow, of owners what of knows.
func (k GroupKey) value(of knower) func(*model.Flow) groupVal {
	number := func(get func(*model.Flow) uint64) func(*model.Flow) groupVal {
		return func(f *model.Flow) groupVal { return groupVal{lo: get(f)} }
	}
	switch k.Col {
	case model.ColSrc:
		return k.addr(func(f *model.Flow) *[16]byte { return &f.Src })
	case model.ColDst:
		return k.addr(func(f *model.Flow) *[16]byte { return &f.Dst })
	case model.ColReplySrc:
		return k.addr(func(f *model.Flow) *[16]byte { return &f.ReplySrc })
	case model.ColReplyDst:
		return k.addr(func(f *model.Flow) *[16]byte { return &f.ReplyDst })
	case model.ColSport:
		return func(f *model.Flow) groupVal { return portVal(f, f.Sport) }
	case model.ColDport:
		return func(f *model.Flow) groupVal { return portVal(f, f.Dport) }
	case model.ColReplySport:
		return func(f *model.Flow) groupVal { return portVal(f, f.ReplySport) }
	case model.ColReplyDport:
		return func(f *model.Flow) groupVal { return portVal(f, f.ReplyDport) }
	case model.ColNAT:
		return natVal
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return func(f *model.Flow) groupVal { return ownerVal(k.Col, of, f) }
	case model.ColIif, model.ColOif:
		return func(f *model.Flow) groupVal { return routeVal(k.Col, of, f) }
	case model.ColProto:
		return number(func(f *model.Flow) uint64 { return uint64(f.Proto) })
	case model.ColState:
		return number(stateKey)
	case model.ColCtState:
		return number(func(f *model.Flow) uint64 { return uint64(f.CtState()) })
	case model.ColPhase:
		return number(func(f *model.Flow) uint64 { return uint64(f.Phase()) })
	case model.ColZone:
		return number(func(f *model.Flow) uint64 { return uint64(f.Zone) })
	case model.ColHelper:
		return number(func(f *model.Flow) uint64 { return uint64(f.Helper) })
	case model.ColMark:
		return number(func(f *model.Flow) uint64 { return uint64(f.Mark) })
	case model.ColFamily:
		return number(func(f *model.Flow) uint64 { return uint64(f.Family) })
	}
	return func(*model.Flow) groupVal { return groupVal{} }
}

// addr returns the function that takes an address, cut to the prefix.
func (k GroupKey) addr(get func(*model.Flow) *[16]byte) func(*model.Flow) groupVal {
	m4, hi6, lo6 := ^uint32(0), ^uint64(0), ^uint64(0)
	if k.Len6 != 0 {
		m4 = ^uint32(0) << (32 - k.Len4)
		hi6 = ^uint64(0) << (64 - min(k.Len6, 64))
		lo6 = ^uint64(0) << (128 - max(k.Len6, 64))
	}
	be := binary.BigEndian
	return func(f *model.Flow) groupVal {
		a := get(f)
		if f.Family == model.IPv4 {
			return groupVal{lo: uint64(be.Uint32(a[12:]) & m4), kind: uint8(model.IPv4)}
		}
		return groupVal{be.Uint64(a[:]) & hi6, be.Uint64(a[8:]) & lo6, uint8(f.Family)}
	}
}

// portVal tells ports from what other protocols keep in their place.
func portVal(f *model.Flow, port uint16) groupVal {
	switch {
	case f.Proto.HasPorts():
		return groupVal{lo: uint64(port)}
	case f.Proto.IsICMP() || f.Proto == model.ProtoGRE:
		return groupVal{lo: uint64(port), kind: uint8(f.Proto)}
	}
	return groupVal{kind: noPorts}
}

// natVal is the address that the flow's source, or else its destination, is translated to.
func natVal(f *model.Flow) groupVal {
	be := binary.BigEndian
	switch c := natClass(f); {
	case c&1 != 0:
		return groupVal{be.Uint64(f.ReplyDst[:]), be.Uint64(f.ReplyDst[8:]), 1}
	case c&2 != 0:
		return groupVal{be.Uint64(f.ReplySrc[:]), be.Uint64(f.ReplySrc[8:]), 2}
	}
	return groupVal{}
}

// values are functions whose values together are the key's.
func (k GroupKey) values(of knower) []func(*model.Flow) groupVal {
	if k.Ports {
		return natPortsValues()
	}
	return []func(*model.Flow) groupVal{k.value(of)}
}

// label returns what a member of the group shows under the key, escaped.
func (k GroupKey) label(of knower, f *model.Flow) string {
	if k.Ports {
		return natPortsLabel(f)
	}
	switch k.Col {
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return ownerLabel(k.Col, of, f)
	case model.ColIif, model.ColOif:
		return routeLabel(k.Col, of, f)
	case model.ColProto:
		return f.Proto.String()
	case model.ColState:
		return f.StateText()
	case model.ColCtState:
		return f.CtState().String()
	case model.ColPhase:
		return f.Phase().String()
	case model.ColZone:
		return strconv.Itoa(int(f.Zone))
	case model.ColHelper:
		if f.Helper == 0 {
			return "-"
		}
		return model.Escape(f.Helper.String())
	case model.ColMark:
		if f.Mark == 0 {
			return "0"
		}
		return "0x" + strconv.FormatUint(uint64(f.Mark), 16)
	case model.ColFamily:
		return f.Family.String()
	case model.ColNAT:
		v := natVal(f)
		if v.kind == 0 {
			return "-"
		}
		return f.Family.Addr(v.bytes()).String()
	case model.ColSrc, model.ColDst, model.ColReplySrc, model.ColReplyDst:
		return k.network(f)
	}
	return portLabel(k, f)
}

func (v groupVal) bytes() (a [16]byte) {
	binary.BigEndian.PutUint64(a[:], v.hi)
	binary.BigEndian.PutUint64(a[8:], v.lo)
	return a
}

// network returns the address or, for prefixes shorter than it, the network.
func (k GroupKey) network(f *model.Flow) string {
	addr, _ := filter.RowAddr(k.Col, &model.Row{Flow: *f})
	a := f.Family.Addr(addr)
	n := int(k.Len4)
	if a.Is6() {
		n = int(k.Len6)
	}
	if k.Len6 == 0 || n >= a.BitLen() {
		return a.String()
	}
	return netip.PrefixFrom(a, n).Masked().String()
}

func portLabel(k GroupKey, f *model.Flow) string {
	v := k.value(knower{})(f)
	switch source := k.Col == model.ColSport || k.Col == model.ColReplySport; {
	case v.kind == 0:
		return strconv.FormatUint(v.lo, 10)
	case v.kind == noPorts:
		return "-"
	case model.Proto(v.kind) == model.ProtoGRE:
		return "key " + strconv.FormatUint(v.lo, 10)
	case source:
		return "id " + strconv.FormatUint(v.lo, 10)
	}
	return fmt.Sprintf("type %d code %d", v.lo>>8, v.lo&0xff)
}

// filter returns the filter text that the group's flows match, and no others; f is one of them.
func (k GroupKey) filter(of knower, f *model.Flow) string {
	r := &model.Row{Flow: *f}
	if model.OwnerColumn(k.Col) || model.RouteColumn(k.Col) {
		of.fill(&r.Extra, f)
		return filter.ByValue(k.Col, r)
	}
	switch {
	case k.isAddr():
		_, word := filter.RowAddr(k.Col, r)
		return word + " " + k.network(f)
	case k.Ports:
		return natPortsFilter(f)
	case k.Col == model.ColNAT:
		switch v := natVal(f); v.kind {
		case 1:
			return "snat and reply dst " + f.Family.Addr(v.bytes()).String()
		case 2:
			return "dnat and not snat and reply src " + f.Family.Addr(v.bytes()).String()
		}
		return "not nat"
	}
	switch v := k.value(knower{})(f); {
	case v.kind == noPorts:
		return "proto != {tcp, udp, udplite, sctp, dccp, icmp, icmpv6, gre}"
	case v.kind != 0: // types, identifiers and keys are told apart by protocol
		return model.Proto(v.kind).String() + " and " + filter.ByValue(k.Col, r)
	}
	return filter.ByValue(k.Col, r)
}
