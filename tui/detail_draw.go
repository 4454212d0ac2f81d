package tui

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ctview/model"

	"ctview/tui/draw"
)

func (d *detail) draw(a *App, f *draw.Frame) {
	a.titleLine(f)
	f.Begin(draw.Plain)
	f.Text(" " + d.placeText(a, f.W >= wideFrom))
	if f.W >= wideFrom {
		f.Right(draw.Faint, "j/k next/previous flow without leaving this screen")
	}
	f.End()
	body := d.body(a, f)
	room := f.H - f.Y() - 1 - len(a.notes(a.message(), ""))
	d.top = max(min(d.top, len(body)-room), 0)
	for _, l := range body[d.top:min(len(body), d.top+room)] {
		f.Begin(draw.Plain)
		f.Text(" ")
		l(f)
		f.End()
	}
	msg := a.message()
	if msg == "" && len(body) > room {
		msg = fmt.Sprintf("lines %d-%d of %d, PgDn shows more", d.top+1, min(len(body), d.top+room), len(body))
	}
	a.foot(f, msg, "")
}

func (d *detail) placeText(a *App, wide bool) string {
	switch {
	case d.gone && d.got:
		return "this flow has ended; what is shown is the last of it"
	case d.gone:
		return "no such flow in the table"
	case !d.answered:
		return "reading " + a.marks.Ellipsis
	case d.at < 0 && a.active() == nil:
		return "a flow of the table"
	case d.at < 0:
		return "a flow that the filter does not match"
	}
	t := "Flow " + draw.Count(d.at+1) + " of " + draw.Count(d.matched)
	if wide {
		in := strings.ToUpper(d.fl.sort) + " " + orderWord(d.fl.desc)
		if a.text != "" {
			in = model.Escape(a.text) + ", " + in
		}
		t += " (" + in + ")"
	}
	return t
}

// A piece writes one line of the body.
type piece func(f *draw.Frame)

func words(s string) piece { return func(f *draw.Frame) { f.Text(s) } }

// labelled writes a name and what it stands for, in as many lines as that needs.
func labelled(name, s string, w int) []piece {
	nw := 8
	if w >= wideFrom {
		nw = 11
	}
	var out []piece
	for i, l := range wrapKeep(s, max(w-nw-3, 10)) {
		n := name
		if i > 0 {
			n = ""
		}
		out = append(out, func(f *draw.Frame) {
			f.Styled(draw.Faint, padRight(n, nw))
			f.Text(" " + l)
		})
	}
	return out
}

// body is everything between the title and the keys.
func (d *detail) body(a *App, f *draw.Frame) []piece {
	if !d.got {
		if d.gone {
			return []piece{words(""), words(draw.Describe(&d.key))}
		}
		return []piece{words("reading " + f.Marks.Ellipsis)}
	}
	wide := f.W >= wideFrom
	ls := d.identity(a, wide)
	ls = append(ls, words(""))
	ls = append(ls, d.tuples(a, wide)...)
	ls = append(ls, words(""))
	ls = append(ls, d.facts(a)...)
	ls = append(ls, words(""))
	ls = append(ls, d.rates(a, f)...)
	ls = append(ls, words(""))
	ls = append(ls, d.past(a, wide)...)
	ls = append(ls, words(""))
	return append(ls, d.elsewhere(f.W)...)
}

