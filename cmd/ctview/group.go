package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/format"
	"ctview/model/table"
	"ctview/tui/draw"
)

// prepareGroups returns what prints list --group-by: one reading into a table, its groups printed.
func prepareGroups(g *globals, f *filter.Filter, o *listOptions) (_ listReading, keep bool, err error) {
	keys, err := table.ParseGroupKeys(o.groupBy)
	if err != nil {
		return nil, false, usageError{"--group-by: " + err.Error(), "e.g. src, dport, zone, src/24, or several, at most four: src,dport; nat-ports"}
	}
	if o.columns != "" || o.resolve {
		return nil, false, usageError{"--group-by: groups have columns of their own, and no names", "leave --columns and --resolve out"}
	}
	for _, k := range keys {
		g.wants(k.Col)
	}
	q := table.GroupQuery{Filter: f, Keys: keys, Desc: true}
	byPorts := table.ByNATPorts(keys)
	if byPorts {
		g.wantRanges()
	}
	if q.Sort, q.Desc, err = parseGroupSort(o.sort, byPorts); err != nil {
		return nil, false, err
	}
	if q.Sort == table.GroupRate {
		if err := g.needsOver("--sort", model.ColRate); err != nil {
			return nil, false, err
		}
	}
	write, err := groupWriter(g, o, keys)
	if err != nil {
		return nil, false, err
	}
	return func(ctx context.Context, src flowSource) error {
		tab, err := g.readTable(ctx, src, f.Kernel())
		if err != nil {
			return err
		}
		q := q
		q.Now, q.Limit = g.now(), o.limit
		if byPorts {
			q.Ranges = g.nat.ranges
		}
		if o.page != nil && (q.Limit == 0 || q.Limit > o.page.left(o)) {
			q.Limit = o.page.left(o)
		}
		var v table.GroupView
		all := pages(tab, q, &v)
		o.count = countOf(len(v.Rows), v.Groups, "group")
		g.noteUnknown(f, v.Unknown)
		if err := write(all); err != nil {
			return err
		}
		if o.output == "table" || o.output == "wide" {
			g.noteFailed()
		}
		if all.matched == 0 && o.exitCode {
			return errNoMatch
		}
		return nil
	}, true, nil
}

// A groupList is what groups are printed from: as often as it is walked, row by row.
type groupList struct {
	matched int // flows in all of them
	rows    iter.Seq[*table.GroupRow]
}

// groupPage is how many groups are asked for at once: a row is some 400 bytes with its texts, and there may be as many groups as
// flows.
const groupPage = 1 << 15

// pages walks the groups that q asks for, all of them if its limit is 0. v has the first page.
func pages(tab *table.Table, q table.GroupQuery, v *table.GroupView) groupList {
	end := q.Limit
	if end == 0 {
		end = math.MaxInt
	}
	page := func(from int) {
		q.Offset, q.Limit = from, min(groupPage, end-from) // a window that reaches beyond the end is moved
		tab.Group(&q, v)
	}
	page(0)
	end = min(end, v.Groups)
	return groupList{v.Matched, func(yield func(*table.GroupRow) bool) {
		for from := 0; from < end; from += groupPage {
			if v.Offset != from || len(v.Rows) == 0 {
				page(from)
			}
			for i := range v.Rows {
				if !yield(&v.Rows[i]) {
					return
				}
			}
		}
	}}
}

// parseGroupSort reads --sort of groups: the most flows first where nothing is said, by nat-ports the range that is used most.
func parseGroupSort(s string, byPorts bool) (c table.GroupColumn, desc bool, err error) {
	name, dir, ok := strings.Cut(strings.ToLower(s), ":")
	switch {
	case s == "" && byPorts:
		name, dir, ok = "used", "desc", true
	case s == "":
		name, dir, ok = "flows", "desc", true
	}
	c, err = table.ParseGroupColumn(name)
	switch {
	case err == nil && c == table.GroupUsed && !byPorts:
		return c, false, usageError{"--sort: used is what flows use of a range of ports", "it is known with --group-by nat-ports"}
	case err != nil:
		return c, false, usageError{"--sort: " + err.Error(), ""}
	case !ok || dir == "asc":
		return c, false, nil
	case dir == "desc":
		return c, true, nil
	}
	return c, false, usageError{"--sort: unknown direction " + dir, "write " + name + ":asc or " + name + ":desc"}
}

// groupWriter returns what prints groups in the form that o names.
func groupWriter(g *globals, o *listOptions, keys []table.GroupKey) (func(groupList) error, error) {
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	switch o.output {
	case "table", "wide":
		return func(all groupList) error { return groupTable(g, o, names, all) }, nil
	case "json":
		return func(all groupList) error { return groupJSON(g, o, names, all) }, nil
	case "csv":
		return func(all groupList) error { return groupCSV(g, o, names, all) }, nil
	}
	return nil, usageError{fmt.Sprintf("--group-by: -o %s has no form for groups", o.output), "table, json and csv have"}
}

