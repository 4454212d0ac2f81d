package format

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"ctview/model"
)

// foreign texts are what the kernel, the network or a file could send to have a terminal, a spreadsheet or a script obey it.
var foreignTexts = []string{"\x1b[31mred", "\x1b]0;title\a", "\u009b2J", "a\rb", "a\nb", "a\tb", "\x00", "\x7f", "bad\xff\xfe", "\u202egpj", "\u2066x",
	"a\u200bb", "a\u200d", "a\ufeff", "a\ufe0f", "\u3164", "\U000e0041", "\u2028", "=1+1", " =1+1", "＝1+1", "@sum(a1)", "+1", "-2", `q"uo\te'`, "a b",
	"ftp src=6.6.6.6 dst=6.6.6.6", "a\u00a0b\u3000c", "a,b;c", "日本語", "]]><&>", "# x", strings.Repeat("long ", 2000)}

// raw returns the first character of out that a terminal obeys or shows as nothing, "" for none.
func raw(out []byte) string {
	for i, r := range string(out) {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || model.Reorders(r) || r == utf8.RuneError && !bytes.HasPrefix(out[i:], []byte("\ufffd")) {
			return string(out[i:])
		}
	}
	return ""
}

// foreignEvent has s wherever an event has a foreign text.
func foreignEvent(s string) (*model.Event, Options) {
	e := randomEvent(4711)
	e.Kind, e.Has, e.PortID = model.New, ^model.Fields(0), 17
	e.Flow.Family, e.Flow.Proto, e.Flow.ZoneDir = model.IPv4, model.ProtoTCP, model.ZoneBoth
	e.Flow.Helper, e.Extra.Secctx, e.Extra.Labels = model.HelperFor([]byte(s)), s, model.Labels{}
	e.Extra.Labels.Set(1)
	return e, Options{Fix: FixAll, Labels: LabelNames{1: s}, Progname: func(uint32) string { return s },
		Host: func(model.Family, [16]byte) string { return s }}
}

// TestForeignText prints every text that comes from outside in every form: a terminal gets no control or invisible
// character, a script not a field, column or word more than of a plain name, a spreadsheet no formula, and JSON, XML and
// CSV can be read.
func TestForeignText(t *testing.T) {
	forms := map[string]func(s string) []byte{
		"conntrack": func(s string) []byte { e, o := foreignEvent(s); return AppendConntrack(nil, e, o) },
		"drop-in": func(s string) []byte {
			e, o := foreignEvent(s)
			o.Fix = 0
			return AppendConntrack(nil, e, o)
		},
		"save":    func(s string) []byte { e, o := foreignEvent(s); return AppendFullSave(nil, e, o) },
		"save -U": func(s string) []byte { e, o := foreignEvent(s); return AppendSave(nil, e, o) },
		"note": func(s string) []byte {
			e, _ := foreignEvent(s)
			return bytes.TrimSuffix(AppendSaveNote(nil, e), []byte("\n"))
		},
		"xml":  func(s string) []byte { e, o := foreignEvent(s); return AppendXML(nil, e, o) },
		"json": func(s string) []byte { e, o := foreignEvent(s); return AppendJSON(nil, e, o) },
		"json line": func(s string) []byte {
			return AppendJSONValue(nil, map[string]string{"a": s})
		},
		"csv":       func(s string) []byte { e, o := foreignEvent(s); return AppendCSVEvent(nil, model.Columns(), e, o) },
		"csv field": func(s string) []byte { return AppendCSVField(nil, s) },
		"table": func(s string) []byte {
			e, o := foreignEvent(s)
			return NewTable(model.Columns(), true).AppendEvent(nil, e, o)
		},
		"expect": func(s string) []byte { return AppendExpect(nil, &model.Expect{Helper: s, Fn: s}, Options{Fix: FixAll}) },
		"expect xml": func(s string) []byte {
			return AppendExpectXML(nil, &model.Expect{Helper: s, Fn: s}, Options{Fix: FixAll})
		},
		"expect json": func(s string) []byte { return AppendExpectJSON(nil, &model.Expect{Helper: s, Fn: s}, Options{}) },
	}
	for name, form := range forms {
		plain := form("plain")
		for _, s := range foreignTexts {
			out := form(s)
			if r := raw(out); r != "" {
				t.Errorf("%s of %q passes on %q", name, s, r)
			}
			if err := readable(name, out, plain); err != nil {
				t.Errorf("%s of %.40q: %v: %.600s", name, s, err, out)
			}
		}
	}
}

// readable reads out as a program would: as many fields as there are with a plain name.
func readable(form string, out, plain []byte) error {
	switch {
	case strings.HasPrefix(form, "json"), form == "expect json":
		if !json.Valid(out) {
			return errors.New("no JSON")
		}
	case strings.HasSuffix(form, "xml"):
		d := xml.NewDecoder(bytes.NewReader(out))
		for {
			if _, err := d.Token(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	case strings.HasPrefix(form, "csv"):
		recs, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil || len(recs) != 1 {
			return errors.Join(err, errors.New("not one record"))
		}
		if form == "csv" && len(recs[0]) != len(model.Columns())+2 {
			return errors.New("fields forged")
		}
		for _, f := range recs[0] {
			if f = strings.TrimSpace(f); f != "" && strings.ContainsAny(f[:1], "=@+") || strings.HasPrefix(f, "＝") || f == "-2" {
				return errors.New("a formula: " + f)
			}
		}
	case form == "save":
		if words(string(out)) != words(string(plain)) {
			return errors.New("words forged")
		}
	case form != "drop-in": // which prints as conntrack(8) does
		if len(strings.Fields(string(out))) != len(strings.Fields(string(plain))) {
			return errors.New("fields forged")
		}
	}
	return nil
}

// words counts the words of a line as conntrack -R splits it: by blanks, but in double quotes.
func words(line string) (n int) {
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted, in = !quoted, true
		case c == ' ' && !quoted:
			if in {
				n++
			}
			in = false
		default:
			in = true
		}
	}
	if in {
		n++
	}
	return n
}