// identity says what the flow is.
func (d *detail) identity(a *App, wide bool) []piece {
	r := &d.row
	fl := &r.Flow
	look := draw.StateRole(&r.Flow)
	state := fl.StateText()
	status := strings.Join(strings.FieldsFunc((fl.Status&^(model.StatusSrcNATDone|model.StatusDstNATDone)).String(), func(c rune) bool { return c == '|' }), " ")
	zone := string(draw.AppendZone(nil, &fl.Key))
	if fl.ZoneDir != model.ZoneBoth {
		zone = strconv.Itoa(int(fl.Zone)) + " (" + [...]string{"", "original", "reply"}[fl.ZoneDir%3] + " direction only)"
	}
	meta := fmt.Sprintf("zone %s   mark %s   labels %s   helper %s   id %d   ct state %s", zone, markText(fl.Mark), a.labelsText(&r.Extra.Labels), dash(model.Escape(fl.Helper.String())), fl.ID, fl.CtState())
	first := func(f *draw.Frame) {
		f.Styled(draw.Strong, strings.ToUpper(fl.Proto.String())+"  ")
		f.Styled(look, state)
		f.Text("   " + status)
		if wide {
			f.Text("     " + meta)
		}
	}
	out := []piece{first}
	if !wide {
		meta = strings.ReplaceAll(meta, "   ", "  ")
		for _, l := range wrapKeep(meta, a.w-2) {
			out = append(out, words(l))
		}
	} else if n := len(state) + len(status) + len(meta) + 15; n > a.w {
		out[0] = func(f *draw.Frame) {
			f.Styled(draw.Strong, strings.ToUpper(fl.Proto.String())+"  ")
			f.Styled(look, state)
			f.Text("   " + status)
		}
		out = append(out, words(meta))
	}
	if r.Extra.Secctx != "" {
		out = append(out, words("secctx "+model.Escape(r.Extra.Secctx)))
	}
	return out
}

