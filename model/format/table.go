package format

import (
	"bytes"

	"ctview/model"
)

// A Table lays flows out in columns for a terminal or a pager. A cell is never cut: one that is wider than its column
// (an IPv6 address) widens it from there on, so that a row stands under those before it or pushes all that follow alike.
// Who holds rows back before the head is printed calls Widen for each. Not safe for concurrent use.
type Table struct {
	cols   []model.Column
	widths []int
	events bool
	dress  Dress
	time   int    // width of the time of events
	row    []byte // cells of the row in the making
}

// NewTable returns a table of these columns; nil is TableColumns(false). events says that rows are events
// (AppendEvent): they begin with their time and kind.
func NewTable(cols []model.Column, events bool) *Table {
	if cols == nil {
		cols = TableColumns(false)
	}
	t := &Table{cols: cols, events: events, time: eventTimeWidth}
	for _, c := range cols {
		t.widths = append(t.widths, max(columnWidth(c), len(Title(c))))
	}
	return t
}

// A Dress says how the parts of a table look: SGR sequences, "" for plain. nil functions dress nothing.
type Dress struct {
	Head string
	Cell func(model.Column, *model.Flow) string
	Kind func(model.Kind) string // of event
}

// endDress ends what a Dress began.
const endDress = "\x1b[m"

// DressAs has the table's parts look as d says.
func (t *Table) DressAs(d Dress) *Table {
	t.dress = d
	return t
}

// TimesAs makes room for times of events in this form. As cells do, one that is wider still widens its column from there on.
func (t *Table) TimesAs(f TimeForm) *Table {
	switch f {
	case TimeUTC:
		t.time++
	case TimeRFC3339:
		t.time = len("2006-01-02T15:04:05.000000000Z")
	case TimeUnix:
		t.time = len("1234567890.123456")
	}
	return t
}

// TableColumns returns the columns of -o table, or of -o wide. Rates are in neither: one look at the table has none.
// The caller owns the slice.
func TableColumns(wide bool) []model.Column {
	cols := []model.Column{model.ColProto, model.ColState, model.ColSrc, model.ColDst, model.ColNAT, model.ColZone,
		model.ColHelper, model.ColFlags, model.ColTimeout, model.ColBytes, model.ColAge}
	if wide {
		cols = append(cols, model.ColPackets, model.ColMark, model.ColCtState, model.ColReplySrc, model.ColReplyDst,
			model.ColID, model.ColLabels, model.ColSecctx)
	}
	return cols
}

// Title returns the head of a column: SOURCE, TIMEOUT, REPLY-BYTES.
func Title(c model.Column) string {
	if int(c) < len(titles) {
		return titles[c]
	}
	return ""
}

// titles are made once, for every column that there is.
var titles = makeTitles()

func makeTitles() []string {
	var all []string
	for _, c := range model.Columns() {
		b := []byte(c.String())
		switch c {
		case model.ColSrc:
			b = []byte("source")
		case model.ColDst:
			b = []byte("destination")
		case model.ColIif, model.ColOif:
			b = append(b, " (route)"...) // derived
		case model.ColReplySrc:
			b = []byte("reply-source")
		case model.ColReplyDst:
			b = []byte("reply-destination")
		}
		for i := range b {
			if b[i] >= 'a' && b[i] <= 'z' {
				b[i] -= 'a' - 'A'
			}
		}
		for int(c) >= len(all) {
			all = append(all, "")
		}
		all[c] = string(b)
	}
	return all
}

// columnWidth returns how many cells a column gets; a longer title widens it.
func columnWidth(c model.Column) int {
	switch c {
	case model.ColNAT:
		return 3
	case model.ColZone:
		return 4
	case model.ColFlags:
		return 5
	case model.ColState:
		return 11
	case model.ColSrc, model.ColDst, model.ColReplySrc, model.ColReplyDst:
		return 21 // 255.255.255.255:65535
	case model.ColTimeout, model.ColBytes, model.ColPackets, model.ColAge, model.ColPPS:
		return 7
	case model.ColMark, model.ColID:
		return 10
	case model.ColRate, model.ColOrigRate, model.ColReplyRate:
		return 8
	case model.ColCtState:
		return 11
	case model.ColStart:
		return 19
	case model.ColStatus:
		return 30
	case model.ColLabels, model.ColSecctx, model.ColProc, model.ColUser, model.ColCgroup:
		return 12
	case model.ColPID:
		return 9 // forwarded
	case model.ColMaster:
		return 45
	}
	return 6
}

// rightAligned reports whether a column holds numbers, whose units shall stand under each other.
func rightAligned(c model.Column) bool {
	switch c {
	case model.ColZone, model.ColTimeout, model.ColRate, model.ColBytes, model.ColPackets, model.ColPPS, model.ColAge,
		model.ColMark, model.ColID, model.ColOrigBytes, model.ColReplyBytes, model.ColOrigPackets, model.ColReplyPackets,
		model.ColOrigRate, model.ColReplyRate, model.ColAvgPkt, model.ColSport, model.ColDport, model.ColReplySport,
		model.ColReplyDport:
		return true
	}
	return false
}

