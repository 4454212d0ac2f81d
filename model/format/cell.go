package format

import (
	"time"

	"ctview/model"
)

// AppendCell appends the text of a column for eyes: units of at most three digits, names escaped, "-" for what is not
// known or not there. f may come from a table or from an Event; x may be nil. Of the options Now (which timeouts and ages count
// from), Location, Times, Begin, Labels, Host and Service count.
func AppendCell(dst []byte, c model.Column, f *model.Flow, x *model.Extra, o Options) []byte {
	n := len(dst)
	switch c {
	case model.ColTimeout:
		if f.Known&model.KnownTimeout != 0 {
			dst = model.AppendDuration(dst, time.Duration(f.Expires-o.Now))
		}
	case model.ColAge:
		dst = appendAgeCell(dst, f, o.Now)
	case model.ColStart:
		if f.First != 0 {
			if f.Known&model.KnownStart == 0 {
				dst = append(dst, '<') // it was there before ctview saw it
			}
			dst = AppendTime(dst, f.First, time.DateTime, &o)
		}
	case model.ColMark:
		dst = appendMarkCell(dst, f.Mark)
	case model.ColRate, model.ColOrigRate, model.ColReplyRate, model.ColPPS:
		dst = appendRateCell(dst, c, f)
	case model.ColBytes, model.ColOrigBytes, model.ColReplyBytes, model.ColPackets, model.ColOrigPackets,
		model.ColReplyPackets, model.ColAvgPkt:
		if v, ok := counter(c, f); ok {
			dst = model.AppendBytes(dst, v)
		}
	case model.ColSrc, model.ColDst, model.ColReplySrc, model.ColReplyDst:
		dst = appendEndCell(dst, c, f, &o)
	case model.ColZone:
		dst = appendUint(dst, uint64(f.Zone))
		switch f.ZoneDir {
		case model.ZoneOrig:
			dst = append(dst, 'o')
		case model.ZoneReply:
			dst = append(dst, 'r')
		}
	default:
		dst = appendWordCell(dst, c, f, x, &o)
	}
	if len(dst) == n {
		dst = append(dst, '-')
	}
	return dst
}

// appendWordCell appends the columns whose text is the same for eyes and for programs: nothing for what is not there.
func appendWordCell(dst []byte, c model.Column, f *model.Flow, x *model.Extra, o *Options) []byte {
	switch c {
	case model.ColProto:
		if name := f.Proto.Name(); name != "" {
			return append(dst, name...)
		}
		return appendUint(dst, uint64(f.Proto))
	case model.ColState:
		return append(dst, f.StateText()...)
	case model.ColSport:
		return appendPortCell(dst, f.Proto, f.Sport, true)
	case model.ColDport:
		return appendPortCell(dst, f.Proto, f.Dport, false)
	case model.ColReplySport:
		return appendPortCell(dst, f.Proto, f.ReplySport, true)
	case model.ColReplyDport:
		return appendPortCell(dst, f.Proto, f.ReplyDport, false)
	case model.ColNAT:
		return model.AppendNAT(dst, f)
	case model.ColFlags:
		return model.AppendFlags(dst, f)
	case model.ColHelper:
		return model.AppendEscaped(dst, f.Helper.String())
	case model.ColID:
		return appendUint(dst, uint64(f.ID))
	case model.ColFamily:
		return append(dst, f.Family.String()...)
	case model.ColCtState:
		return append(dst, f.CtState().String()...)
	case model.ColPhase:
		return append(dst, f.Phase().String()...)
	case model.ColStatus:
		return appendStatusCell(dst, f.Status)
	}
	if x == nil {
		return dst
	}
	switch c {
	case model.ColLabels:
		return appendLabelCell(dst, &x.Labels, o.Labels)
	case model.ColSecctx:
		return model.AppendEscaped(dst, x.Secctx)
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return model.AppendOwner(dst, c, &x.Owner)
	case model.ColIif, model.ColOif:
		return model.AppendEscaped(dst, x.Route.Text(c))
	case model.ColMaster:
		if x.Master.Family != 0 {
			dst = model.AppendEndpoint(dst, &x.Master, model.Source)
			dst = model.AppendEndpoint(append(dst, " > "...), &x.Master, model.Destination)
		}
	}
	return dst
}

// appendPortCell appends a port; for ICMP the identifier (first) or TYPE/CODE, for GRE the key as conntrack writes it.
func appendPortCell(dst []byte, p model.Proto, port uint16, first bool) []byte {
	switch {
	case p.HasPorts(), p.IsICMP() && first:
		return appendUint(dst, uint64(port))
	case p.IsICMP():
		return appendUint(append(appendUint(dst, uint64(port>>8)), '/'), uint64(port&0xff))
	case p == model.ProtoGRE:
		return appendHex(append(dst, "0x"...), port)
	}
	return dst
}

