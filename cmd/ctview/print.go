package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ctview/model"
	"ctview/model/format"
)

// outputNames are the values of -o.
var outputNames = []string{"table", "wide", "json", "csv", "conntrack", "extended", "xml", "save"}

// A lineFormat turns flows or events into lines.
type lineFormat struct {
	head, foot []byte
	// line appends ev with its line end.
	line func(dst []byte, ev *model.Event, now int64) []byte
	// lost appends a line that tells of n lost events; nil where the form has none.
	lost func(dst []byte, now int64, n uint64) []byte
	// table makes lines of the cells that line then appends; nil where lines do not depend on each other.
	table *format.Table
}

// firstRows is how many rows of a table are looked at before its head is printed.
const firstRows = 1000

// A rowPrinter prints lines of a lineFormat, its head and its foot.
type rowPrinter struct {
	format  lineFormat
	out     *flusher
	held    [][]byte // the first rows of a table, whose columns shall fit
	started bool
}

// print prints a line as the format appended it; it keeps nothing of it.
func (p *rowPrinter) print(line []byte) error {
	switch {
	case p.format.table != nil && !p.started:
		if p.held = append(p.held, bytes.Clone(line)); len(p.held) == firstRows {
			p.start()
		}
	default:
		p.start()
		p.append(line)
	}
	return p.out.spill()
}

func (p *rowPrinter) start() {
	if p.started {
		return
	}
	p.started = true
	for _, line := range p.held {
		p.format.table.Widen(line)
	}
	if p.format.table != nil && p.format.head != nil {
		p.format.head = append(p.format.table.AppendHeader(nil), '\n')
	}
	p.out.buf = append(p.out.buf, p.format.head...)
	for _, line := range p.held {
		p.append(line)
	}
	p.held = nil
}

func (p *rowPrinter) append(line []byte) {
	if t := p.format.table; t != nil {
		p.out.buf = append(t.AppendLine(p.out.buf, line), '\n')
	} else {
		p.out.buf = append(p.out.buf, line...)
	}
}

// end prints what is held, the foot, and all that waits to be written.
func (p *rowPrinter) end() error {
	p.start()
	p.out.buf = append(p.out.buf, p.format.foot...)
	return p.out.flush()
}

// newLineFormat returns the form that o asks for. events says that it is for the event stream.
func (g *globals) newLineFormat(o listOptions, events bool) (lineFormat, error) {
	if o.output == "json" {
		return g.jsonLines(o, events)
	}
	cols, err := parseColumns(o.columns)
	if err != nil {
		return lineFormat{}, err
	}
	for _, c := range cols {
		g.wants(c)
		if err := g.needsOver("--columns", c); err != nil {
			return lineFormat{}, err
		}
	}
	opt := g.formatOptions(o, events)
	if o.resolve && o.output != "table" && o.output != "wide" {
		return lineFormat{}, usageError{"--resolve: -o " + o.output + " has no place for names", "use it with -o table, wide or json"}
	}
	var lf lineFormat
	switch o.output {
	case "table", "wide":
		lf = tableFormat(cols, o.output == "wide", events, opt, g.dress())
	case "csv":
		opt.Times = g.times // not what the configuration says: scripts read it
		lf = csvFormat(cols, events, opt)
	case "conntrack":
		lf.line = conntrackLine(opt)
	case "extended":
		opt.Extended, opt.ID = true, true
		lf.line = conntrackLine(opt)
	case "xml":
		lf = xmlFormat(opt)
	case "save":
		lf = saveFormat(opt)
	}
	if cols != nil && o.output != "table" && o.output != "wide" && o.output != "csv" {
		return lf, usageError{"--columns: -o " + o.output + " has no columns", "use it with -o table, wide, json or csv"}
	}
	if o.noHeader && o.output != "xml" {
		lf.head = nil
	}
	return lf, nil
}

func (g *globals) formatOptions(o listOptions, events bool) format.Options {
	opt := g.timeOptions()
	opt.Labels, opt.Fix = systemLabels(), format.FixAll
	if o.resolve {
		opt.Host, opt.Service = g.hostName(events), serviceName
	}
	return opt
}

// jsonLines is newLineFormat for -o json, whose columns are fields.
func (g *globals) jsonLines(o listOptions, events bool) (lineFormat, error) {
	pick, err := g.parseFields(o.columns)
	if err != nil {
		return lineFormat{}, err
	}
	return jsonFormat(g.formatOptions(o, events), pick), nil
}

// notInJSON tells what to take for columns that JSON has no field for.
var notInJSON = map[model.Column]string{model.ColNAT: "status tells it (SRC_NAT, DST_NAT), and reply whereto", model.ColFlags: "status has them",
	model.ColAge: "start tells it", model.ColPhase: "state and status tell it", model.ColAvgPkt: "bytes divided by packets"}

