package format

import (
	"strconv"

	"ctview/model"
)

// AppendJSON appends e as one JSON object without a line end: the fields of docs/flow.schema.json, always in the same
// order. What the kernel did not say is absent. Events begin with "event" and "time"; dump rows have neither. Of the
// options Now, Labels and Host count. Rates stand only where a table knows them. It does not allocate by itself.
func AppendJSON(dst []byte, e *model.Event, o Options) []byte {
	f := &e.Flow
	dst = append(dst, '{')
	if e.Kind != model.Dump {
		dst = append(append(append(dst, `"event":"`...), e.Kind.String()...), `","time":"`...)
		dst = append(AppendRFC3339(dst, eventTime(e, &o)), `",`...)
	}
	dst = append(append(append(dst, `"family":"`...), f.Family.String()...), `",`...)
	dst = appendJSONProto(dst, f.Proto)
	if e.Has.Has(model.HasProtoinfo) {
		dst = append(append(append(dst, `,"state":"`...), model.StateName(f.Proto, f.State)...), '"')
	}
	if e.Has.Has(model.HasStatus) {
		dst = append(append(append(dst, `,"ctstate":"`...), f.CtState().String()...), `","status":`...)
		dst = appendJSONStatus(dst, f.Status)
	}
	dst = appendJSONSides(dst, e, &o)
	dst = appendJSONMeta(dst, e, &o)
	dst = appendJSONInfo(dst, e)
	if e.Kind != model.Dump && e.PortID != 0 {
		dst = appendUint(append(dst, `,"portid":`...), uint64(e.PortID))
	}
	return append(dst, '}')
}

// AppendLostJSON appends the object that stands in a stream of events for n that were lost, noticed at now; n is 0
// where the kernel does not say how many.
func AppendLostJSON(dst []byte, now int64, n uint64) []byte {
	dst = AppendRFC3339(append(dst, `{"event":"lost","time":"`...), now)
	return append(appendUint(append(dst, `","lost":`...), n), '}')
}

// appendJSONProto appends "proto" and "proto_num".
func appendJSONProto(dst []byte, p model.Proto) []byte {
	dst = append(dst, `"proto":"`...)
	if name := p.Name(); name != "" {
		dst = append(dst, name...)
	} else {
		dst = appendUint(dst, uint64(p))
	}
	return appendUint(append(dst, `","proto_num":`...), uint64(p))
}

// appendJSONStatus appends the set bits as an array of their names; a bit that this version does not know is "bitN".
func appendJSONStatus(dst []byte, s model.Status) []byte {
	names := model.StatusNames()
	dst = append(dst, '[')
	for bit := range 32 {
		if s&(1<<bit) == 0 {
			continue
		}
		dst = append(dst, '"')
		if bit < len(names) {
			dst = append(dst, names[bit]...)
		} else {
			dst = appendUint(append(dst, "bit"...), uint64(bit))
		}
		dst = append(dst, `",`...)
	}
	return closeList(dst, ']')
}

// closeList replaces the comma that a list ends in, if it does, by its end.
func closeList(dst []byte, end byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, end)
}

// appendJSONSides appends "orig" and "reply". A message without a reply tuple has no "reply" (the kernel always sends
// one).
func appendJSONSides(dst []byte, e *model.Event, o *Options) []byte {
	f := &e.Flow
	t := f.Orig()
	dst = appendJSONTuple(append(dst, `,"orig":{`...), &t, hasPorts(e))
	dst = appendJSONHosts(dst, &t, o)
	dst = appendJSONHolder(dst, e.Extra.Owner.Ends[0])
	if e.Has.Has(model.HasCountersOrig) {
		dst = appendJSONCounters(dst, f.Packets[0], f.Bytes[0])
	}
	dst = appendJSONRates(dst, f, 0)
	if f.ZoneDir == model.ZoneOrig {
		dst = appendUint(append(dst, `,"zone":`...), uint64(f.Zone))
	}
	dst = append(dst, '}')
	if !e.Has.Has(model.HasReply) {
		return dst
	}
	t = f.Reply()
	dst = appendJSONTuple(append(dst, `,"reply":{`...), &t, hasPorts(e))
	dst = appendJSONHosts(dst, &t, o)
	dst = appendJSONHolder(dst, e.Extra.Owner.Ends[1])
	if e.Has.Has(model.HasCountersReply) {
		dst = appendJSONCounters(dst, f.Packets[1], f.Bytes[1])
	}
	dst = appendJSONRates(dst, f, 1)
	if f.ZoneDir == model.ZoneReply {
		dst = appendUint(append(dst, `,"zone":`...), uint64(f.Zone))
	}
	return append(dst, '}')
}

