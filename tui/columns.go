package tui

import (
	"slices"
	"strconv"
	"time"

	"ctview/model"
	"ctview/model/format"

	"ctview/tui/draw"
)

// A column is one column of the table of flows.
type column struct {
	name         string // as in --columns, --sort and the config
	title, short string // heads; short is for the compact width
	min, want    int    // compact and comfortable width
	max          int    // grows up to here where there is room; 0: want
	right        bool
	off          bool // not in the default set
	extra        bool // shown as package format writes it
	value        func(dst []byte, r *model.Row, c *cells) []byte
	look         func(r *model.Row, c *cells) draw.Role // nil: plain
}

// A cells is what drawing a cell needs beside the row.
type cells struct {
	now     int64          // Unix nanoseconds that ages and timeouts count from
	zone    *time.Location // that times are shown in, nil: the local one
	width   int            // of the cell
	more    string
	dir     int  // counters of: 0 both directions, 1 original, 2 reply
	bits    bool // rates in bits
	sys     *model.System
	scratch []byte
	names   func(t *model.Tuple, src bool) string // name of an address, "" for none; nil: numbers only
}

// endWidth holds one end of any IPv4 flow in full: 255.255.255.255:65535.
const endWidth = 21

// flowColumns are all columns, in their default order.
var flowColumns = []column{
	{name: "proto", title: "PROTO", short: "PRO", min: 4, want: 5, max: 7, value: protoCell},
	{name: "state", title: "STATE", short: "STATE", min: 11, want: 11, max: 17, value: stateCell, look: stateLook},
	{name: "src", title: "SOURCE", short: "SOURCE", min: endWidth, want: 22, max: addrMax, value: srcCell},
	{name: "dst", title: "DESTINATION", short: "DESTINATION", min: endWidth, want: 22, max: addrMax, value: dstCell},
	{name: "nat", title: "NAT", short: "NAT", min: 3, want: 3, value: natCell},
	{name: "zone", title: "ZONE", short: "ZONE", min: 4, want: 4, max: 6, right: true, value: zoneCell, look: zoneLook},
	{name: "helper", title: "HELPER", short: "HELPER", min: 6, want: 6, max: 12, value: helperCell, look: helperLook},
	{name: "flags", title: "FLAGS", short: "FLG", min: 3, want: 5, value: flagsCell},
	{name: "timeout", title: "TIMEOUT", short: "TIMEOUT", min: 7, want: 7, right: true, value: timeoutCell, look: timeoutLook},
	{name: "rate", title: "RATE", short: "RATE", min: 7, want: 9, right: true, value: rateCell, look: rateLook},
	{name: "bytes", title: "BYTES", short: "BYTES", min: 7, want: 7, right: true, value: bytesCell},
	{name: "age", title: "AGE", short: "AGE", min: 5, want: 5, max: 7, right: true, value: ageCell},
	{name: "packets", title: "PACKETS", short: "PACKETS", min: 7, want: 7, right: true, off: true, value: packetsCell},
	{name: "pps", title: "PPS", short: "PPS", min: 6, want: 6, right: true, off: true, value: ppsCell},
	{name: "mark", title: "MARK", short: "MARK", min: 6, want: 10, right: true, off: true, value: markCell},
	{name: "ctstate", title: "CTSTATE", short: "CTST", min: 4, want: 11, off: true, value: ctstateCell},
	{name: "reply-src", title: "REPLY SOURCE", short: "REPLY SRC", min: endWidth, want: 22, max: addrMax, off: true, value: replySrcCell},
	{name: "reply-dst", title: "REPLY DEST", short: "REPLY DST", min: endWidth, want: 22, max: addrMax, off: true, value: replyDstCell},
	{name: "id", title: "ID", short: "ID", min: 10, want: 10, right: true, off: true, value: idCell},
	{name: "secctx", title: "SECCTX", short: "SECCTX", min: 12, want: 24, max: 64, off: true, value: secctxCell},
}

// init adds the columns of the model that have no way of their own to be drawn.
func init() {
	for _, c := range model.Columns() {
		if columnNamed(c.String()) != nil {
			continue
		}
		head := format.Title(c)
		flowColumns = append(flowColumns, column{name: c.String(), title: head, short: head, min: max(draw.Width(head)+2, 8),
			want: max(draw.Width(head)+2, 12), max: 24, off: true, extra: true,
			value: func(dst []byte, r *model.Row, x *cells) []byte {
				return format.AppendCell(dst, c, &r.Flow, &r.Extra, format.Options{Now: x.now, Location: x.zone})
			}})
	}
}

