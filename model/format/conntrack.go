package format

import (
	"time"

	"ctview/model"
)

// second is a second in the kernel's unit of time.
const second = int64(time.Second)

// AppendConntrack appends e as conntrack(8) prints it: a row of -L for a dump message, a line of -E for an event,
// which then begins with its time (Options.Timestamp) and tag and, if a program caused it, ends in [USERSPACE]. It does
// not allocate unless Options.Progname does.
func AppendConntrack(dst []byte, e *model.Event, o Options) []byte {
	if e.Kind != model.Dump {
		if o.Timestamp {
			dst = appendTimePrefix(dst, eventTime(e, &o))
		}
		dst = append(dst, kindTag(e.Kind)...)
	}
	if o.Extended {
		dst = append(dst, family3(e.Flow.Family)...)
	}
	dst = append(dst, proto4(e.Flow.Proto)...)
	if e.Flow.Proto.Name() == "" {
		dst = append(appendUint(dst, uint64(e.Flow.Proto)), ' ')
	}
	dst = appendFlow(dst, e)
	dst = appendMeta(dst, e, &o)
	dst = dst[:len(dst)-1] // every field ends in a blank; the line does not
	if e.Kind != model.Dump && e.PortID != 0 {
		dst = appendUserspace(dst, e.PortID, o.progname(e.PortID), o.Fix)
	}
	return dst
}

// appendUserspace appends the end of an event line that tells which program caused the event: its netlink port and, if
// it is not "", its name.
func appendUserspace(dst []byte, portid uint32, progname string, fix Fix) []byte {
	dst = appendUint(append(dst, " [USERSPACE] portid="...), uint64(portid))
	if progname != "" {
		dst = appendField(append(dst, " progname="...), progname, fix)
	}
	return dst
}

// appendFlow appends timeout, state and both directions.
func appendFlow(dst []byte, e *model.Event) []byte {
	f := &e.Flow
	if e.Has.Has(model.HasTimeout) {
		dst = append(appendUint(dst, uint64(e.Timeout)), ' ')
	}
	if e.Has.Has(model.HasProtoinfo) {
		dst = append(append(dst, model.StateName(f.Proto, f.State)...), ' ')
	}
	dst = appendSide(dst, f.Family, f.Proto, &f.Src, &f.Dst, f.Sport, f.Dport)
	if f.ZoneDir == model.ZoneOrig {
		dst = append(appendUint(append(dst, "zone-orig="...), uint64(f.Zone)), ' ')
	}
	if e.Has.Has(model.HasCountersOrig) {
		dst = appendCounters(dst, f.Packets[0], f.Bytes[0])
	}
	if e.Has.Has(model.HasStatus) && f.Status&model.StatusSeenReply == 0 {
		dst = append(dst, "[UNREPLIED] "...)
	}
	dst = appendSide(dst, f.Family, f.Proto, &f.ReplySrc, &f.ReplyDst, f.ReplySport, f.ReplyDport)
	if f.ZoneDir == model.ZoneReply {
		dst = append(appendUint(append(dst, "zone-reply="...), uint64(f.Zone)), ' ')
	}
	if e.Has.Has(model.HasCountersReply) {
		dst = appendCounters(dst, f.Packets[1], f.Bytes[1])
	}
	if e.Has.Has(model.HasStatus) {
		switch {
		case f.Status&model.StatusHWOffload != 0:
			dst = append(dst, "[HW_OFFLOAD] "...)
		case f.Status&model.StatusOffload != 0:
			dst = append(dst, "[OFFLOAD] "...)
		case f.Status&model.StatusAssured != 0:
			dst = append(dst, "[ASSURED] "...)
		}
	}
	return dst
}

// appendMeta appends what belongs to neither direction: from mark to labels.
func appendMeta(dst []byte, e *model.Event, o *Options) []byte {
	has := e.Has
	if has.Has(model.HasMark) {
		dst = append(appendUint(append(dst, "mark="...), uint64(e.Flow.Mark)), ' ')
	}
	if has.Has(model.HasSecmark) {
		dst = append(appendUint(append(dst, "secmark="...), uint64(e.Secmark)), ' ')
	}
	if has.Has(model.HasSecctx) {
		dst = append(appendField(append(dst, "secctx="...), e.Extra.Secctx, o.Fix), ' ')
	}
	if has.Has(model.HasZone) && e.Flow.ZoneDir == model.ZoneBoth {
		dst = append(appendUint(append(dst, "zone="...), uint64(e.Flow.Zone)), ' ')
	}
	if has.Has(model.HasStart) {
		dst = append(appendUint(append(dst, "delta-time="...), uint64(deltaTime(e, o.Now))), ' ')
	}
	if o.KernelTime {
		if has.Has(model.HasStart) {
			dst = append(appendCtime(append(dst, "[start="...), e.Start, o.location()), "] "...)
		}
		if has.Has(model.HasStop) {
			dst = append(appendCtime(append(dst, "[stop="...), e.Stop, o.location()), "] "...)
		}
	}
	if has.Has(model.HasHelper) {
		dst = append(appendField(append(dst, "helper="...), e.Flow.Helper.String(), o.Fix), ' ')
	}
	if has.Has(model.HasUse) {
		dst = append(appendUint(append(dst, "use="...), uint64(e.Use)), ' ')
	}
	if o.ID && has.Has(model.HasID) {
		dst = append(appendUint(append(dst, "id="...), uint64(e.Flow.ID)), ' ')
	}
	if o.Labels != nil && has.Has(model.HasLabels) {
		dst = appendLabels(dst, &e.Extra.Labels, o.Labels, o.Fix)
	}
	return dst
}