// hasPorts reports whether the ports of e's tuples were told. Kernels without a DCCP tracker (6.18) track DCCP by its
// addresses alone and send neither ports nor a state.
func hasPorts(e *model.Event) bool {
	f := &e.Flow
	return f.Proto != model.ProtoDCCP || e.Has.Has(model.HasProtoinfo) || f.Sport|f.Dport|f.ReplySport|f.ReplyDport != 0
}

// appendJSONTuple appends the fields of a tuple without braces.
func appendJSONTuple(dst []byte, t *model.Tuple, ports bool) []byte {
	dst = AppendAddr(append(dst, `"src":"`...), t.Family, t.Src)
	dst = AppendAddr(append(dst, `","dst":"`...), t.Family, t.Dst)
	dst = append(dst, '"')
	switch {
	case t.Proto.HasPorts() && ports:
		dst = appendUint(append(dst, `,"sport":`...), uint64(t.Sport))
		dst = appendUint(append(dst, `,"dport":`...), uint64(t.Dport))
	case t.Proto.IsICMP():
		typ, code, id := t.ICMP()
		dst = appendUint(append(dst, `,"icmp_type":`...), uint64(typ))
		dst = appendUint(append(dst, `,"icmp_code":`...), uint64(code))
		dst = appendUint(append(dst, `,"icmp_id":`...), uint64(id))
	case t.Proto == model.ProtoGRE:
		dst = appendUint(append(dst, `,"srckey":`...), uint64(t.Sport))
		dst = appendUint(append(dst, `,"dstkey":`...), uint64(t.Dport))
	}
	return dst
}

// appendJSONHosts appends the host names that are known.
func appendJSONHosts(dst []byte, t *model.Tuple, o *Options) []byte {
	if o.Host == nil {
		return dst
	}
	if n := o.Host(t.Family, t.Src); n != "" {
		dst = AppendJSONString(append(dst, `,"src_name":`...), n)
	}
	if n := o.Host(t.Family, t.Dst); n != "" {
		dst = AppendJSONString(append(dst, `,"dst_name":`...), n)
	}
	return dst
}

// appendJSONHolder appends what is known of who holds the socket of the end that a direction comes from.
func appendJSONHolder(dst []byte, h *model.Holder) []byte {
	if h == nil {
		return dst
	}
	if h.PID != 0 {
		dst = appendUint(append(dst, `,"pid":`...), uint64(h.PID))
		dst = AppendJSONString(append(dst, `,"proc":`...), h.Proc)
		dst = appendUint(append(dst, `,"processes":`...), uint64(h.More)+1)
	}
	dst = appendUint(append(dst, `,"uid":`...), uint64(h.UID))
	dst = AppendJSONString(append(dst, `,"user":`...), h.User)
	if h.Cgroup != "" {
		dst = AppendJSONString(append(dst, `,"cgroup":`...), h.Cgroup)
	}
	if h.Container != "" {
		dst = AppendJSONString(append(dst, `,"container":`...), h.Container)
	}
	return dst
}

func appendJSONCounters(dst []byte, packets, bytes uint64) []byte {
	dst = appendUint(append(dst, `,"packets":`...), packets)
	return appendUint(append(dst, `,"bytes":`...), bytes)
}

// appendJSONRates appends bytes and packets per second of a direction, where they are known.
func appendJSONRates(dst []byte, f *model.Flow, dir int) []byte {
	if f.Known&model.KnownRate == 0 {
		return dst
	}
	dst = strconv.AppendFloat(append(dst, `,"rate":`...), float64(f.Rate[dir]), 'f', 1, 64)
	return strconv.AppendFloat(append(dst, `,"pps":`...), float64(f.PacketRate[dir]), 'f', 1, 64)
}

