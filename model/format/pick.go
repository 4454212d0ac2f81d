package format

import (
	"bytes"
	"slices"
	"strings"

	"ctview/model"
)

// A Pick chooses fields of a flow's JSON (docs/flow.schema.json). The zero value chooses all.
type Pick struct {
	fields map[string][]string // name → the fields within it; nil: whole
}

// sideFields are the fields within "orig" and "reply".
var sideFields = []string{"src", "dst", "sport", "dport", "icmp_type", "icmp_code", "icmp_id", "srckey", "dstkey", "src_name", "dst_name",
	"pid", "proc", "processes", "uid", "user", "cgroup", "container",
	"packets", "bytes", "rate", "pps", "zone"}

// JSONFields returns the names of all fields of a flow's JSON, "orig.src" for one within another. The caller owns the slice.
func JSONFields() []string {
	all := []string{"event", "time", "family", "proto", "proto_num", "state", "ctstate", "status", "orig", "reply"}
	for _, side := range []string{"orig", "reply"} {
		for _, f := range sideFields {
			all = append(all, side+"."+f)
		}
	}
	return append(all, "forwarded", "derived", "derived.iif", "derived.oif", "zone", "mark", "id", "use", "timeout", "helper", "secctx", "labels", "start", "stop", "master", "tcp", "sctp", "portid")
}

// OwnerFields are the fields that tell who holds sockets, but for "forwarded". The caller owns the slice.
func OwnerFields() (all []string) {
	for _, side := range []string{"orig", "reply"} {
		for _, f := range []string{"pid", "proc", "processes", "uid", "user", "cgroup", "container"} {
			all = append(all, side+"."+f)
		}
	}
	return all
}

// The fields of addresses, and of what stands for ports in each protocol.
const (
	srcFields   = "src src_name sport icmp_id srckey"
	dstFields   = "dst dst_name dport icmp_type icmp_code dstkey"
	sportFields = "sport icmp_id srckey"
	dportFields = "dport icmp_type icmp_code dstkey"
)

// ColumnFields returns the fields of JSON that hold what a column shows; nil: JSON has none for it.
func ColumnFields(c model.Column) []string {
	of := func(side, names string) (out []string) {
		for n := range strings.FieldsSeq(names) {
			out = append(out, side+"."+n)
		}
		return out
	}
	switch c {
	case model.ColSrc:
		return of("orig", srcFields)
	case model.ColDst:
		return of("orig", dstFields)
	case model.ColReplySrc:
		return of("reply", srcFields)
	case model.ColReplyDst:
		return of("reply", dstFields)
	case model.ColSport:
		return of("orig", sportFields)
	case model.ColDport:
		return of("orig", dportFields)
	case model.ColReplySport:
		return of("reply", sportFields)
	case model.ColReplyDport:
		return of("reply", dportFields)
	case model.ColPID:
		return []string{"orig.pid", "reply.pid", "forwarded"}
	case model.ColProc:
		return []string{"orig.pid", "orig.proc", "reply.pid", "reply.proc", "forwarded"}
	case model.ColUser:
		return []string{"orig.uid", "orig.user", "reply.uid", "reply.user", "forwarded"}
	case model.ColCgroup:
		return []string{"orig.cgroup", "orig.container", "reply.cgroup", "reply.container", "forwarded"}
	case model.ColIif, model.ColOif:
		return []string{"derived." + c.String()}
	case model.ColZone:
		return []string{"zone", "orig.zone", "reply.zone"}
	case model.ColBytes, model.ColPackets, model.ColRate, model.ColPPS:
		return []string{"orig." + c.String(), "reply." + c.String()}
	case model.ColOrigBytes, model.ColOrigPackets, model.ColOrigRate, model.ColReplyBytes, model.ColReplyPackets, model.ColReplyRate:
		side, name, _ := strings.Cut(c.String(), "-")
		return []string{side + "." + name}
	}
	if name := c.String(); slices.Contains(JSONFields(), name) {
		return []string{name}
	}
	return nil
}

// NewPick returns the choice of these fields, names as JSONFields has them.
func NewPick(names []string) Pick {
	p := Pick{fields: map[string][]string{"event": nil, "time": nil}} // what an event is, it says itself
	for _, n := range names {
		name, within, ok := strings.Cut(n, ".")
		switch had, is := p.fields[name]; {
		case !ok:
			p.fields[name] = nil
		case !is || had != nil:
			p.fields[name] = append(had, within)
		}
	}
	return p
}

// All reports whether p chooses every field.
func (p *Pick) All() bool { return p.fields == nil }

// AppendPicked appends the fields of obj that p chooses, as one object in obj's order. obj is one line of AppendJSON.
func AppendPicked(dst, obj []byte, p Pick) []byte {
	if p.All() {
		return append(dst, obj...)
	}
	dst = append(dst, '{')
	eachMember(obj, func(name, member, value []byte) {
		within, ok := p.fields[string(name)]
		switch {
		case !ok:
		case within == nil:
			dst = append(append(dst, member...), ',')
		default:
			n := len(dst)
			dst = append(append(append(dst, '"'), name...), `":{`...)
			begun := len(dst)
			eachMember(value, func(name, member, _ []byte) {
				if slices.Contains(within, string(name)) {
					dst = append(append(dst, member...), ',')
				}
			})
			if len(dst) == begun { // it has none of them
				dst = dst[:n]
				return
			}
			dst = append(closeList(dst, '}'), ',')
		}
	})
	return closeList(dst, '}')
}

// eachMember calls fn for each member of the object obj: its name, all of it, and its value. obj is as this package writes it, without
// blanks between its parts.
func eachMember(obj []byte, fn func(name, member, value []byte)) {
	for i := 1; i < len(obj)-1; {
		from, depth := i, 0
		colon := from + 1 + bytes.IndexByte(obj[from+1:], '"') + 1 // names have no escapes
		for i = colon + 1; i < len(obj) && (depth > 0 || obj[i] != ',' && obj[i] != '}'); i++ {
			switch obj[i] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case '"':
				for i++; obj[i] != '"'; i++ {
					if obj[i] == '\\' {
						i++
					}
				}
			}
		}
		fn(obj[from+1:colon-1], obj[from:i], obj[colon+1:i])
		i++
	}
}
