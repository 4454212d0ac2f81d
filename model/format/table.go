package format

import (
	"unicode/utf8"

	"ctview/model"
)

// A Table lays flows out in columns for a terminal or a pager, row by row: widths are decided before the first row, so
// nothing is held back. A cell that is too long (an IPv6 address) is written whole and pushes the rest of its row to
// the right only as far as the blanks of the columns after it do not give way. Not safe for concurrent use.
type Table struct {
	cols   []model.Column
	widths []int
	events bool
	cell   []byte
}

// NewTable returns a table of these columns; nil is TableColumns(false). events says that rows are events
// (AppendEvent): they begin with their time and kind.
func NewTable(cols []model.Column, events bool) *Table {
	if cols == nil {
		cols = TableColumns(false)
	}
	t := &Table{cols: cols, events: events}
	for _, c := range cols {
		t.widths = append(t.widths, max(columnWidth(c), len(Title(c))))
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
	case model.ColLabels, model.ColSecctx:
		return 12
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

// Widen makes room for the cells of a flow. Who has all rows before the first is printed (sorted, limited) calls it for
// each.
func (t *Table) Widen(f *model.Flow, x *model.Extra, o Options) {
	for i, c := range t.cols {
		t.cell = appendNamedCell(t.cell[:0], c, f, x, o)
		t.widths[i] = max(t.widths[i], utf8.RuneCount(t.cell))
	}
}

// The columns that events begin with: the time of day to the millisecond, the kind.
const (
	eventTimeWidth = 12
	eventKindWidth = 7
)

// AppendHeader appends the line of heads without its line end.
func (t *Table) AppendHeader(dst []byte) []byte {
	l := line{dst: dst}
	if t.events {
		l.put([]byte("TIME"), eventTimeWidth, false)
		l.put([]byte("EVENT"), eventKindWidth, false)
	}
	for i, c := range t.cols {
		t.cell = append(t.cell[:0], Title(c)...)
		l.put(t.cell, t.widths[i], rightAligned(c))
	}
	return l.dst
}

// AppendRow appends the line of a flow without its line end. x may be nil. Of the options Now, Location, Labels, Host
// and Service count.
func (t *Table) AppendRow(dst []byte, f *model.Flow, x *model.Extra, o Options) []byte {
	l := line{dst: dst}
	t.cells(&l, f, x, o)
	return l.dst
}

// AppendEvent appends the line of an event without its line end.
func (t *Table) AppendEvent(dst []byte, e *model.Event, o Options) []byte {
	l := line{dst: dst}
	t.cell = appendClock(t.cell[:0], eventTime(e, &o), o.location())
	l.put(t.cell, eventTimeWidth, false)
	t.cell = append(t.cell[:0], e.Kind.String()...)
	l.put(t.cell, eventKindWidth, false)
	t.cells(&l, &e.Flow, &e.Extra, o)
	return l.dst
}

func (t *Table) cells(l *line, f *model.Flow, x *model.Extra, o Options) {
	for i, c := range t.cols {
		t.cell = appendNamedCell(t.cell[:0], c, f, x, o)
		l.put(t.cell, t.widths[i], rightAligned(c))
	}
}

// A line is a row in the making. It knows where its next column should begin and where it does.
type line struct {
	dst     []byte
	want    int // column where the next cell should begin
	at      int // column where the text ends
	started bool
}

// gap is what columns are apart.
const gap = 2

// put adds a cell. Blanks are added before a cell, never after, so that lines end where their text does.
func (l *line) put(cell []byte, width int, right bool) {
	begin := l.want
	if right {
		begin += max(width-utf8.RuneCount(cell), 0)
	}
	if l.started {
		begin = max(begin, l.at+1)
	}
	for ; l.at < begin; l.at++ {
		l.dst = append(l.dst, ' ')
	}
	l.dst = append(l.dst, cell...)
	l.at += utf8.RuneCount(cell)
	l.want += width + gap
	l.started = true
}