// groupTable prints groups in columns. All rows are there, so widths fit.
func groupTable(g *globals, o *listOptions, names []string, all groupList) error {
	widths := make([]int, len(names))
	for i, n := range names {
		widths[i] = len(n)
	}
	for row := range all.rows {
		for i := range names {
			widths[i] = max(widths[i], model.Width(string(format.AppendWord(nil, row.Values[i]))))
		}
	}
	out := newFlusher(g.out)
	if !o.noHeader {
		head := g.dress().Head
		out.buf = append(out.buf, head...)
		for i, n := range names {
			out.buf = fmt.Appendf(out.buf, "%-*s  ", widths[i], strings.ToUpper(n))
		}
		if g.nat != nil {
			out.buf = fmt.Appendf(out.buf, "%6s %6s %6s  %-11s ", "IN USE", "OF", "USED%", "RANGE")
		}
		out.buf = fmt.Appendf(out.buf, "%10s %6s %10s %9s", "FLOWS", "%", "UNREPLIED", "BYTES")
		if g.rates() {
			out.buf = fmt.Appendf(out.buf, " %11s", "RATE")
		}
		if head != "" {
			out.buf = append(out.buf, draw.ResetSGR...)
		}
		out.buf = append(out.buf, '\n')
	}
	for row := range all.rows {
		for i := range names {
			word := format.AppendWord(nil, row.Values[i])
			out.buf = fmt.Appendf(out.buf, "%s%*s  ", word, widths[i]-model.Width(string(word)), "")
		}
		if g.nat != nil {
			used, size, share, ports := usedCells(row)
			out.buf = fmt.Appendf(out.buf, "%6s %6s %6s  %-11s ", used, size, share, ports)
		}
		bytes := atLeast(row.Flows, row.KnownBytes, model.AppendBytes(nil, row.Bytes))
		out.buf = fmt.Appendf(out.buf, "%10d %6.1f %10d %9s", row.Flows, 100*float64(row.Flows)/float64(all.matched), row.Unreplied, bytes)
		if g.rates() {
			out.buf = fmt.Appendf(out.buf, " %11s", atLeast(row.Flows, row.KnownRate, model.AppendRate(nil, row.Rate)))
		}
		out.buf = append(out.buf, '\n')
		if err := out.spill(); err != nil {
			return err
		}
	}
	return out.flush()
}

// atLeast returns sum, which known of the flows make: marked where others are not known, "-" where none is.
func atLeast(flows, known int, sum []byte) string {
	switch known {
	case 0:
		return "-"
	case flows:
		return string(sum)
	}
	return ">=" + string(sum)
}

// groupJSON prints an object a group; bytes only where the kernel counts them, and how many flows it does not count.
func groupJSON(g *globals, o *listOptions, names []string, all groupList) error {
	out := newFlusher(g.out)
	for row := range all.rows {
		keys := map[string]string{}
		for i, n := range names {
			keys[n] = row.Values[i]
		}
		obj := struct {
			Time      string            `json:"time,omitempty"` // --watch
			Group     map[string]string `json:"group"`
			Filter    string            `json:"filter"`
			Flows     int               `json:"flows"`
			Unreplied int               `json:"unreplied"`
			Bytes     *uint64           `json:"bytes,omitempty"`
			Rate      *float64          `json:"rate,omitempty"`
			Uncounted int               `json:"uncounted,omitempty"` // flows whose bytes are not in Bytes
			Ports     *portsJSON        `json:"ports,omitempty"`     // by nat-ports
			Failed    *uint64           `json:"insert_failed,omitempty"`
		}{Time: o.stamp(), Group: keys, Filter: row.Filter, Flows: row.Flows, Unreplied: row.Unreplied, Uncounted: row.Flows - row.KnownBytes}
		if g.nat != nil {
			obj.Ports = portsOf(row)
			if g.nat.hasFailed {
				obj.Failed = &g.nat.failed
			}
		}
		if row.KnownBytes > 0 {
			obj.Bytes = &row.Bytes
		}
		if row.KnownRate > 0 {
			obj.Rate = &row.Rate
		}
		out.buf = format.AppendJSONLine(out.buf, obj)
		if err := out.spill(); err != nil {
			return err
		}
	}
	return out.flush()
}

func groupCSV(g *globals, o *listOptions, names []string, all groupList) error {
	out := newFlusher(g.out)
	stamp := o.stamp()
	if stamp != "" {
		stamp += ","
	}
	if !o.noHeader {
		if stamp != "" {
			out.buf = append(out.buf, "time,"...)
		}
		out.buf = append(append(out.buf, strings.Join(names, ",")...), ",flows,unreplied,bytes,uncounted"...)
		if g.nat != nil {
			out.buf = append(out.buf, ",used,low,high"...)
		}
		out.buf = append(out.buf, '\n')
	}
	o.noHeader = o.noHeader || o.watch // once is enough
	for row := range all.rows {
		out.buf = append(out.buf, stamp...)
		for _, value := range row.Values {
			out.buf = append(format.AppendCSVField(out.buf, value), ',')
		}
		bytes := ""
		if row.KnownBytes > 0 {
			bytes = strconv.FormatUint(row.Bytes, 10)
		}
		out.buf = fmt.Appendf(out.buf, "%d,%d,%s,%d", row.Flows, row.Unreplied, bytes, row.Flows-row.KnownBytes)
		switch {
		case g.nat != nil && row.Share() < 0:
			out.buf = append(out.buf, ",,,"...)
		case g.nat != nil:
			out.buf = fmt.Appendf(out.buf, ",%d,%d,%d", row.Used, row.Range.Lo, row.Range.Hi)
		}
		out.buf = append(out.buf, '\n')
		if err := out.spill(); err != nil {
			return err
		}
	}
	return out.flush()
}

// stamp is the time of a reading of --watch, "" for another.
func (o *listOptions) stamp() string {
	if !o.watch {
		return ""
	}
	return string(format.AppendRFC3339(nil, o.at.UnixNano()))
}
