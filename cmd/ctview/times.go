package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/format"
	"ctview/tui"

	"github.com/spf13/cobra"
)

// addTimeFlag adds --time.
func addTimeFlag(cmd *cobra.Command, g *globals) {
	parse := func(s string) (format.TimeForm, error) {
		i := slices.Index(format.TimeForms, strings.ToLower(s))
		if i < 0 {
			return 0, unknownForm{fmt.Sprintf("--time: unknown form %q", s), meant(s, format.TimeForms) + "the forms are " + strings.Join(format.TimeForms, ", ")}
		}
		return format.TimeLocal + format.TimeForm(i), nil
	}
	show := func(format.TimeForm) string { return "" }
	cmd.PersistentFlags().Var(&option[format.TimeForm]{&g.times, parse, show, "string"}, "time",
		"`FORM` of times: "+strings.Join(format.TimeForms, ", ")+" (to the start of ctview or of a recording)")
	offer(cmd, "time", format.TimeForms...)
}

// meant is what a word was perhaps meant to be, as the begin of a hint.
func meant(word string, names []string) string {
	if n := model.Nearest(strings.ToLower(word), names); n != "" {
		return "did you mean " + n + "? "
	}
	return ""
}

// checkTimes refuses a form of times in an output that has its own, which programs count on.
func (g *globals) checkTimes(cmd *cobra.Command) error {
	f := cmd.Flags().Lookup("output")
	if g.times == format.TimeOwn || f == nil {
		return nil
	}
	own, has := "", []format.TimeForm{format.TimeUTC, format.TimeRFC3339}
	switch f.Value.String() {
	case "json", "save":
		own = "RFC 3339 in UTC"
	case "xml":
		own, has = "as conntrack(8) writes them, local or in UTC", []format.TimeForm{format.TimeLocal, format.TimeUTC}
	default:
		return nil
	}
	if slices.Contains(has, g.times) {
		return nil
	}
	return usageError{fmt.Sprintf("--time %s: the times of -o %v are %s, whatever is asked for", format.TimeForms[g.times-format.TimeLocal], f.Value, own),
		"leave --time out, or use -o table or csv"}
}

// timeForm is the form of times that the command line, or else the configuration asks for.
func (g *globals) timeForm() format.TimeForm {
	if g.times != format.TimeOwn {
		return g.times
	}
	if c, err := g.settings(); err == nil && c.Time == "utc" {
		return format.TimeUTC
	}
	return format.TimeOwn
}

// timeOptions are the options for how times are written.
func (g *globals) timeOptions() format.Options {
	o := format.Options{Times: g.timeForm(), Begin: &g.began}
	if g.times == format.TimeUTC { // for XML, too; what the configuration says is for tables
		o.Location = time.UTC
	}
	return o
}

// appendWhen appends a time of a table, Unix nanoseconds, in the form that was asked for, else in layout.
func (g *globals) appendWhen(dst []byte, ns int64, layout string) []byte {
	o := g.timeOptions()
	return format.AppendTime(dst, ns, layout, &o)
}

// screenClock has the screen show its times in the zone that was asked for.
func (g *globals) screenClock(opt *tui.Options) error {
	switch form := g.timeForm(); form {
	case format.TimeOwn, format.TimeLocal:
	case format.TimeUTC:
		now := opt.Now
		if now == nil {
			now = time.Now
		}
		opt.Now = func() time.Time { return now().UTC() }
	default:
		return usageError{fmt.Sprintf("--time %s: the screen has times of day", format.TimeForms[form-format.TimeLocal]), "local or utc"}
	}
	return nil
}
