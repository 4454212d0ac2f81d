package format

import (
	"encoding/binary"
	"strings"

	"ctview/model"
)

// AppendSave appends e as conntrack -o save prints it: the arguments that make the flow again. It lacks what conntrack
// leaves out: mark, labels, helper, counters; AppendFullSave has them. FixState and FixTail apply. The verb follows the
// kind: -A for Dump and New, -U for Update, -D for Destroy (conntrack -D prints rows as -D too: set e.Kind). A
// DCCP flow has ports only if the kernel told them.
func AppendSave(dst []byte, e *model.Event, o Options) []byte {
	dst = appendSaveVerb(dst, e.Kind)
	dst = appendSaveMeta(dst, e, saveStatus)
	if e.Has.Has(model.HasSecmark) {
		dst = appendArg(dst, "-c ", uint64(e.Secmark))
	}
	dst = appendSaveZone(dst, e)
	f := &e.Flow
	dst = append(AppendAddr(append(dst, "-s "...), f.Family, f.Src), ' ')
	dst = append(AppendAddr(append(dst, "-d "...), f.Family, f.Dst), ' ')
	dst = append(AppendAddr(append(dst, replySource(e)...), f.Family, f.ReplySrc), ' ')
	dst = append(AppendAddr(append(dst, replyDest(e)...), f.Family, f.ReplyDst), ' ')
	dst = appendSaveProto(dst, e, f.ReplySport, f.ReplyDport, o.Fix)
	dst = dst[:len(dst)-1]
	if e.Kind != model.Dump && o.Fix&FixTail == 0 && e.PortID != 0 {
		dst = appendUserspace(dst, e.PortID, o.progname(e.PortID), o.Fix)
	}
	return dst
}

// AppendFullSave appends e as `ctview … -o save` does: conntrack's arguments and those for mark (-m), labels
// (--label-add, by number where a label has no name) and helper (--helper, which only ctview's -R and add know), with
// states by their right names. Where NAT changed a port and not the address, conntrack's arguments make a flow that is
// not translated: here it is -n or -g ADDR:PORT and the reply port from before the translation, of which the kernel
// makes the same flow. (For ICMP the identifier is the port. conntrack's own -R heeds the port only for TCP and UDP.)
// What nothing can restore is for AppendSaveNote.
func AppendFullSave(dst []byte, e *model.Event, o Options) []byte {
	f := &e.Flow
	dst = appendSaveVerb(dst, e.Kind)
	dst = appendSaveMeta(dst, e, saveStatus&^model.StatusExpected)
	// After -u: conntrack 1.4.7 lets a later -u overwrite the mark.
	if e.Has.Has(model.HasMark) && f.Mark != 0 {
		dst = appendArg(dst, "-m ", uint64(f.Mark))
	}
	if e.Has.Has(model.HasLabels) && e.Extra.Labels != (model.Labels{}) {
		dst = appendSaveLabels(append(dst, "--label-add "...), &e.Extra.Labels, o.Labels)
	}
	if e.Has.Has(model.HasHelper) {
		dst = append(appendQuoted(append(dst, "--helper "...), f.Helper.String()), ' ')
	}
	dst = appendSaveZone(dst, e)
	dst = append(AppendAddr(append(dst, "-s "...), f.Family, f.Src), ' ')
	dst = append(AppendAddr(append(dst, "-d "...), f.Family, f.Dst), ' ')
	rsport, rdport := f.ReplySport, f.ReplyDport
	if f.Status&model.StatusDstNAT != 0 && f.ReplySrc == f.Dst && f.Proto.HasPorts() && rsport != f.Dport {
		dst = appendEndpoint(append(dst, "-g "...), f.Family, f.ReplySrc, rsport)
		rsport = f.Dport
	} else {
		dst = AppendAddr(append(dst, replySource(e)...), f.Family, f.ReplySrc)
	}
	dst = append(dst, ' ')
	if f.Status&model.StatusSrcNAT != 0 && f.ReplyDst == f.Src && f.Proto.HasPorts() && rdport != f.Sport {
		dst = appendEndpoint(append(dst, "-n "...), f.Family, f.ReplyDst, rdport)
		rdport = f.Sport
	} else if f.Status&model.StatusSrcNAT != 0 && f.Proto.IsICMP() && rsport != f.Sport {
		dst = appendEndpoint(append(dst, "-n "...), f.Family, f.ReplyDst, rsport)
	} else {
		dst = AppendAddr(append(dst, replyDest(e)...), f.Family, f.ReplyDst)
	}
	dst = append(dst, ' ')
	dst = appendSaveProto(dst, e, rsport, rdport, FixAll)
	return dst[:len(dst)-1]
}

