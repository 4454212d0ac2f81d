package format

import "ctview/model"

// AppendExpect appends an expectation as conntrack(8) prints it: a row of -L expect, or a line of -E expect for an
// event. With Options.Timestamp rows and events alike begin with Options.Now, its microseconds padded with blanks on
// the right, as there. Its zone, flags and class are shown if they came; its id, function and NAT never are: AppendExpectJSON
// has them.
func AppendExpect(dst []byte, x *model.Expect, o Options) []byte {
	if o.Timestamp {
		dst = appendExpectPrefix(dst, o.Now)
	}
	if x.Kind != model.Dump {
		dst = append(dst, kindTag(x.Kind)...)
	}
	if x.HasTimeout {
		dst = append(appendUint(dst, uint64(x.Timeout)), ' ')
	}
	dst = append(appendUint(append(dst, "proto="...), uint64(x.Tuple.Proto)), ' ')
	dst = appendNamed(dst, "src=", "dst=", &x.Tuple)
	dst = appendNamed(dst, "mask-src=", "mask-dst=", &x.Mask)
	dst = appendNamed(dst, "master-src=", "master-dst=", &x.Master)
	if x.HasZone {
		dst = append(appendUint(append(dst, "zone="...), uint64(x.Zone)), ' ')
	}
	dst = appendExpectFlags(dst, x.Flags)
	if x.HasClass {
		dst = append(appendUint(append(dst, "class="...), uint64(x.Class)), ' ')
	}
	if x.Helper != "" {
		dst = append(appendField(append(dst, "helper="...), x.Helper, o.Fix), ' ')
	}
	return dst[:len(dst)-1]
}

// appendNamed appends a tuple under names of its own; the ports have the same names in all three tuples.
func appendNamed(dst []byte, src, dest string, t *model.Tuple) []byte {
	dst = append(AppendAddr(append(dst, src...), t.Family, t.Src), ' ')
	dst = append(AppendAddr(append(dst, dest...), t.Family, t.Dst), ' ')
	return appendPorts(dst, t.Proto, t.Sport, t.Dport)
}

// appendExpectFlags appends the names of the flags and a blank, or nothing where none is set.
func appendExpectFlags(dst []byte, f model.ExpectFlags) []byte {
	if f == 0 {
		return dst
	}
	n := len(dst)
	if f&model.ExpectPermanent != 0 {
		dst = append(dst, "PERMANENT,"...)
	}
	if f&model.ExpectInactive != 0 {
		dst = append(dst, "INACTIVE,"...)
	}
	if f&model.ExpectUserspace != 0 {
		dst = append(dst, "USERSPACE,"...)
	}
	if len(dst) > n {
		dst = dst[:len(dst)-1]
	}
	return append(dst, ' ')
}

// appendExpectPrefix appends "[SEC.USEC]" and a tab with the microseconds as printf's %-6ld writes them.
func appendExpectPrefix(dst []byte, ns int64) []byte {
	dst = appendPadded(append(dst, '['), uint64(ns/second), 8)
	dst = append(dst, '.')
	n := len(dst)
	dst = appendUint(dst, uint64(ns%second/1000))
	for len(dst) < n+6 {
		dst = append(dst, ' ')
	}
	return append(dst, "]\t"...)
}

