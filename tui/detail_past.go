package tui

import (
	"time"

	"ctview/model"
	"ctview/model/table"

	"ctview/tui/draw"
)

// rates draws the last minute.
func (d *detail) rates(a *App, f *draw.Frame) []piece {
	vs := lastMinute(d.readings, a.now.UnixNano(), d.fl.c.dir)
	top := draw.Largest(vs)
	if len(d.readings) == 0 && !d.answered {
		return labelled("rate", "reading "+f.Marks.Ellipsis, f.W)
	}
	if len(d.readings) == 0 {
		why := "no readings yet"
		if d.row.Flow.Known&model.KnownCounters == 0 {
			why = "- (the kernel does not count this flow: nf_conntrack_acct was off when it began)"
		}
		return labelled("rate", why, f.W)
	}
	peak := string(d.fl.c.appendRate(nil, top)) + [...]string{"", ", original direction", ", reply direction"}[d.fl.c.dir]
	mean := d.mean(a.now.UnixNano())
	if f.W < wideFrom || f.H < 30 {
		w := min(60, f.W-32)
		if f.W >= 72 {
			w = min(60, f.W-44)
			peak += "  mean " + mean
		}
		g := draw.Graph(draw.Resample(vs, w), 1, top, f.Marks)
		return []piece{func(f *draw.Frame) {
			f.Styled(draw.Faint, "rate 60s  ")
			f.Styled(draw.Curve, g[0])
			f.Text("   peak " + peak)
		}}
	}
	g := draw.Graph(vs, 3, top, f.Marks)
	edge := []string{padLeft(string(model.AppendBytes(nil, uint64(top))), 5), "     ", "    0"}
	out := []piece{func(f *draw.Frame) {
		f.Styled(draw.Strong, "rate, last 60 s")
		f.Text("   peak " + peak + "   mean " + mean + " since it began")
	}}
	for i := range g {
		out = append(out, func(f *draw.Frame) {
			f.Styled(draw.Faint, edge[i]+" "+f.Marks.V)
			f.Styled(draw.Curve, g[i])
		})
	}
	return out
}

// mean is the rate over the flow's whole life, where the kernel told when that began: what it counted is of all of it.
func (d *detail) mean(now int64) string {
	fl := &d.row.Flow
	t := time.Duration(min(now, max(fl.CountersAt, fl.First)) - fl.First)
	if fl.Known&model.KnownStart == 0 || fl.Known&model.KnownCounters == 0 || t < time.Second {
		return "-"
	}
	v := d.fl.c.pick(float64(fl.Bytes[0]), float64(fl.Bytes[1])) / t.Seconds()
	return string(d.fl.c.appendRate(nil, v))
}

// lastMinute puts readings into the sixty seconds before now. A reading stands for the time since the one before.
func lastMinute(rs []table.Reading, now int64, dir int) []float64 {
	vs := make([]float64, 60)
	c := cells{dir: dir}
	for i, r := range rs {
		v := c.pick(float64(r.Rate[0]), float64(r.Rate[1]))
		to := 59 - int((now-r.At)/int64(time.Second))
		from := to
		if i > 0 {
			from = 60 - int((now-rs[i-1].At)/int64(time.Second))
		}
		for s := max(min(from, to), 0); s <= min(to, 59); s++ {
			vs[s] = max(vs[s], v)
		}
	}
	return vs
}

// past lists the events of the flow.
func (d *detail) past(a *App, wide bool) []piece {
	out := []piece{func(f *draw.Frame) { f.Styled(draw.Strong, "what happened to it (events seen since ctview started)") }}
	if len(d.history) == 0 && !d.answered {
		return append(out, words("reading "+a.marks.Ellipsis))
	}
	if len(d.history) == 0 {
		return append(out, words("no event of it is kept"))
	}
	for i := range d.history {
		c := &d.history[i]
		out = append(out, func(f *draw.Frame) {
			f.Text(padRight(stamp(c.Time, a.now.Location(), true), 13) + " ")
			f.Text(padRight(kindWord(c, wide), 8) + " ")
			f.Styled(changeLook(c), padRight(changeState(c), 12))
			f.Text(" " + changeNote(c))
		})
	}
	return out
}

// stamp is a time of day with milliseconds.
func stamp(t int64, loc *time.Location, ms bool) string {
	l := "15:04:05"
	if ms {
		l += ".000"
	}
	return time.Unix(0, t).In(loc).Format(l)
}

// elsewhere shows the flow in the words of other programs.
func (d *detail) elsewhere(w int) []piece {
	out := []piece{func(f *draw.Frame) {
		f.Styled(draw.Strong, "same in other tools   (1 to 4 copies the line, y offers more)")
	}}
	for i, t := range d.tools() {
		lead := string(rune('1'+i)) + "  "
		for _, l := range wrapKeep(t, w-6) {
			out = append(out, words(lead+l))
			lead = "     "
		}
	}
	return out
}