// appendJSONMeta appends what belongs to the flow as a whole, from "forwarded" to "stop".
func appendJSONMeta(dst []byte, e *model.Event, o *Options) []byte {
	has := e.Has
	if e.Extra.Owner.Known {
		dst = strconv.AppendBool(append(dst, `,"forwarded":`...), e.Extra.Owner.Forwarded())
	}
	if w := &e.Extra.Route; *w != (model.Route{}) {
		dst = append(dst, `,"derived":{`...)
		if w.In != "" {
			dst = append(AppendJSONString(append(dst, `"iif":`...), w.In), ',')
		}
		if w.Out != "" {
			dst = AppendJSONString(append(dst, `"oif":`...), w.Out)
		}
		dst = closeList(dst, '}')
	}
	if has.Has(model.HasZone) && e.Flow.ZoneDir == model.ZoneBoth {
		dst = appendUint(append(dst, `,"zone":`...), uint64(e.Flow.Zone))
	}
	if has.Has(model.HasMark) {
		dst = appendUint(append(dst, `,"mark":`...), uint64(e.Flow.Mark))
	}
	if has.Has(model.HasID) {
		dst = appendUint(append(dst, `,"id":`...), uint64(e.Flow.ID))
	}
	if has.Has(model.HasUse) {
		dst = appendUint(append(dst, `,"use":`...), uint64(e.Use))
	}
	if has.Has(model.HasTimeout) {
		dst = appendUint(append(dst, `,"timeout":`...), uint64(e.Timeout))
	}
	if has.Has(model.HasHelper) {
		dst = AppendJSONString(append(dst, `,"helper":`...), e.Flow.Helper.String())
	}
	if has.Has(model.HasSecctx) {
		dst = AppendJSONString(append(dst, `,"secctx":`...), e.Extra.Secctx)
	}
	if has.Has(model.HasLabels) {
		dst = appendJSONLabels(append(dst, `,"labels":`...), &e.Extra.Labels, o.Labels)
	}
	if has.Has(model.HasStart) {
		dst = append(AppendRFC3339(append(dst, `,"start":"`...), e.Start), '"')
	}
	if has.Has(model.HasStop) {
		dst = append(AppendRFC3339(append(dst, `,"stop":"`...), e.Stop), '"')
	}
	return dst
}

// appendJSONLabels appends the set bits as an array: the name of each, or its number where it has none.
func appendJSONLabels(dst []byte, l *model.Labels, names LabelNames) []byte {
	dst = append(dst, '[')
	for bit := l.Next(0); bit < model.LabelBits; bit = l.Next(bit + 1) {
		if name := names.Name(bit); name != "" {
			dst = AppendJSONString(dst, name)
		} else {
			dst = appendUint(dst, uint64(bit))
		}
		dst = append(dst, ',')
	}
	return closeList(dst, ']')
}

// appendJSONInfo appends the master and what TCP and SCTP tell.
func appendJSONInfo(dst []byte, e *model.Event) []byte {
	if e.Has.Has(model.HasMaster) {
		dst = appendJSONTuple(append(dst, `,"master":{`...), &e.Extra.Master, true)
		if e.Extra.MasterZone != 0 {
			dst = appendUint(append(dst, `,"zone":`...), uint64(e.Extra.MasterZone))
		}
		dst = append(dst, '}')
	}
	if e.Has.Has(model.HasTCPInfo) {
		dst = appendUint(append(dst, `,"tcp":{"wscale_orig":`...), uint64(e.TCP.WScale[0]))
		dst = appendUint(append(dst, `,"wscale_reply":`...), uint64(e.TCP.WScale[1]))
		dst = appendUint(append(dst, `,"flags_orig":`...), uint64(e.TCP.Flags[0]))
		dst = appendUint(append(dst, `,"flags_reply":`...), uint64(e.TCP.Flags[1]))
		dst = append(dst, '}')
	}
	if e.Has.Has(model.HasSCTPInfo) {
		dst = appendUint(append(dst, `,"sctp":{"vtag_orig":`...), uint64(e.SCTP.VTag[0]))
		dst = appendUint(append(dst, `,"vtag_reply":`...), uint64(e.SCTP.VTag[1]))
		dst = append(dst, '}')
	}
	return dst
}