// parseFields reads --columns of -o json: columns, or fields by the names that they have there.
func (g *globals) parseFields(s string) (format.Pick, error) {
	if s == "" {
		return format.Pick{}, nil
	}
	var fields []string
	known := format.JSONFields()
	for _, name := range strings.Split(s, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if slices.Contains(known, name) {
			if strings.HasSuffix(name, ".rate") || strings.HasSuffix(name, ".pps") {
				if err := g.needsOver("--columns", model.ColRate); err != nil {
					return format.Pick{}, err
				}
			}
			if name == "forwarded" || slices.Contains(format.OwnerFields(), name) {
				g.wantOwners()
			}
			g.ways = g.ways || strings.HasPrefix(name, "derived.")
			fields = append(fields, name)
			continue
		}
		c, err := model.ParseColumn(name)
		if err != nil {
			near := model.Nearest(name, append(columnNames(), known...))
			if near != "" {
				near = "did you mean " + near + "? "
			}
			return format.Pick{}, usageError{fmt.Sprintf("--columns: unknown column %q", name),
				near + "with -o json it takes columns (ctview help columns) and fields of the object, such as orig.src"}
		}
		if err := g.needsOver("--columns", c); err != nil {
			return format.Pick{}, err
		}
		g.wants(c)
		of := format.ColumnFields(c)
		if of == nil {
			return format.Pick{}, usageError{fmt.Sprintf("--columns: -o json has no field for %v", c), notInJSON[c] + "; -o csv has it"}
		}
		fields = append(fields, of...)
	}
	return format.NewPick(fields), nil
}

// parseColumns reads --columns; "" gives nil, the default columns of the form.
func parseColumns(s string) ([]model.Column, error) {
	if s == "" {
		return nil, nil
	}
	var cols []model.Column
	for _, name := range strings.Split(s, ",") {
		c, err := model.ParseColumn(strings.TrimSpace(name))
		if err != nil {
			return nil, usageError{"--columns: " + err.Error(), `"ctview help columns" lists the columns`}
		}
		cols = append(cols, c)
	}
	return cols, nil
}

func conntrackLine(opt format.Options) func([]byte, *model.Event, int64) []byte {
	return func(dst []byte, ev *model.Event, now int64) []byte {
		opt.Now = now
		return append(format.AppendConntrack(dst, ev, opt), '\n')
	}
}

func jsonFormat(opt format.Options, pick format.Pick) lineFormat {
	var whole []byte
	return lineFormat{
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			if pick.All() {
				return append(format.AppendJSON(dst, ev, opt), '\n')
			}
			whole = format.AppendJSON(whole[:0], ev, opt)
			return append(format.AppendPicked(dst, whole, pick), '\n')
		},
		lost: func(dst []byte, now int64, n uint64) []byte {
			return append(format.AppendLostJSON(dst, now, n), '\n')
		},
	}
}

func xmlFormat(opt format.Options) lineFormat {
	return lineFormat{
		head: []byte(format.XMLHead + "\n"),
		foot: []byte(format.XMLTail + "\n"),
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now, opt.KernelTime, opt.Timestamp = now, true, ev.Kind != model.Dump
			return append(format.AppendXML(dst, ev, opt), '\n')
		},
	}
}

func saveFormat(opt format.Options) lineFormat {
	return lineFormat{
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			return append(format.AppendFullSave(format.AppendSaveNote(dst, ev), ev, opt), '\n')
		},
	}
}

func tableFormat(cols []model.Column, wide, events bool, opt format.Options, d format.Dress) lineFormat {
	if cols == nil {
		cols = format.TableColumns(wide)
	}
	t := format.NewTable(cols, events).TimesAs(opt.Times).DressAs(d)
	head := append(t.AppendHeader(nil), '\n')
	if !events {
		return lineFormat{head: head, table: t, line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			return t.AppendCells(dst, &ev.Flow, &ev.Extra, opt)
		}}
	}
	return lineFormat{ // an event is shown when it comes
		head: head,
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			return append(t.AppendEvent(dst, ev, opt), '\n')
		},
	}
}

func csvFormat(cols []model.Column, events bool, opt format.Options) lineFormat {
	if cols == nil {
		cols = format.CSVColumns()
	}
	return lineFormat{
		head: append(format.AppendCSVHeader(nil, cols, events), '\n'),
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			if events {
				dst = format.AppendCSVEvent(dst, cols, ev, opt)
			} else {
				dst = format.AppendCSV(dst, cols, &ev.Flow, &ev.Extra, opt)
			}
			return append(dst, '\n')
		},
	}
}
