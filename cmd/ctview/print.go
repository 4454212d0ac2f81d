package main

import (
	"fmt"
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
}

// newLineFormat returns the form that o asks for. events says that it is for the event stream.
func (g *globals) newLineFormat(o listOptions, events bool) (lineFormat, error) {
	cols, err := parseColumns(o.columns)
	if err != nil {
		return lineFormat{}, err
	}
	opt := format.Options{Labels: systemLabels(), Fix: format.FixAll}
	if o.resolve {
		if o.output != "table" && o.output != "wide" && o.output != "json" {
			return lineFormat{}, usageError{"--resolve: -o " + o.output + " has no place for names", "use it with -o table, wide or json"}
		}
		opt.Host, opt.Service = g.hostName(events), serviceName
	}
	var lf lineFormat
	switch o.output {
	case "table", "wide":
		lf = tableFormat(cols, o.output == "wide", events, opt)
	case "json":
		lf = jsonFormat(opt)
	case "csv":
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
	default:
		return lf, usageError{fmt.Sprintf("-o: unknown format %q", o.output), "the formats are " + strings.Join(outputNames, ", ")}
	}
	if cols != nil && o.output != "table" && o.output != "wide" && o.output != "csv" {
		return lf, usageError{"--columns: -o " + o.output + " has no columns", "use it with -o table, wide or csv"}
	}
	if o.noHeader && o.output != "xml" {
		lf.head = nil
	}
	return lf, nil
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

func jsonFormat(opt format.Options) lineFormat {
	return lineFormat{
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			return append(format.AppendJSON(dst, ev, opt), '\n')
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

func tableFormat(cols []model.Column, wide, events bool, opt format.Options) lineFormat {
	if cols == nil {
		cols = format.TableColumns(wide)
	}
	t := format.NewTable(cols, events)
	return lineFormat{
		head: append(t.AppendHeader(nil), '\n'),
		line: func(dst []byte, ev *model.Event, now int64) []byte {
			opt.Now = now
			if events {
				dst = t.AppendEvent(dst, ev, opt)
			} else {
				dst = t.AppendRow(dst, &ev.Flow, &ev.Extra, opt)
			}
			return append(dst, '\n')
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