// AppendExpectXML appends an expectation as conntrack(8) prints it with -o xml. Timestamp adds <when>, Options.Now, to
// rows and events alike.
func AppendExpectXML(dst []byte, x *model.Expect, o Options) []byte {
	dst = appendFlowTag(dst, x.Kind)
	dst = appendXMLLayer(dst, "layer3", uint64(x.Tuple.Family), family3name(x.Tuple.Family))
	dst = appendXMLAddrs(append(dst, "<expected>"...), &x.Tuple)
	dst = appendXMLAddrs(append(dst, "</expected><mask>"...), &x.Mask)
	dst = appendXMLAddrs(append(dst, "</mask><master>"...), &x.Master)
	dst = append(dst, "</master></layer3>"...)
	dst = appendXMLLayer(dst, "layer4", uint64(x.Tuple.Proto), proto4name(x.Tuple.Proto))
	dst = appendXMLPorts(append(dst, "<expected>"...), &x.Tuple)
	dst = appendXMLPorts(append(dst, "</expected><mask>"...), &x.Mask)
	dst = appendXMLPorts(append(dst, "</mask><master>"...), &x.Master)
	dst = append(dst, "</master></layer4><meta>"...)
	if x.Helper != "" {
		dst = appendXMLString(dst, "helper-name", x.Helper, o.Fix)
	}
	if x.HasTimeout {
		dst = appendElement(dst, "timeout", uint64(x.Timeout))
	}
	if x.HasClass {
		dst = appendElement(dst, "class", uint64(x.Class))
	}
	if x.HasZone {
		dst = appendElement(dst, "zone", uint64(x.Zone))
	}
	if o.Timestamp {
		dst = appendWhen(dst, o.Now, o.location())
	}
	if x.Flags&model.ExpectPermanent != 0 {
		dst = append(dst, "<permanent/>"...)
	}
	if x.Flags&model.ExpectInactive != 0 {
		dst = append(dst, "<inactive/>"...)
	}
	if x.Flags&model.ExpectUserspace != 0 {
		dst = append(dst, "<userspace/>"...)
	}
	return append(dst, "</meta></flow>"...)
}

// AppendExpectJSON appends an expectation as one JSON object without a line end, as docs/expect.schema.json has it.
// Events begin with "event" and "time" (Options.Now).
func AppendExpectJSON(dst []byte, x *model.Expect, o Options) []byte {
	dst = append(dst, '{')
	if x.Kind != model.Dump {
		dst = append(append(append(dst, `"event":"`...), x.Kind.String()...), `","time":"`...)
		dst = append(AppendRFC3339(dst, o.Now), `",`...)
	}
	dst = append(append(append(dst, `"family":"`...), x.Tuple.Family.String()...), `",`...)
	dst = appendJSONProto(dst, x.Tuple.Proto)
	dst = append(appendJSONTuple(append(dst, `,"expected":{`...), &x.Tuple, true), '}')
	dst = append(appendJSONTuple(append(dst, `,"mask":{`...), &x.Mask, true), '}')
	dst = append(appendJSONTuple(append(dst, `,"master":{`...), &x.Master, true), '}')
	if x.HasZone {
		dst = appendUint(append(dst, `,"zone":`...), uint64(x.Zone))
	}
	if x.ID != 0 {
		dst = appendUint(append(dst, `,"id":`...), uint64(x.ID))
	}
	if x.HasTimeout {
		dst = appendUint(append(dst, `,"timeout":`...), uint64(x.Timeout))
	}
	if x.HasFlags {
		dst = appendJSONFlags(append(dst, `,"flags":`...), x.Flags)
	}
	if x.HasClass {
		dst = appendUint(append(dst, `,"class":`...), uint64(x.Class))
	}
	if x.Helper != "" {
		dst = AppendJSONString(append(dst, `,"helper":`...), x.Helper)
	}
	if x.Fn != "" {
		dst = AppendJSONString(append(dst, `,"fn":`...), x.Fn)
	}
	if x.NAT.Family != 0 {
		dst = append(dst, `,"nat":{"dir":"`...)
		if x.NATDir == 0 {
			dst = append(dst, `orig",`...)
		} else {
			dst = append(dst, `reply",`...)
		}
		dst = append(appendJSONTuple(dst, &x.NAT, true), '}')
	}
	if x.Kind != model.Dump && x.PortID != 0 {
		dst = appendUint(append(dst, `,"portid":`...), uint64(x.PortID))
	}
	return append(dst, '}')
}

// appendJSONFlags appends the set flags as an array of their names; an unknown one is "bitN".
func appendJSONFlags(dst []byte, f model.ExpectFlags) []byte {
	names := [...]string{"PERMANENT", "INACTIVE", "USERSPACE"}
	dst = append(dst, '[')
	for bit := range 32 {
		switch {
		case f&(1<<bit) == 0:
			continue
		case bit < len(names):
			dst = append(append(append(dst, '"'), names[bit]...), `",`...)
		default:
			dst = append(appendUint(append(dst, `"bit`...), uint64(bit)), `",`...)
		}
	}
	return closeList(dst, ']')
}
