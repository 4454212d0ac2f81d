// Package mdoc writes manual pages: what the tests that keep them make of commands. Only tests import it.
package mdoc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// A Page is a manual page in mdoc(7), being written. Its text is taken as it is: what roff would take for commands is escaped.
type Page struct{ bytes.Buffer }

// New begins a page. maker is the folder whose TestManual writes it, name and section as in ctview 1, what a line that says what it is.
func New(maker, name, section, what string) *Page {
	p := &Page{}
	fmt.Fprintf(p, ".\\\" Made by TestManual in %s; do not edit.\n.Dd November 26, 2026\n.Dt %s %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n",
		maker, strings.ToUpper(name), section, name, Escape(what))
	return p
}

// Section begins a section.
func (p *Page) Section(name string) { fmt.Fprintf(p, ".Sh %s\n", name) }

// valueNames are what flags without a name of their own for their value take.
var valueNames = map[string]string{"string": "TEXT", "strings": "LIST", "stringArray": "TEXT", "int": "N", "uint": "N", "uint16": "N", "uint32": "N",
	"int64": "N", "uint64": "N", "duration": "DURATION", "float": "N", "count": ""}

// Flags writes what options there are; none if there are none.
func (p *Page) Flags(intro string, fs *pflag.FlagSet) {
	if !fs.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(p, ".Pp\n%s\n.Bl -tag -width Ds\n", intro)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		if n, ok := valueNames[value]; ok {
			value = n
		}
		p.WriteString(".It ")
		if f.Shorthand != "" {
			fmt.Fprintf(p, "Fl %s , ", f.Shorthand)
		}
		fmt.Fprintf(p, "Fl Fl %s", f.Name)
		switch {
		case f.NoOptDefVal != "" && value != "" && f.Value.Type() != "bool":
			fmt.Fprintf(p, " Ns Op = Ns Ar %s", Escape(value))
		case value != "":
			fmt.Fprintf(p, " Ar %s", Escape(value))
		}
		p.WriteString("\n")
		p.Fill(usage)
	})
	p.WriteString(".El\n")
}

// Text writes paragraphs; lines that are indented stay as they are.
func (p *Page) Text(s string) {
	for i, block := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		var plain, kept []string
		flush := func() {
			if len(plain) > 0 {
				p.Fill(strings.Join(plain, " "))
			}
			if len(kept) > 0 {
				p.Literal(strings.Join(kept, "\n"))
			}
			plain, kept = nil, nil
		}
		if i > 0 && !strings.HasPrefix(block, " ") {
			p.WriteString(".Pp\n")
		}
		for _, line := range strings.Split(block, "\n") {
			switch {
			case strings.HasPrefix(line, " "):
				kept = append(kept, line)
			case len(kept) > 0:
				flush()
				p.WriteString(".Pp\n")
				plain = append(plain, line)
			default:
				plain = append(plain, line)
			}
		}
		flush()
	}
}

// Fill writes a paragraph, a sentence to a line at least, as mdoc wants it.
func (p *Page) Fill(s string) {
	var line string
	end := func() {
		if line != "" {
			p.WriteString(Escape(line) + "\n")
		}
		line = ""
	}
	for _, w := range strings.Fields(s) {
		if len(Escape(line))+len(Escape(w)) > 75 {
			end()
		}
		if line != "" {
			line += " "
		}
		line += w
		if strings.ContainsAny(strings.TrimRight(w, `)"'`)[max(0, len(strings.TrimRight(w, `)"'`))-1):], ".!?:") {
			end()
		}
	}
	end()
}

// Literal writes lines as they are.
func (p *Page) Literal(s string) {
	p.WriteString(".Bd -literal\n")
	for line := range strings.Lines(strings.TrimRight(s, "\n") + "\n") {
		p.WriteString(Escape(strings.TrimRight(line, " \n")) + "\n")
	}
	p.WriteString(".Ed\n")
}

// List writes pairs of a term, which may have mdoc macros, and what it means.
func (p *Page) List(rows ...[2]string) {
	p.WriteString(".Bl -tag -width Ds\n")
	for _, r := range rows {
		fmt.Fprintf(p, ".It %s\n", r[0])
		p.Fill(r[1])
	}
	p.WriteString(".El\n")
}

// See ends a page with references, each as "NAME SECTION".
func (p *Page) See(pages ...string) {
	p.Section("SEE ALSO")
	slices.SortFunc(pages, func(a, b string) int {
		na, nb := strings.Fields(a), strings.Fields(b)
		return strings.Compare(na[1]+na[0], nb[1]+nb[0])
	})
	for i, x := range pages {
		if i < len(pages)-1 {
			x += " ,"
		}
		p.WriteString(".Xr " + x + "\n")
	}
}

// Escape makes text of what roff would take for commands.
func Escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case i == 0 && (r == '.' || r == '\''):
			b.WriteString(`\&` + string(r))
		case r > 126:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