// saveStatus are the bits that conntrack's -u can name.
const saveStatus = model.StatusExpected | model.StatusSeenReply | model.StatusAssured | model.StatusFixedTimeout

func appendSaveVerb(dst []byte, k model.Kind) []byte {
	switch k {
	case model.Update:
		return append(dst, "-U "...)
	case model.Destroy:
		return append(dst, "-D "...)
	}
	return append(dst, "-A "...)
}

// appendSaveMeta appends timeout and status; of the status those bits that are in show.
func appendSaveMeta(dst []byte, e *model.Event, show model.Status) []byte {
	if e.Has.Has(model.HasTimeout) {
		dst = appendArg(dst, "-t ", uint64(e.Timeout))
	}
	if !e.Has.Has(model.HasStatus) {
		return dst
	}
	dst = append(dst, "-u "...)
	set := e.Flow.Status & show
	if set == 0 {
		return append(dst, "UNSET "...)
	}
	for bit, name := range model.StatusNames() {
		if set&(1<<bit) != 0 {
			dst = append(append(dst, name...), ',')
		}
	}
	dst[len(dst)-1] = ' '
	return dst
}

func appendSaveZone(dst []byte, e *model.Event) []byte {
	zone := uint64(e.Flow.Zone)
	switch {
	case e.Flow.ZoneDir == model.ZoneOrig:
		return appendArg(dst, "--orig-zone ", zone)
	case e.Flow.ZoneDir == model.ZoneReply:
		return appendArg(dst, "--reply-zone ", zone)
	case e.Has.Has(model.HasZone):
		return appendArg(dst, "-w ", zone)
	}
	return dst
}

// replySource and replyDest return the option that an address of the reply tuple is saved under: the one for NAT where
// the kernel has decided on NAT and the address is not simply the original's.
func replySource(e *model.Event) string {
	f := &e.Flow
	if f.ReplySrc != f.Dst && (f.Status&model.StatusDstNATDone != 0 || !e.Has.Has(model.HasStatus)) {
		return "-g "
	}
	return "-r "
}

func replyDest(e *model.Event) string {
	f := &e.Flow
	if f.ReplyDst != f.Src && (f.Status&model.StatusSrcNATDone != 0 || !e.Has.Has(model.HasStatus)) {
		return "-n "
	}
	return "-q "
}

// appendSaveProto appends -p and the protocol's options, with these reply ports.
func appendSaveProto(dst []byte, e *model.Event, rsport, rdport uint16, fix Fix) []byte {
	f := &e.Flow
	dst = append(dst, "-p "...)
	name := f.Proto.Name()
	if name == "" {
		return append(appendUint(dst, uint64(f.Proto)), ' ')
	}
	dst = append(append(dst, name...), ' ')
	switch f.Proto {
	case model.ProtoICMP, model.ProtoICMPv6:
		typ, code, id := uint64(f.Dport>>8), uint64(f.Dport&0xff), uint64(f.Sport)
		if f.Proto == model.ProtoICMP {
			return appendArg(appendArg(appendArg(dst, "--icmp-type ", typ), "--icmp-code ", code), "--icmp-id ", id)
		}
		return appendArg(appendArg(appendArg(dst, "--icmpv6-type ", typ), "--icmpv6-code ", code), "--icmpv6-id ", id)
	case model.ProtoGRE:
		dst = appendArg(appendArg(dst, "--srckey ", uint64(f.Sport)), "--dstkey ", uint64(f.Dport))
		return appendArg(appendArg(dst, "--reply-key-src ", uint64(rsport)), "--reply-key-dst ", uint64(rdport))
	}
	if hasPorts(e) {
		dst = appendArg(appendArg(dst, "--sport ", uint64(f.Sport)), "--dport ", uint64(f.Dport))
		dst = appendArg(appendArg(dst, "--reply-port-src ", uint64(rsport)), "--reply-port-dst ", uint64(rdport))
	}
	if e.Has.Has(model.HasProtoinfo) {
		dst = append(append(append(dst, "--state "...), saveState(f, fix)...), ' ')
	}
	switch {
	case f.Proto == model.ProtoSCTP && e.Has.Has(model.HasSCTPInfo):
		dst = appendArg(dst, "--orig-vtag ", saveVTag(e.SCTP.VTag[0]))
		dst = appendArg(dst, "--reply-vtag ", saveVTag(e.SCTP.VTag[1]))
	case f.Proto == model.ProtoDCCP && e.Has.Has(model.HasDCCPInfo) && e.DCCP.Role == 0:
		dst = append(dst, "--role client "...)
	case f.Proto == model.ProtoDCCP && e.Has.Has(model.HasDCCPInfo):
		dst = append(dst, "--role server "...)
	}
	return dst
}

