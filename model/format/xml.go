package format

import (
	"time"

	"ctview/model"
)

// XML documents begin with one of the heads, have an element a line, and end in the matching tail. conntrack(8) prints
// the head before the first element only, so an empty answer is no document at all; it forgets the tail after -G and
// -L dying, and both for -D and -U. It is for the caller to do better.
const (
	XMLHead       = `<?xml version="1.0" encoding="utf-8"?>` + "\n<conntrack>"
	XMLTail       = "</conntrack>"
	ExpectXMLHead = `<?xml version="1.0" encoding="utf-8"?>` + "\n<expect>"
	ExpectXMLTail = "</expect>"
)

// AppendXML appends e as the <flow> element that conntrack(8) prints with -o xml. Extended and ID have no effect there;
// Timestamp adds <when> to events. It does not allocate unless Options.Progname does.
func AppendXML(dst []byte, e *model.Event, o Options) []byte {
	f, fix := &e.Flow, o.Fix
	dst = appendFlowTag(dst, e.Kind)
	t := f.Orig()
	dst = appendXMLTuple(append(dst, `<meta direction="original">`...), &t, fix)
	if f.ZoneDir == model.ZoneOrig {
		dst = appendElement(dst, "zone", uint64(f.Zone))
	}
	if e.Has.Has(model.HasCountersOrig) {
		dst = appendXMLCounters(dst, f.Packets[0], f.Bytes[0])
	}
	t = f.Reply()
	dst = appendXMLTuple(append(dst, `</meta><meta direction="reply">`...), &t, fix)
	if f.ZoneDir == model.ZoneReply {
		dst = appendElement(dst, "zone", uint64(f.Zone))
	}
	if fix&FixCounters == 0 && e.Has.Has(model.HasCountersOrig) || fix&FixCounters != 0 && e.Has.Has(model.HasCountersReply) {
		dst = appendXMLCounters(dst, f.Packets[1], f.Bytes[1])
	}
	dst = append(dst, "</meta>"...)
	if fix&FixMaster != 0 && e.Has.Has(model.HasMaster) {
		dst = appendXMLTuple(append(dst, `<meta direction="master">`...), &e.Extra.Master, fix)
		if e.Extra.MasterZone != 0 {
			dst = appendElement(dst, "zone", uint64(e.Extra.MasterZone))
		}
		dst = append(dst, "</meta>"...)
	}
	dst = append(dst, `<meta direction="independent">`...)
	dst = appendXMLMeta(dst, e, &o)
	dst = appendXMLTimes(dst, e, &o)
	event := e.Kind != model.Dump
	if event && fix&FixPort != 0 && e.PortID != 0 {
		dst = appendElement(dst, "portid", uint64(e.PortID))
		if name := o.progname(e.PortID); name != "" {
			dst = appendXMLString(dst, "progname", name, fix)
		}
	}
	dst = append(dst, "</meta>"...)
	if event && o.Timestamp {
		dst = appendWhen(dst, eventTime(e, &o), o.location())
	}
	if e.Has.Has(model.HasHelper) {
		dst = appendXMLString(dst, "helper", f.Helper.String(), fix)
	}
	dst = append(dst, "</flow>"...)
	if event && fix&FixTail == 0 && e.PortID != 0 {
		dst = appendUserspace(dst, e.PortID, o.progname(e.PortID), o.Fix)
	}
	return dst
}

// appendFlowTag opens <flow>, with its type for an event.
func appendFlowTag(dst []byte, k model.Kind) []byte {
	if k == model.Dump {
		return append(dst, "<flow>"...)
	}
	return append(append(append(dst, `<flow type="`...), k.String()...), `">`...)
}

// appendXMLTuple appends <layer3> and <layer4>.
func appendXMLTuple(dst []byte, t *model.Tuple, fix Fix) []byte {
	dst = appendXMLLayer(dst, "layer3", uint64(t.Family), family3name(t.Family))
	dst = appendXMLAddrs(dst, t)
	dst = append(dst, "</layer3>"...)
	dst = appendXMLLayer(dst, "layer4", uint64(t.Proto), proto4name(t.Proto))
	dst = appendXMLPorts(dst, t)
	if fix&FixICMP != 0 && t.Proto.IsICMP() {
		typ, code, id := t.ICMP()
		dst = appendElement(dst, "type", uint64(typ))
		dst = appendElement(dst, "code", uint64(code))
		dst = appendElement(dst, "id", uint64(id))
	}
	return append(dst, "</layer4>"...)
}

// appendXMLLayer opens an element with the number and the name of a protocol.
func appendXMLLayer(dst []byte, element string, num uint64, name string) []byte {
	dst = append(append(append(dst, '<'), element...), ` protonum="`...)
	dst = append(appendUint(dst, num), `" protoname="`...)
	return append(append(dst, name...), `">`...)
}

func appendXMLAddrs(dst []byte, t *model.Tuple) []byte {
	dst = AppendAddr(append(dst, "<src>"...), t.Family, t.Src)
	dst = AppendAddr(append(dst, "</src><dst>"...), t.Family, t.Dst)
	return append(dst, "</dst>"...)
}

// appendXMLPorts appends ports or keys; conntrack has nothing for ICMP.
func appendXMLPorts(dst []byte, t *model.Tuple) []byte {
	switch {
	case t.Proto.HasPorts():
		dst = appendElement(dst, "sport", uint64(t.Sport))
		dst = appendElement(dst, "dport", uint64(t.Dport))
	case t.Proto == model.ProtoGRE:
		dst = appendHex(append(dst, "<srckey>0x"...), t.Sport)
		dst = appendHex(append(dst, "</srckey><dstkey>0x"...), t.Dport)
		dst = append(dst, "</dstkey>"...)
	}
	return dst
}