// dropOrder is the order in which columns go as the width shrinks. Columns that are not in it never go.
var dropOrder = []string{"secctx", "id", "reply-dst", "reply-src", "ctstate", "mark", "pps", "packets",
	"age", "bytes", "helper", "timeout", "nat", "flags", "zone", "rate"}

// shows reports whether one of the columns is of a kind.
func shows(cols []*column, is func(model.Column) bool) bool {
	return slices.ContainsFunc(cols, func(c *column) bool {
		m, err := model.ParseColumn(c.name)
		return err == nil && is(m)
	})
}

// sortColumn returns the order that the column called name stands for when counters are those of direction dir.
func sortColumn(name string, dir int) (model.Column, bool) {
	if dir > 0 {
		switch name {
		case "bytes", "packets", "rate":
			name = [...]string{"", "orig-", "reply-"}[dir] + name
		}
	}
	c, err := model.ParseColumn(name)
	return c, err == nil
}

// columnNamed returns the column called name, nil for none.
func columnNamed(name string) *column {
	for i := range flowColumns {
		if flowColumns[i].name == name {
			return &flowColumns[i]
		}
	}
	return nil
}

func protoCell(dst []byte, r *model.Row, c *cells) []byte {
	if n := r.Flow.Proto.Name(); n != "" {
		if len(n) > c.width { // icmp… would be another one
			switch r.Flow.Proto {
			case model.ProtoICMPv6:
				n = "icmp6"
				if c.width < len(n) {
					n = "icm6"
				}
			case model.ProtoUDPLite:
				n = "udpl"
			}
		}
		return append(dst, n...)
	}
	return draw.AppendInt(dst, uint16(r.Flow.Proto))
}

// shortStates are names for cells too narrow for the full ones.
var shortStates = map[string]string{"SYN_SENT": "SYNSE", "SYN_SENT2": "SYNS2", "SYN_RECV": "SYNRE", "ESTABLISHED": "ESTAB",
	"FIN_WAIT": "FINWA", "CLOSE_WAIT": "CLOWA", "LAST_ACK": "LASTA", "TIME_WAIT": "TIMEW", "unreplied": "unrep",
	"replied": "repl", "offload": "offl"}

func stateCell(dst []byte, r *model.Row, c *cells) []byte {
	s := r.Flow.StateText()
	if len(s) > c.width {
		if n, ok := shortStates[s]; ok {
			s = n
		}
	}
	return append(dst, s...)
}

func stateLook(r *model.Row, _ *cells) draw.Role { return draw.StateRole(&r.Flow) }

func endCell(dst []byte, t model.Tuple, src bool, c *cells) []byte {
	if c.names != nil {
		if n := c.names(&t, src); n != "" {
			return append(dst, n...)
		}
	}
	return draw.AppendEnd(dst, &t, src, c.width, c.more)
}

func srcCell(dst []byte, r *model.Row, c *cells) []byte { return endCell(dst, r.Flow.Orig(), true, c) }
func dstCell(dst []byte, r *model.Row, c *cells) []byte { return endCell(dst, r.Flow.Orig(), false, c) }
func replySrcCell(dst []byte, r *model.Row, c *cells) []byte {
	return endCell(dst, r.Flow.Reply(), true, c)
}
func replyDstCell(dst []byte, r *model.Row, c *cells) []byte {
	return endCell(dst, r.Flow.Reply(), false, c)
}

func natCell(dst []byte, r *model.Row, _ *cells) []byte { return model.AppendNAT(dst, &r.Flow) }

func zoneCell(dst []byte, r *model.Row, _ *cells) []byte { return draw.AppendZone(dst, &r.Flow.Key) }

func zoneLook(r *model.Row, _ *cells) draw.Role {
	if r.Flow.Zone != 0 {
		return draw.Zoned
	}
	return draw.Faint
}

func helperCell(dst []byte, r *model.Row, _ *cells) []byte {
	if r.Flow.Helper == 0 {
		return append(dst, '-')
	}
	return model.AppendEscaped(dst, r.Flow.Helper.String())
}

