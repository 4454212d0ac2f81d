package format

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"ctview/model"
)

// CSVColumns returns the columns of CSV where nobody chose: everything that the kernel says of a flow. The caller owns
// the slice.
func CSVColumns() []model.Column {
	return []model.Column{model.ColFamily, model.ColProto, model.ColState, model.ColCtState, model.ColStatus,
		model.ColSrc, model.ColSport, model.ColDst, model.ColDport, model.ColOrigPackets, model.ColOrigBytes,
		model.ColReplySrc, model.ColReplySport, model.ColReplyDst, model.ColReplyDport, model.ColReplyPackets,
		model.ColReplyBytes, model.ColZone, model.ColMark, model.ColID, model.ColTimeout, model.ColHelper, model.ColLabels,
		model.ColSecctx, model.ColMaster, model.ColStart}
}

// AppendCSVHeader appends the names of the columns as a CSV record without its line end; events says that the rows
// begin with time and event (AppendCSVEvent).
func AppendCSVHeader(dst []byte, cols []model.Column, events bool) []byte {
	if events {
		dst = append(dst, "time,event,"...)
	}
	for i, c := range cols {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, c.String()...)
	}
	return dst
}

// AppendCSV appends a flow as one CSV record (RFC 4180) without its line end. x may be nil. See appendValue for what the
// fields hold. Of the options Now and Labels count.
func AppendCSV(dst []byte, cols []model.Column, f *model.Flow, x *model.Extra, o Options) []byte {
	for i, c := range cols {
		if i > 0 {
			dst = append(dst, ',')
		}
		from := len(dst)
		dst = appendValue(dst, c, f, x, o)
		if foreign(c) {
			dst = quoteCSV(dst, from)
		}
	}
	return dst
}

// AppendCSVEvent is AppendCSV for an event: two fields more in front, its time and kind. Of the options Times and Begin count, too.
func AppendCSVEvent(dst []byte, cols []model.Column, e *model.Event, o Options) []byte {
	dst = append(appendCSVTime(dst, eventTime(e, &o), &o), ',')
	dst = append(append(dst, e.Kind.String()...), ',')
	return AppendCSV(dst, cols, &e.Flow, &e.Extra, o)
}

// foreign reports whether the text of c comes from outside: from the kernel's strings, names of processes,
// users, cgroups and interfaces, or connlabel.conf.
func foreign(c model.Column) bool {
	return model.OwnerColumn(c) || model.RouteColumn(c) || c == model.ColHelper || c == model.ColSecctx || c == model.ColLabels || c == model.ColMaster
}

// quoteCSV makes dst[from:] a field: quoted where it holds a quote, comma or blank at an end, and with a ' in front
// where a spreadsheet would take it for a formula. AppendEscaped has dealt with line ends and tabs.
func quoteCSV(dst []byte, from int) []byte {
	if len(dst) == from {
		return dst
	}
	formula, quote := false, dst[from] == ' ' || dst[len(dst)-1] == ' '
	switch r, _ := utf8.DecodeRune(bytes.TrimLeftFunc(dst[from:], unicode.IsSpace)); r {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠': // the wide ones are formulas in East Asia
		formula = true
	}
	for _, c := range dst[from:] {
		quote = quote || c == '"' || c == ','
	}
	if !quote && !formula {
		return dst
	}
	lead := ""
	switch {
	case quote && formula:
		lead = `"'`
	case quote:
		lead = `"`
	default:
		lead = `'`
	}
	n := len(dst)
	dst = append(dst, lead...)
	copy(dst[from+len(lead):], dst[from:n])
	copy(dst[from:], lead)
	if quote {
		dst = append(substitute(dst, from+len(lead), csvQuote), '"')
	}
	return dst
}

// AppendCSVField appends a foreign text as one field: escaped, quoted where it must be, and never a formula.
func AppendCSVField(dst []byte, s string) []byte {
	from := len(dst)
	return quoteCSV(model.AppendEscaped(dst, s), from)
}

func csvQuote(r rune) string {
	if r == '"' {
		return `""`
	}
	return ""
}

// appendValue appends the value of a column for programs, nothing for what is not known: counters, seconds of timeout
// and age, bytes and packets per second, marks and zones as plain decimal numbers; addresses without ports; times as in
// JSON; flags, NAT and names as AppendCell has them, escaped but not quoted.
func appendValue(dst []byte, c model.Column, f *model.Flow, x *model.Extra, o Options) []byte {
	switch c {
	case model.ColTimeout:
		if f.Known&model.KnownTimeout != 0 {
			// Rounded: Expires was the time of reading plus whole seconds.
			dst = appendUint(dst, uint64(max(f.Expires-o.Now+second/2, 0)/second))
		}
	case model.ColAge:
		if f.Known&model.KnownStart != 0 { // "at least", which tables write with >, is no number
			dst = appendUint(dst, uint64(max(o.Now-f.First, 0)/second))
		}
	case model.ColStart:
		if f.Known&model.KnownStart != 0 {
			dst = appendCSVTime(dst, f.First, &o)
		}
	case model.ColMark:
		dst = appendUint(dst, uint64(f.Mark))
	case model.ColRate, model.ColOrigRate, model.ColReplyRate, model.ColPPS:
		if v, ok := rate(c, f); ok {
			dst = strconv.AppendFloat(dst, v, 'f', 1, 64)
		}
	case model.ColBytes, model.ColOrigBytes, model.ColReplyBytes, model.ColPackets, model.ColOrigPackets,
		model.ColReplyPackets, model.ColAvgPkt:
		if v, ok := counter(c, f); ok {
			dst = appendUint(dst, v)
		}
	case model.ColSrc:
		dst = AppendAddr(dst, f.Family, f.Src)
	case model.ColDst:
		dst = AppendAddr(dst, f.Family, f.Dst)
	case model.ColReplySrc:
		dst = AppendAddr(dst, f.Family, f.ReplySrc)
	case model.ColReplyDst:
		dst = AppendAddr(dst, f.Family, f.ReplyDst)
	case model.ColZone:
		dst = appendUint(dst, uint64(f.Zone))
	case model.ColNAT:
		n := len(dst)
		if dst = model.AppendNAT(dst, f); dst[n] == '-' {
			dst = dst[:n]
		}
	case model.ColFlags:
		n := len(dst)
		if dst = model.AppendFlags(dst, f); dst[n] == '-' {
			dst = dst[:n]
		}
	default:
		dst = appendWordCell(dst, c, f, x, &o)
	}
	return dst
}