func appendXMLCounters(dst []byte, packets, bytes uint64) []byte {
	dst = appendElement(append(dst, "<counters>"...), "packets", packets)
	dst = appendElement(dst, "bytes", bytes)
	return append(dst, "</counters>"...)
}

// appendXMLMeta appends what belongs to neither direction, up to the flags.
func appendXMLMeta(dst []byte, e *model.Event, o *Options) []byte {
	f, has := &e.Flow, e.Has
	if has.Has(model.HasProtoinfo) {
		p := f.Proto
		if o.Fix&FixState == 0 {
			p = model.ProtoTCP
		}
		dst = append(append(append(dst, "<state>"...), model.StateName(p, f.State)...), "</state>"...)
	}
	if has.Has(model.HasTimeout) {
		dst = appendElement(dst, "timeout", uint64(e.Timeout))
	}
	if has.Has(model.HasMark) {
		dst = appendElement(dst, "mark", uint64(f.Mark))
	}
	if o.Labels != nil && has.Has(model.HasLabels) {
		dst = append(dst, "<labels>"...)
		l := &e.Extra.Labels
		for bit := l.Next(0); bit < model.LabelBits; bit = l.Next(bit + 1) {
			if name := o.Labels.Name(bit); name != "" {
				dst = appendXMLString(dst, "label", name, o.Fix)
			}
		}
		dst = append(dst, "</labels>"...)
	}
	if has.Has(model.HasSecmark) {
		dst = appendElement(dst, "secmark", uint64(e.Secmark))
	}
	if has.Has(model.HasSecctx) {
		dst = appendXMLString(dst, "secctx", e.Extra.Secctx, o.Fix)
	}
	if has.Has(model.HasZone) && f.ZoneDir == model.ZoneBoth {
		dst = appendElement(dst, "zone", uint64(f.Zone))
	}
	if has.Has(model.HasUse) {
		dst = appendElement(dst, "use", uint64(e.Use))
	}
	if has.Has(model.HasID) {
		dst = appendElement(dst, "id", uint64(f.ID))
	}
	if !has.Has(model.HasStatus) {
		return dst
	}
	if f.Status&model.StatusAssured != 0 {
		dst = append(dst, "<assured/>"...)
	}
	if f.Status&model.StatusSeenReply == 0 {
		dst = append(dst, "<unreplied/>"...)
	}
	switch {
	case o.Fix&FixOffload == 0:
	case f.Status&model.StatusHWOffload != 0:
		dst = append(dst, "<hw_offload/>"...)
	case f.Status&model.StatusOffload != 0:
		dst = append(dst, "<offload/>"...)
	}
	return dst
}

// appendXMLTimes appends start, stop and the flow's age. The age of an ended flow is the difference of nanoseconds in
// whole seconds, not, as in the plain line, of whole seconds.
func appendXMLTimes(dst []byte, e *model.Event, o *Options) []byte {
	start, stop := e.Has.Has(model.HasStart), e.Has.Has(model.HasStop)
	if o.KernelTime && (start || stop) {
		dst = append(dst, "<timestamp>"...)
		if start {
			dst = appendElement(dst, "start", uint64(e.Start))
		}
		if stop {
			dst = appendElement(dst, "stop", uint64(e.Stop))
		}
		dst = append(dst, "</timestamp>"...)
	}
	switch {
	case start && stop:
		dst = appendElement(dst, "deltatime", uint64(e.Stop-e.Start)/uint64(second))
	case start:
		dst = appendElement(dst, "deltatime", uint64(o.Now/second-e.Start/second))
	}
	return dst
}

// appendWhen appends a time of day; wday counts from 1, Sunday.
func appendWhen(dst []byte, ns int64, loc *time.Location) []byte {
	t := time.Unix(ns/second, 0).In(loc)
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = appendElement(append(dst, "<when>"...), "hour", uint64(hour))
	dst = append(appendPadded(append(dst, "<min>"...), uint64(minute), 2), "</min>"...)
	dst = append(appendPadded(append(dst, "<sec>"...), uint64(sec), 2), "</sec>"...)
	dst = appendElement(dst, "wday", uint64(t.Weekday())+1)
	dst = appendElement(dst, "day", uint64(day))
	dst = appendElement(dst, "month", uint64(month))
	dst = appendElement(dst, "year", uint64(year))
	return append(dst, "</when>"...)
}

// appendElement appends an element that holds a number.
func appendElement(dst []byte, name string, v uint64) []byte {
	dst = appendUint(append(append(append(dst, '<'), name...), '>'), v)
	return append(append(append(dst, "</"...), name...), '>')
}

// appendXMLString appends an element that holds text. Control bytes are always escaped for the terminal's sake;
// with FixEscape the text is XML too.
func appendXMLString(dst []byte, name, text string, fix Fix) []byte {
	dst = append(append(append(dst, '<'), name...), '>')
	from := len(dst)
	dst = model.AppendEscaped(dst, text)
	if fix&FixEscape != 0 {
		dst = substitute(dst, from, xmlEntity)
	}
	return append(append(append(dst, "</"...), name...), '>')
}

func family3name(f model.Family) string {
	switch f {
	case model.IPv4:
		return "ipv4"
	case model.IPv6:
		return "ipv6"
	}
	return "unknown"
}

func proto4name(p model.Proto) string {
	if name := p.Name(); name != "" {
		return name
	}
	return "unknown"
}