func helperLook(r *model.Row, _ *cells) draw.Role {
	if r.Flow.Helper != 0 {
		return draw.Helped
	}
	return draw.Plain
}

func flagsCell(dst []byte, r *model.Row, _ *cells) []byte { return model.AppendFlags(dst, &r.Flow) }

func timeoutCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.Known&model.KnownTimeout == 0 {
		return append(dst, '-')
	}
	return model.AppendDuration(dst, time.Duration(r.Flow.Expires-c.now))
}

// timeoutLook makes a timeout stand out that is below a tenth of its limit.
func timeoutLook(r *model.Row, c *cells) draw.Role {
	f := &r.Flow
	if c.sys == nil || f.Known&model.KnownTimeout == 0 || f.Proto != model.ProtoTCP || int(f.State) >= len(c.sys.TCPTimeouts) {
		return draw.Plain
	}
	limit := c.sys.TCPTimeouts[f.State]
	if limit.OK && f.Expires-c.now < limit.Value*int64(time.Second)/10 {
		return draw.Warn
	}
	return draw.Plain
}

// rate returns the bytes per second of the directions that c asks for.
func (c *cells) rate(f *model.Flow) float64 { return c.pick(float64(f.Rate[0]), float64(f.Rate[1])) }

func (c *cells) pick(orig, reply float64) float64 {
	switch c.dir {
	case 1:
		return orig
	case 2:
		return reply
	}
	return orig + reply
}

func (c *cells) total(v [2]uint64) uint64 {
	switch c.dir {
	case 1:
		return v[0]
	case 2:
		return v[1]
	}
	return v[0] + v[1]
}

// appendRate appends a rate in the unit that is switched on.
func (c *cells) appendRate(dst []byte, v float64) []byte {
	if c.bits {
		return append(model.AppendBytes(dst, uint64(v*8+0.5)), "bit"...)
	}
	return model.AppendRate(dst, v)
}

func rateCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.Known&model.KnownRate == 0 {
		return append(dst, '-')
	}
	v := c.rate(&r.Flow)
	if v < 0.5 {
		return append(dst, '0')
	}
	return c.appendRate(dst, v)
}

func rateLook(r *model.Row, c *cells) draw.Role {
	if r.Flow.Known&model.KnownRate == 0 {
		return draw.Faint
	}
	return lookOfRate(c.rate(&r.Flow))
}

// trickle is the rate, in bytes a second, below which nothing moves that the eye is to find first.
const trickle = 1000

func lookOfRate(v float64) draw.Role {
	switch {
	case v < 0.5:
		return draw.Faint
	case v < trickle:
		return draw.Plain
	}
	return draw.Busy
}

func bytesCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.Known&model.KnownCounters == 0 {
		return append(dst, '-')
	}
	return model.AppendBytes(dst, c.total(r.Flow.Bytes))
}

func packetsCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.Known&model.KnownCounters == 0 {
		return append(dst, '-')
	}
	return model.AppendBytes(dst, c.total(r.Flow.Packets))
}

func ppsCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.Known&model.KnownRate == 0 {
		return append(dst, '-')
	}
	return model.AppendBytes(dst, uint64(c.pick(float64(r.Flow.PacketRate[0]), float64(r.Flow.PacketRate[1]))+0.5))
}

// ageCell puts ">" before an age that counts from when ctview first saw the flow.
func ageCell(dst []byte, r *model.Row, c *cells) []byte {
	if r.Flow.First == 0 {
		return append(dst, '-')
	}
	if r.Flow.Known&model.KnownStart == 0 {
		dst = append(dst, '>')
	}
	return model.AppendAge(dst, time.Duration(c.now-r.Flow.First))
}

func markCell(dst []byte, r *model.Row, _ *cells) []byte {
	if r.Flow.Mark == 0 {
		return append(dst, '0')
	}
	return strconv.AppendUint(append(dst, "0x"...), uint64(r.Flow.Mark), 16)
}

func ctstateCell(dst []byte, r *model.Row, _ *cells) []byte {
	return append(dst, r.Flow.CtState().String()...)
}

func idCell(dst []byte, r *model.Row, _ *cells) []byte { return draw.AppendInt(dst, r.Flow.ID) }

func secctxCell(dst []byte, r *model.Row, _ *cells) []byte {
	if r.Extra.Secctx == "" {
		return append(dst, '-')
	}
	return model.AppendEscaped(dst, r.Extra.Secctx)
}
