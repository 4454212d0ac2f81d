package tui

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"
)

// A writable is a screen that can be written to a file. export returns a function that runs off the loop, writes in a
// format (csv, json, txt) and returns the number of lines.
type writable interface {
	export(a *App, form string) func(w *bufio.Writer) (int, error)
}

// openWrite asks for a file to write what m shows to.
func (a *App) openWrite(m mode) tea.Cmd {
	if _, ok := m.(writable); !ok {
		a.say("this screen cannot be written to a file")
		return nil
	}
	name := "ctview-" + strings.ToLower(m.name()) + a.opt.Now().Format("-20060102-150405") + ".csv"
	a.push(newPrompt("write to (.csv .json .txt)", name, nil, func(a *App, text string) (tea.Cmd, error) {
		return a.write(m, text)
	}))
	return nil
}

func runWrite(a *App, arg string) (tea.Cmd, error) {
	if arg == "" {
		return a.openWrite(a.top()), nil
	}
	return a.write(a.top(), arg)
}

// formOf returns the format that a file's name asks for.
func formOf(name string) (string, error) {
	switch i := strings.LastIndexByte(name, '.'); strings.ToLower(name[i+1:]) {
	case "csv":
		return "csv", nil
	case "json", "jsonl", "ndjson":
		return "json", nil
	case "txt", "conntrack":
		return "txt", nil
	}
	return "", fmt.Errorf("the name ends in .csv, .json (lines) or .txt (as conntrack prints)")
}

// write writes what m shows to a new file.
func (a *App) write(m mode, name string) (tea.Cmd, error) {
	x, ok := m.(writable)
	if !ok {
		return nil, fmt.Errorf("this screen cannot be written to a file")
	}
	form, err := formOf(name)
	if err != nil {
		return nil, err
	}
	work := x.export(a, form)
	create := a.opt.Create
	if create == nil {
		create = func(name string) (io.WriteCloser, error) {
			return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		}
	}
	a.say("writing " + model.Escape(name) + " " + a.marks.Ellipsis)
	return func() tea.Msg {
		n, err := writeFile(create, name, work)
		return doneMsg{func(a *App) tea.Cmd {
			switch {
			case errors.Is(err, fs.ErrExist):
				a.fail(name + " is there already; nothing was written")
			case err != nil:
				a.fail("not written: " + err.Error())
			default:
				a.say(fmt.Sprintf("%s written to %s", model.Plural(n, "line"), model.Escape(name)))
			}
			return nil
		}}
	}, nil
}

func writeFile(create func(string) (io.WriteCloser, error), name string, work func(*bufio.Writer) (int, error)) (n int, err error) {
	f, err := create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 64<<10)
	if n, err = work(w); err != nil {
		return n, err
	}
	return n, w.Flush()
}

// sortedUpTo is how many flows are written in the order of the screen; more come as the table has them.
const sortedUpTo = 50000

// export writes every flow that matches.
func (s *flows) export(a *App, form string) func(*bufio.Writer) (int, error) {
	store, now := a.opt.Store, a.opt.Now().UnixNano()
	q := table.Query{Filter: a.filter, Desc: s.desc, Limit: sortedUpTo, Now: now}
	q.Sort, _ = sortColumn(s.sort, s.c.dir)
	cols := s.modelColumns(form)
	sorted := s.view.Matched <= sortedUpTo
	return func(w *bufio.Writer) (int, error) {
		out := exporter{w: w, form: form, cols: cols, o: format.Options{Now: now}}
		out.header(false)
		if sorted {
			var v table.View
			store.View(&q, &v)
			for i := range v.Rows {
				out.flow(&v.Rows[i].Flow, &v.Rows[i].Extra)
			}
			return out.n, out.err
		}
		store.Each(func(f *model.Flow, x *model.Extra) bool {
			if q.Filter.Match(f, x, now) {
				out.flow(f, x)
			}
			return out.err == nil
		})
		return out.n, out.err
	}
}