// appendLabels appends the names of the set bits; bits without a name are passed over, and if none has one the bare
// word "labels" is left.
func appendLabels(dst []byte, l *model.Labels, names LabelNames, fix Fix) []byte {
	dst = append(dst, "labels="...)
	for bit := l.Next(0); bit < model.LabelBits; bit = l.Next(bit + 1) {
		if name := names.Name(bit); name != "" {
			from := len(dst)
			if dst = appendField(dst, name, fix); fix&FixEscape != 0 {
				dst = substitute(dst, from, escapedComma)
			}
			dst = append(dst, ',')
		}
	}
	dst[len(dst)-1] = ' '
	return dst
}

// appendSide appends addresses and ports of one direction.
func appendSide(dst []byte, fam model.Family, p model.Proto, src, dest *[16]byte, sport, dport uint16) []byte {
	if fam == model.IPv4 {
		dst = appendIPv4(append(dst, "src="...), src[12], src[13], src[14], src[15])
		dst = appendIPv4(append(dst, " dst="...), dest[12], dest[13], dest[14], dest[15])
	} else {
		dst = appendIPv6(append(dst, "src="...), src)
		dst = appendIPv6(append(dst, " dst="...), dest)
	}
	return appendPorts(append(dst, ' '), p, sport, dport)
}

// appendPorts appends what the fourth layer adds to a tuple; see model.Key for what the two numbers hold.
func appendPorts(dst []byte, p model.Proto, sport, dport uint16) []byte {
	switch p {
	case model.ProtoTCP, model.ProtoUDP, model.ProtoUDPLite, model.ProtoSCTP, model.ProtoDCCP:
		dst = appendUint(append(dst, "sport="...), uint64(sport))
		dst = appendUint(append(dst, " dport="...), uint64(dport))
		return append(dst, ' ')
	case model.ProtoGRE:
		dst = appendHex(append(dst, "srckey=0x"...), sport)
		dst = appendHex(append(dst, " dstkey=0x"...), dport)
		return append(dst, ' ')
	case model.ProtoICMP, model.ProtoICMPv6:
		dst = appendUint(append(dst, "type="...), uint64(dport>>8))
		dst = appendUint(append(dst, " code="...), uint64(dport&0xff))
		dst = appendUint(append(dst, " id="...), uint64(sport))
		return append(dst, ' ')
	}
	return dst
}

func appendCounters(dst []byte, packets, bytes uint64) []byte {
	dst = appendUint(append(dst, "packets="...), packets)
	dst = appendUint(append(dst, " bytes="...), bytes)
	return append(dst, ' ')
}

// kindTag returns what an event line begins with: the kind, right-aligned in nine columns.
func kindTag(k model.Kind) string {
	switch k {
	case model.New:
		return "    [NEW] "
	case model.Update:
		return " [UPDATE] "
	case model.Destroy:
		return "[DESTROY] "
	}
	return ""
}

// family3 returns the L3 name in eight columns and its number.
func family3(f model.Family) string {
	switch f {
	case model.IPv4:
		return "ipv4     2 "
	case model.IPv6:
		return "ipv6     10 "
	}
	return ""
}

// proto4 returns the L4 name in eight columns and its number; the number of an unknown one is for the caller to add.
func proto4(p model.Proto) string {
	switch p {
	case model.ProtoTCP:
		return "tcp      6 "
	case model.ProtoUDP:
		return "udp      17 "
	case model.ProtoUDPLite:
		return "udplite  136 "
	case model.ProtoICMP:
		return "icmp     1 "
	case model.ProtoICMPv6:
		return "icmpv6   58 "
	case model.ProtoSCTP:
		return "sctp     132 "
	case model.ProtoGRE:
		return "gre      47 "
	case model.ProtoDCCP:
		return "dccp     33 "
	}
	return "unknown  "
}