func markText(m uint32) string {
	if m == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(uint64(m), 16)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// labelsText names the bits that are set.
func (a *App) labelsText(l *model.Labels) string {
	var out []string
	for bit := range 128 {
		if l.Bit(bit) {
			n := strconv.Itoa(bit)
			if a.opt.LabelName != nil {
				if s := a.opt.LabelName(bit); s != "" {
					n = model.Escape(s)
				}
			}
			out = append(out, n)
		}
	}
	return dash(strings.Join(out, ","))
}

// tuples shows both directions and what NAT does.
func (d *detail) tuples(a *App, wide bool) []piece {
	fl := &d.row.Flow
	names := [2]string{"original", "reply"}
	aw, nw := 22, 8
	if wide {
		aw = 29
	} else {
		names = [2]string{"orig", "reply"}
		nw = 5
	}
	for _, t := range []model.Tuple{fl.Orig(), fl.Reply()} {
		aw = max(aw, draw.Width(draw.End(t, true)), draw.Width(draw.End(t, false)))
	}
	if !wide {
		aw = min(aw, (a.w-nw-22)/2)
	}
	if a.w < 66 {
		return append(d.tuplesTall(a), d.natPieces(a)...)
	}
	row := func(name, s, t, pk, by, ra string) string {
		l := padRight(name, nw) + " " + padRight(s, aw) + " " + padRight(t, aw)
		if wide {
			l = " " + padRight(name, nw) + "   " + padRight(s, aw) + " " + padRight(t, aw) + padLeft(pk, 10)
		}
		return l + padLeft(by, 8) + padLeft(ra, 10)
	}
	out := []piece{func(f *draw.Frame) { f.Styled(draw.Head, row("", "SOURCE", "DESTINATION", "PACKETS", "BYTES", "RATE")) }}
	for i, t := range []model.Tuple{fl.Orig(), fl.Reply()} {
		pk, by, ra := "-", "-", "-"
		if fl.Known&model.KnownCounters != 0 {
			pk, by = strconv.FormatUint(fl.Packets[i], 10), string(model.AppendBytes(nil, fl.Bytes[i]))
		}
		if fl.Known&model.KnownRate != 0 {
			ra = string(d.fl.c.appendRate(nil, float64(fl.Rate[i])))
		}
		src, dst := draw.EndIn(t, true, aw, a.marks.Ellipsis), draw.EndIn(t, false, aw, a.marks.Ellipsis)
		out = append(out, words(row(names[i], src, dst, pk, by, ra)))
		for _, src := range []bool{true, false} {
			if n := a.nameOf(&t, src); n != "" {
				out = append(out, words(strings.Repeat(" ", nw+1)+draw.End(t, src)+" is "+n))
			}
		}
	}
	return append(out, d.natPieces(a)...)
}

// natPieces explain NAT, and what ports mean in ICMP.
func (d *detail) natPieces(a *App) []piece {
	fl := &d.row.Flow
	var out []piece
	for _, l := range natWords(fl, a.marks.Arrow) {
		out = append(out, labelled("NAT", l, a.w)...)
	}
	if fl.Proto.IsICMP() {
		t, r := fl.Orig(), fl.Reply()
		t1, c1, id := t.ICMP()
		t2, c2, _ := r.ICMP()
		out = append(out, labelled("icmp", fmt.Sprintf("type %d code %d id %d, answered by type %d code %d", t1, c1, id, t2, c2), a.w)...)
	}
	return out
}

// tuplesTall shows both directions where there is no room for a table.
func (d *detail) tuplesTall(a *App) []piece {
	fl := &d.row.Flow
	var out []piece
	for i, t := range []model.Tuple{fl.Orig(), fl.Reply()} {
		by, ra := "-", "-"
		if fl.Known&model.KnownCounters != 0 {
			by = string(model.AppendBytes(nil, fl.Bytes[i]))
		}
		if fl.Known&model.KnownRate != 0 {
			ra = string(d.fl.c.appendRate(nil, float64(fl.Rate[i])))
		}
		out = append(out, words(padRight([...]string{"orig", "reply"}[i], 6)+draw.End(t, true)),
			words("    "+a.marks.Arrow+" "+draw.End(t, false)), words("      "+by+" bytes, "+ra))
	}
	return out
}

func padLeft(s string, n int) string {
	if w := draw.Width(s); w < n {
		return strings.Repeat(" ", n-w) + s
	}
	return " " + s
}

// natWords explains what is translated.
func natWords(fl *model.Flow, arrow string) []string {
	var out []string
	o, r := fl.Orig(), fl.Reply()
	if fl.SNAT() {
		to := draw.End(r, false)
		out = append(out, "source "+draw.End(o, true)+" "+arrow+" "+to+"   (replies go back to "+r.DstAddr().String()+")")
	}
	if fl.DNAT() {
		to := draw.End(r, true)
		out = append(out, "destination "+draw.End(o, false)+" "+arrow+" "+to+"   ("+r.SrcAddr().String()+" answers)")
	}
	if len(out) == 0 {
		out = append(out, "none: replies are the original turned round")
	}
	return out
}

// facts are timeout, start, protocol details and expectations.
func (d *detail) facts(a *App) []piece {
	fl := &d.row.Flow
	now := a.now.UnixNano()
	timeout := "- (offloaded: the flowtable keeps its own)"
	if fl.Known&model.KnownTimeout != 0 {
		timeout = string(model.AppendDurationLong(nil, time.Duration(fl.Expires-now)))
		name, limit := timeoutSysctl(fl, a)
		if limit > 0 {
			timeout += " of " + string(model.AppendDurationLong(nil, time.Duration(limit)*time.Second))
		}
		timeout += " (" + name + ")"
		if fl.Status&model.StatusFixedTimeout != 0 {
			timeout += " fixed"
		}
	} else if !fl.Offloaded() {
		timeout = "-"
	}
	started := "-"
	if fl.First != 0 {
		at := time.Unix(0, fl.First).In(a.now.Location())
		started = at.Format("2006-01-02 15:04:05") + "  (" + string(model.AppendDurationLong(nil, time.Duration(now-fl.First))) + " ago)"
		if fl.Known&model.KnownStart == 0 {
			started += "  first seen by ctview; its start is not known"
		}
	}
	out := append(labelled("timeout", timeout, a.w), labelled("started", started, a.w)...)
	if s := d.protoFacts(); s != "" {
		out = append(out, labelled(fl.Proto.String(), s, a.w)...)
	}
	master := "-"
	if d.whole {
		master = "none: it was not expected"
	}
	if m := d.row.Extra.Master; m.Family != 0 {
		master = string(draw.AppendPair(nil, &m)) + "   (m goes there)"
	}
	out = append(out, labelled("master", master, a.w)...)
	for i := range d.expects {
		out = append(out, labelled("expects", expectText(&d.expects[i]), a.w)...)
	}
	for i := range d.children {
		out = append(out, labelled("child", draw.Describe(&d.children[i]), a.w)...)
	}
	if d.more > 0 {
		out = append(out, labelled("", "and "+model.Plural(d.more, "flow")+" more", a.w)...)
	}
	if d.hasEv && d.ev.Has.Has(model.HasUse) {
		out = append(out, labelled("used by", model.Plural(d.ev.Use, "reference"), a.w)...)
	}
	for _, l := range d.about {
		name, text, ok := strings.Cut(model.Escape(l), ": ")
		if !ok {
			name, text = "", name
		}
		out = append(out, labelled(name, text, a.w)...)
	}
	if d.evErr != nil && !d.gone && !errors.Is(d.evErr, ErrGone) {
		out = append(out, labelled("kernel", model.Escape(d.evErr.Error()), a.w)...)
	}
	return out
}

// protoFacts are what only the kernel's full message tells.
func (d *detail) protoFacts() string {
	if !d.hasEv {
		return ""
	}
	var out []string
	e := &d.ev
	if e.Has.Has(model.HasTCPInfo) {
		out = append(out, fmt.Sprintf("flags orig 0x%02x reply 0x%02x   window scale %d/%d", e.TCP.Flags[0], e.TCP.Flags[1], e.TCP.WScale[0], e.TCP.WScale[1]))
	}
	if e.Has.Has(model.HasSCTPInfo) {
		out = append(out, fmt.Sprintf("verification tags 0x%08x 0x%08x", e.SCTP.VTag[0], e.SCTP.VTag[1]))
	}
	if e.Has.Has(model.HasDCCPInfo) {
		out = append(out, fmt.Sprintf("role %s   handshake sequence %d", [...]string{"client", "server"}[e.DCCP.Role&1], e.DCCP.HandshakeSeq))
	}
	if e.Has.Has(model.HasSynproxy) {
		out = append(out, fmt.Sprintf("synproxy isn %d its %d tsoff %d", e.Synproxy.ISN, e.Synproxy.ITS, e.Synproxy.TSOff))
	}
	for i, has := range []model.Fields{model.HasSeqAdjOrig, model.HasSeqAdjReply} {
		if s := e.SeqAdj[i]; e.Has.Has(has) && s.OffsetAfter != 0 {
			out = append(out, fmt.Sprintf("%s sequence numbers shifted by %d", [...]string{"original", "reply"}[i], int32(s.OffsetAfter)))
		}
	}
	return strings.Join(out, "   ")
}

// timeoutSysctl names the setting that the timeout of a flow began with, and its value in seconds where it is known.
func timeoutSysctl(fl *model.Flow, a *App) (name string, limit int64) {
	const p = "nf_conntrack_"
	state := strings.ToLower(fl.StateText())
	switch fl.Proto {
	case model.ProtoTCP:
		if int(fl.State) < len(a.sys.TCPTimeouts) && a.hasSys && a.sys.TCPTimeouts[fl.State].OK {
			limit = a.sys.TCPTimeouts[fl.State].Value
		}
		if state == "syn_sent2" {
			state = "syn_sent"
		}
		return p + "tcp_timeout_" + state, limit
	case model.ProtoSCTP, model.ProtoDCCP:
		return p + fl.Proto.String() + "_timeout_" + state, 0
	case model.ProtoUDP, model.ProtoUDPLite, model.ProtoGRE:
		name := "udp"
		if fl.Proto == model.ProtoGRE {
			name = "gre"
		}
		if fl.Status&model.StatusAssured != 0 || fl.Proto == model.ProtoGRE && fl.Status&model.StatusSeenReply != 0 {
			return p + name + "_timeout_stream", 0
		}
		return p + name + "_timeout", 0
	case model.ProtoICMP, model.ProtoICMPv6:
		return p + fl.Proto.String() + "_timeout", 0
	}
	return p + "generic_timeout", 0
}