// modelColumns are the columns of the CSV: those on the screen where they were chosen, else everything.
func (s *flows) modelColumns(string) []model.Column {
	usual, _ := columnsFor(nil)
	same := len(usual) == len(s.cols)
	for i := range s.cols {
		same = same && usual[i] == s.cols[i]
	}
	if same {
		return format.CSVColumns()
	}
	var out []model.Column
	for _, c := range s.cols {
		if m, err := model.ParseColumn(c.name); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// An exporter writes flows and events in one format.
type exporter struct {
	w    *bufio.Writer
	form string
	cols []model.Column
	o    format.Options
	buf  []byte
	ev   model.Event
	n    int
	err  error
}

func (x *exporter) header(events bool) {
	if x.form == "csv" {
		x.buf = append(format.AppendCSVHeader(x.buf[:0], x.cols, events), '\n')
		_, x.err = x.w.Write(x.buf)
	}
}

func (x *exporter) flow(f *model.Flow, e *model.Extra) {
	b := x.buf[:0]
	switch x.form {
	case "csv":
		b = format.AppendCSV(b, x.cols, f, e, x.o)
	default:
		format.FillEvent(&x.ev, f, e, x.o.Now)
		if x.form == "json" {
			b = format.AppendJSON(b, &x.ev, x.o)
		} else {
			b = format.AppendConntrack(b, &x.ev, x.o)
		}
	}
	x.line(b)
}

// event writes what an event told of a flow at a time.
func (x *exporter) event(kind model.Kind, r *model.Row, at int64) {
	by := x.ev.PortID
	format.FillEvent(&x.ev, &r.Flow, &r.Extra, at)
	x.ev.Kind, x.ev.Time, x.ev.PortID = kind, at, by
	x.ev.Has |= model.HasTime
	switch x.form {
	case "csv":
		x.line(format.AppendCSVEvent(x.buf[:0], x.cols, &x.ev, x.o))
	case "json":
		x.line(format.AppendJSON(x.buf[:0], &x.ev, x.o))
	default:
		x.line(format.AppendConntrack(x.buf[:0], &x.ev, x.o))
	}
}

// line writes b as a line.
func (x *exporter) line(b []byte) {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	x.buf = b
	if x.err == nil {
		_, x.err = x.w.Write(b)
		x.n++
	}
}

// export writes every event that is kept and matches. What was lost is no event: CSV and JSON leave it out.
func (s *events) export(a *App, form string) func(*bufio.Writer) (int, error) {
	q := s.query(a)
	q.Limit, q.Offset = 1<<20, 0
	store := a.opt.Store
	return func(w *bufio.Writer) (int, error) {
		var v table.ChangeView
		store.Changes(&q, &v)
		out := exporter{w: w, form: form, cols: format.CSVColumns(), o: format.Options{Now: q.Now, Timestamp: true}}
		out.header(true)
		for i := range v.Rows {
			c := &v.Rows[i]
			if c.Kind == 0 || c.Note == table.NoteExpect {
				continue
			}
			out.ev.PortID = c.PortID
			out.event(c.Kind, &model.Row{Flow: c.Flow}, c.Time)
		}
		return out.n, out.err
	}
}

// export writes every group.
func (s *groups) export(a *App, form string) func(*bufio.Writer) (int, error) {
	q := table.GroupQuery{Filter: a.filter, Keys: s.keys, Sort: s.sort, Desc: s.desc, Limit: 1 << 20, Now: a.opt.Now().UnixNano(), Ranges: a.ill.ranges}
	store := a.opt.Store
	return func(w *bufio.Writer) (int, error) {
		var v table.GroupView
		store.Group(&q, &v)
		if form == "csv" {
			for _, k := range q.Keys {
				fmt.Fprintf(w, "%s,", k)
			}
			ports := ""
			if s.byPorts() {
				ports = ",used,low,high"
			}
			fmt.Fprintln(w, "flows,unreplied,new_per_s,rate,bytes,packets,filter"+ports)
		}
		for i := range v.Rows {
			if err := writeGroup(w, form, q.Keys, &v.Rows[i]); err != nil {
				return i, err
			}
		}
		return len(v.Rows), nil
	}
}

// export writes what began and ended, as the events that told it: a flow that did both has two lines. Groups are written as CSV.
func (s *recent) export(a *App, form string) func(*bufio.Writer) (int, error) {
	q := s.query(a)
	q.Now = a.opt.Now().UnixNano()
	q.Since, q.Offset, q.Limit, q.HasAnchor = s.since(q.Now), 0, 1<<20, false
	store := a.opt.Store
	return func(w *bufio.Writer) (int, error) {
		var v table.RecentView
		store.Recent(&q, &v)
		if len(q.Keys) > 0 {
			return writeRecentGroups(w, form, &q, &v)
		}
		out := exporter{w: w, form: form, cols: format.CSVColumns(), o: format.Options{Now: q.Now, Timestamp: true}}
		out.header(true)
		for i := range v.Rows {
			r := &v.Rows[i]
			if r.Began {
				out.event(model.New, &r.Row, r.Flow.First)
			}
			if r.End != 0 {
				out.event(model.Destroy, &r.Row, r.End)
			}
		}
		return out.n, out.err
	}
}

func writeRecentGroups(w *bufio.Writer, form string, q *table.RecentQuery, v *table.RecentView) (int, error) {
	if form != "csv" {
		return 0, errors.New("groups of Recent are written as .csv")
	}
	for _, k := range q.Keys {
		fmt.Fprintf(w, "%s,", k)
	}
	_, err := fmt.Fprintln(w, "changed,begun,ended,was,now,bytes,filter")
	for i := range v.Groups {
		g := &v.Groups[i]
		for _, value := range g.Values {
			fmt.Fprintf(w, "%s,", csvField(value))
		}
		was, bytes := "", ""
		if v.Lasting {
			was = strconv.Itoa(g.Then)
		}
		if g.Counted == g.Changes {
			bytes = strconv.FormatUint(g.Bytes, 10)
		}
		_, err = fmt.Fprintf(w, "%d,%d,%d,%s,%d,%s,%s\n", g.Changes, g.Begun, g.Ended, was, g.Now, bytes, csvField(g.Filter))
	}
	return len(v.Groups), err
}

// export writes the expectations.
func (s *expects) export(a *App, form string) func(*bufio.Writer) (int, error) {
	list, now := s.list, a.opt.Now().UnixNano()
	return func(w *bufio.Writer) (int, error) {
		if form == "csv" {
			return 0, errors.New("expectations are written as .json or .txt")
		}
		out := exporter{w: w, form: form, o: format.Options{Now: now}}
		for i := range list {
			if form == "json" {
				out.line(format.AppendExpectJSON(out.buf[:0], &list[i], out.o))
			} else {
				out.line(format.AppendExpect(out.buf[:0], &list[i], out.o))
			}
		}
		return out.n, out.err
	}
}

// writeGroup writes one group: values, sums, and the filter of its flows.
func writeGroup(w *bufio.Writer, form string, keys []table.GroupKey, r *table.GroupRow) error {
	var err error
	switch form {
	case "csv":
		for _, v := range r.Values {
			fmt.Fprintf(w, "%s,", csvField(v))
		}
		ports := ""
		switch {
		case r.Share() >= 0:
			ports = fmt.Sprintf(",%d,%d,%d", r.Used, r.Range.Lo, r.Range.Hi)
		case table.ByNATPorts(keys):
			ports = ",,,"
		}
		_, err = fmt.Fprintf(w, "%d,%d,%.2f,%.0f,%d,%d,%s%s\n", r.Flows, r.Unreplied, r.NewPerSec, r.Rate, r.Bytes, r.Packets, csvField(r.Filter), ports)
	case "json":
		fmt.Fprint(w, "{")
		for i, v := range r.Values {
			fmt.Fprintf(w, "%s:%s,", jsonString(keys[i].String()), jsonString(v))
		}
		if r.Share() >= 0 {
			fmt.Fprintf(w, `"used":%d,"low":%d,"high":%d,`, r.Used, r.Range.Lo, r.Range.Hi)
		}
		_, err = fmt.Fprintf(w, `"flows":%d,"unreplied":%d,"new_per_s":%.2f,"rate":%.0f,"bytes":%d,"packets":%d,"filter":%s}`+"\n",
			r.Flows, r.Unreplied, r.NewPerSec, r.Rate, r.Bytes, r.Packets, jsonString(r.Filter))
	default:
		if r.Share() >= 0 {
			r.Values = append(r.Values, fmt.Sprintf("%d of %s (%s)", r.Used, model.Plural(r.Range.Size(), "port"), r.Range))
		}
		_, err = fmt.Fprintf(w, "%-40s %8d flows %8d unreplied %10.0f B/s %12d bytes\n", strings.Join(r.Values, " "), r.Flows, r.Unreplied, r.Rate, r.Bytes)
	}
	return err
}

func csvField(s string) string { return string(format.AppendCSVField(nil, s)) }

func jsonString(s string) string { return string(format.AppendJSONString(nil, s)) }