// cellEnd is behind each cell of AppendCells: text of cells is escaped and has none.
const cellEnd = '\x00'

// AppendCells appends the cells of a flow without blanks between them, for Widen and AppendLine. x may be nil. Of the
// options Now, Location, Times, Begin, Labels, Host and Service count.
func (t *Table) AppendCells(dst []byte, f *model.Flow, x *model.Extra, o Options) []byte {
	for _, c := range t.cols {
		look := ""
		if t.dress.Cell != nil {
			look = t.dress.Cell(c, f)
			dst = append(dst, look...)
		}
		from := len(dst)
		dst = AppendCell(dst, c, f, x, o)
		if foreign(c) && c != model.ColMaster { // blanks of others look like more columns
			dst = substitute(dst, from, escapedBlank)
		}
		if look != "" {
			dst = append(dst, endDress...)
		}
		dst = append(dst, cellEnd)
	}
	return dst
}

// Widen makes room for cells, which AppendCells made.
func (t *Table) Widen(cells []byte) {
	for i := range t.widths {
		cell, rest, _ := bytes.Cut(cells, []byte{cellEnd})
		t.widths[i], cells = max(t.widths[i], cellWidth(cell)), rest
	}
}

// AppendLine appends the line of cells, which AppendCells made, without its line end.
func (t *Table) AppendLine(dst, cells []byte) []byte {
	l := line{dst: dst}
	t.line(&l, cells)
	return l.dst
}

// The columns that events begin with: the time of day to the millisecond, the kind.
const (
	eventTimeWidth = 12
	eventKindWidth = 7
)

// AppendHeader appends the line of heads without its line end.
func (t *Table) AppendHeader(dst []byte) []byte {
	l := line{dst: append(dst, t.dress.Head...)}
	if t.events {
		l.put([]byte("TIME"), t.time, false)
		l.put([]byte("EVENT"), eventKindWidth, false)
	}
	for i, c := range t.cols {
		l.put([]byte(Title(c)), t.widths[i], rightAligned(c))
	}
	if t.dress.Head != "" {
		l.dst = append(l.dst, endDress...)
	}
	return l.dst
}

// AppendRow appends the line of a flow without its line end; its arguments are those of AppendCells.
func (t *Table) AppendRow(dst []byte, f *model.Flow, x *model.Extra, o Options) []byte {
	t.row = t.AppendCells(t.row[:0], f, x, o)
	return t.AppendLine(dst, t.row)
}

// AppendEvent appends the line of an event without its line end.
func (t *Table) AppendEvent(dst []byte, e *model.Event, o Options) []byte {
	l := line{dst: dst}
	t.row = appendEventTime(t.row[:0], eventTime(e, &o), &o)
	t.time = max(t.time, len(t.row))
	l.put(t.row, t.time, false)
	t.row = append(t.row[:0], e.Kind.String()...)
	if t.dress.Kind != nil {
		if look := t.dress.Kind(e.Kind); look != "" {
			t.row = append(append(append(t.row[:0], look...), e.Kind.String()...), endDress...)
		}
	}
	l.put(t.row, eventKindWidth, false)
	t.row = t.AppendCells(t.row[:0], &e.Flow, &e.Extra, o)
	t.line(&l, t.row)
	return l.dst
}

func (t *Table) line(l *line, cells []byte) {
	t.Widen(cells)
	for i, c := range t.cols {
		cell, rest, _ := bytes.Cut(cells, []byte{cellEnd})
		l.put(cell, t.widths[i], rightAligned(c))
		cells = rest
	}
}

// cellWidth is model.Width, quick for ASCII; a Dress takes none.
func cellWidth(cell []byte) int {
	if len(cell) > 0 && cell[0] == '\x1b' { // texts are escaped
		cell = bytes.TrimSuffix(cell[bytes.IndexByte(cell, 'm')+1:], []byte(endDress))
	}
	for _, c := range cell {
		if c >= 0x80 {
			return model.Width(string(cell))
		}
	}
	return len(cell)
}

// A line is a row in the making.
type line struct {
	dst  []byte
	want int // column where the next cell should begin
	at   int // column where the text ends
}

// gap is what columns are apart.
const gap = 2

// put adds a cell, not wider than width. Blanks are added before a cell, never after, so that lines end where their text
// does.
func (l *line) put(cell []byte, width int, right bool) {
	n := cellWidth(cell)
	begin := l.want
	if right {
		begin += width - n
	}
	for ; l.at < begin; l.at++ {
		l.dst = append(l.dst, ' ')
	}
	l.dst = append(l.dst, cell...)
	l.at += n
	l.want += width + gap
}