// saveState returns the name of f's state in conntrack's option parser, which lacks two of SCTP's.
func saveState(f *model.Flow, fix Fix) string {
	if f.Proto == model.ProtoSCTP && (f.State == 8 || f.State == 9) && fix&FixState == 0 {
		return "(null)"
	}
	return model.StateName(f.Proto, f.State)
}

// saveVTag returns the number that conntrack(8) writes and reads for a verification tag: it swaps the bytes of little-
// endian machines both times, so that -o save and -R agree. Changing one would break the files of the other.
func saveVTag(v uint32) uint64 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// appendArg appends an option and a number.
func appendArg(dst []byte, option string, v uint64) []byte {
	return append(appendUint(append(dst, option...), v), ' ')
}

// appendEndpoint appends ADDR:PORT, [ADDR]:PORT for IPv6.
func appendEndpoint(dst []byte, fam model.Family, a [16]byte, port uint16) []byte {
	if fam == model.IPv4 {
		dst = AppendAddr(dst, fam, a)
	} else {
		dst = append(AppendAddr(append(dst, '['), fam, a), ']')
	}
	return appendUint(append(dst, ':'), uint64(port))
}

// appendSaveLabels appends a list of labels, quoted if a name needs it.
func appendSaveLabels(dst []byte, l *model.Labels, names LabelNames) []byte {
	from := len(dst)
	dst = append(dst, '"')
	for bit := l.Next(0); bit < model.LabelBits; bit = l.Next(bit + 1) {
		if name := names.Name(bit); name != "" && !strings.Contains(name, ",") && model.Escape(name) == name {
			dst = append(dst, name...)
		} else { // a name that would be another there
			dst = appendUint(dst, uint64(bit))
		}
		dst = append(dst, ',')
	}
	return append(quoteWord(dst[:len(dst)-1], from), ' ')
}

// AppendSaveNote appends a comment line, with its end, of what no save line can restore: counters, times, security
// context, the EXPECTED bit. It appends nothing if there is nothing.
func AppendSaveNote(dst []byte, e *model.Event) []byte {
	from := len(dst)
	dst = append(dst, '#')
	f := &e.Flow
	if e.Has.Has(model.HasCountersOrig) {
		dst = appendUint(append(dst, " orig-packets="...), f.Packets[0])
		dst = appendUint(append(dst, " orig-bytes="...), f.Bytes[0])
	}
	if e.Has.Has(model.HasCountersReply) {
		dst = appendUint(append(dst, " reply-packets="...), f.Packets[1])
		dst = appendUint(append(dst, " reply-bytes="...), f.Bytes[1])
	}
	if e.Has.Has(model.HasStart) {
		dst = AppendRFC3339(append(dst, " start="...), e.Start)
	}
	if e.Has.Has(model.HasStatus) && f.Status&model.StatusExpected != 0 {
		dst = append(dst, " expected"...)
	}
	if e.Has.Has(model.HasSecmark) {
		dst = appendUint(append(dst, " secmark="...), uint64(e.Secmark))
	}
	if e.Has.Has(model.HasSecctx) {
		dst = AppendWord(append(dst, " secctx="...), e.Extra.Secctx)
	}
	if len(dst) == from+1 {
		return dst[:from]
	}
	return append(dst, '\n')
}