// appendStatusCell appends the names of the set bits, joined by "|".
func appendStatusCell(dst []byte, s model.Status) []byte {
	n := len(dst)
	names := model.StatusNames()
	for bit := range 32 {
		if s&(1<<bit) == 0 {
			continue
		}
		if len(dst) > n {
			dst = append(dst, '|')
		}
		if bit < len(names) {
			dst = append(dst, names[bit]...)
		} else {
			dst = appendUint(append(dst, "bit"...), uint64(bit))
		}
	}
	return dst
}

// appendLabelCell appends the labels, joined by commas: names, or numbers where there are none.
func appendLabelCell(dst []byte, l *model.Labels, names LabelNames) []byte {
	n := len(dst)
	for bit := l.Next(0); bit < model.LabelBits; bit = l.Next(bit + 1) {
		if len(dst) > n {
			dst = append(dst, ',')
		}
		if name := names.Name(bit); name != "" {
			from := len(dst)
			dst = substitute(model.AppendEscaped(dst, name), from, escapedComma)
		} else {
			dst = appendUint(dst, uint64(bit))
		}
	}
	return dst
}

// appendEndCell appends address and port of one end of one direction, with names where o has some.
func appendEndCell(dst []byte, c model.Column, f *model.Flow, o *Options) []byte {
	t := f.Orig()
	if c == model.ColReplySrc || c == model.ColReplyDst {
		t = f.Reply()
	}
	side, addr, port := model.Source, t.Src, t.Sport
	if c == model.ColDst || c == model.ColReplyDst {
		side, addr, port = model.Destination, t.Dst, t.Dport
	}
	host := ""
	if o.Host != nil {
		host = o.Host(t.Family, addr)
	}
	if host == "" {
		return model.AppendEndpoint(dst, &t, side)
	}
	dst = AppendWord(dst, host)
	switch {
	case t.Proto.HasPorts():
		dst = append(dst, ':')
		if o.Service != nil {
			if s := o.Service(t.Proto, port); s != "" {
				return append(dst, s...)
			}
		}
		return appendUint(dst, uint64(port))
	case t.Proto.IsICMP() && side == model.Source:
		return appendUint(append(dst, " id "...), uint64(port))
	}
	return dst
}

// appendAgeCell appends how old the flow is: since the kernel made it, or ">" and since ctview saw it first.
func appendAgeCell(dst []byte, f *model.Flow, now int64) []byte {
	if f.First == 0 {
		return dst
	}
	if f.Known&model.KnownStart == 0 {
		dst = append(dst, '>')
	}
	return model.AppendAge(dst, time.Duration(now-f.First))
}

// counter returns a counter or a sum of counters.
func counter(c model.Column, f *model.Flow) (v uint64, ok bool) {
	if f.Known&model.KnownCounters == 0 {
		return 0, false
	}
	switch c {
	case model.ColBytes:
		return f.Bytes[0] + f.Bytes[1], true
	case model.ColOrigBytes:
		return f.Bytes[0], true
	case model.ColReplyBytes:
		return f.Bytes[1], true
	case model.ColPackets:
		return f.Packets[0] + f.Packets[1], true
	case model.ColOrigPackets:
		return f.Packets[0], true
	case model.ColReplyPackets:
		return f.Packets[1], true
	case model.ColAvgPkt:
		if n := f.Packets[0] + f.Packets[1]; n != 0 {
			return (f.Bytes[0] + f.Bytes[1]) / n, true
		}
	}
	return 0, false
}

// rate returns bytes or packets per second.
func rate(c model.Column, f *model.Flow) (v float64, ok bool) {
	if f.Known&model.KnownRate == 0 {
		return 0, false
	}
	switch c {
	case model.ColRate:
		return float64(f.Rate[0]) + float64(f.Rate[1]), true
	case model.ColOrigRate:
		return float64(f.Rate[0]), true
	case model.ColReplyRate:
		return float64(f.Rate[1]), true
	case model.ColPPS:
		return float64(f.PacketRate[0]) + float64(f.PacketRate[1]), true
	}
	return 0, false
}

func appendRateCell(dst []byte, c model.Column, f *model.Flow) []byte {
	v, ok := rate(c, f)
	switch {
	case !ok:
		return dst
	case c == model.ColPPS && v < 0.05, c != model.ColPPS && v < 0.5:
		return append(dst, '0')
	case c == model.ColPPS:
		return model.AppendPacketRate(dst, v)
	}
	return model.AppendRate(dst, v)
}

// appendMarkCell appends a mark as nft and ip write marks, 0x10, but for 0.
func appendMarkCell(dst []byte, m uint32) []byte {
	if m == 0 {
		return append(dst, '0')
	}
	dst = append(dst, "0x"...)
	if m>>16 == 0 {
		return appendHex(dst, uint16(m))
	}
	dst = appendHex(dst, uint16(m>>16))
	return append(dst, hexDigits[m>>12&15], hexDigits[m>>8&15], hexDigits[m>>4&15], hexDigits[m&15])
}
