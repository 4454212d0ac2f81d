package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var updateManual = flag.Bool("update-manual", false, "write the manual pages anew")

// TestManual holds the manual pages to the commands: they are made here, out of the commands themselves, and kept in the
// repository so that packages need no tests (go test ./cmd/ctview -run TestManual -update-manual). mandoc finds no fault.
func TestManual(t *testing.T) {
	const dir = "../../packaging/man"
	pages := manual()
	if *updateManual {
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range pages {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is not what the commands say (%v): -update-manual writes it", name, err)
		}
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if pages[filepath.Base(f)] == "" {
			t.Errorf("%s is of no command", f)
		}
	}
	out, _ := exec.Command("mandoc", append([]string{"-T", "lint"}, files...)...).Output() // exits with 2 for the least remark
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "referenced manual not found") { // they are not installed
			t.Error(strings.TrimSpace(line))
		}
	}
}

// manual returns the pages by file name.
func manual() map[string]string {
	root := newRoot(&globals{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, "")
	pages := map[string]string{}
	var all []string
	for _, c := range root.Commands() {
		if c.Runnable() && !c.Hidden || c.HasSubCommands() {
			all = append(all, c.Name())
		}
	}
	for _, c := range root.Commands() {
		if slices.Contains(all, c.Name()) {
			pages["ctview-"+c.Name()+".1"] = commandPage(c, all)
		}
	}
	pages["ctview.1"] = commandPage(root, all)
	p := newPage("ctview-filter", "7", "the filter language and the columns of ctview")
	p.section("DESCRIPTION")
	p.filter()
	p.section("COLUMNS")
	p.text(columnsTopic())
	p.see("ctview 1", "ctview.toml 5")
	pages["ctview-filter.7"] = p.String()
	p = newPage("ctview.toml", "5", "configuration of ctview")
	p.section("DESCRIPTION")
	p.text("The configuration is a TOML file. What follows is the default one, with every key; \"ctview config default\" prints it, " +
		"it is read from /etc/ctview/config.toml, and on top of that from the user's, whose keys win. " +
		"\"ctview config check\" reads yours and tells what is wrong, \"ctview config path\" tells where it is.")
	p.literal(defaultConfig)
	p.files()
	p.see("ctview 1", "ctview-config 1", "ctview-filter 7")
	pages["ctview.toml.5"] = p.String()
	return pages
}

// filter writes what the filter language is.
func (p *page) filter() {
	for i, s := range filterIntro {
		if i > 0 {
			p.WriteString(".Pp\n")
		}
		p.fill(plainText(s))
	}
	p.section("WORDS")
	var words, examples [][2]string
	for _, w := range filterWords {
		words = append(words, [2]string{strings.ReplaceAll(w[0], "`", ""), plainText(w[1])})
	}
	p.terms(words)
	p.points(filterNotes)
	p.section("RULES")
	p.points(filterRules)
	p.section("EXAMPLES")
	for _, e := range filterExamples {
		examples = append(examples, [2]string{e.text, plainText(e.finds)})
	}
	p.terms(examples)
}

// terms writes a list of literal terms and what they mean.
func (p *page) terms(rows [][2]string) {
	for i := range rows {
		rows[i][0] = `Li "` + strings.ReplaceAll(escape(rows[i][0]), `"`, `""`) + `"`
	}
	p.list(rows...)
}

func (p *page) points(points []string) {
	p.WriteString(".Bl -bullet\n")
	for _, s := range points {
		p.WriteString(".It\n")
		p.fill(plainText(s))
	}
	p.WriteString(".El\n")
}

// A page is mdoc being written.
type page struct{ bytes.Buffer }

func newPage(name, section, what string) *page {
	p := &page{}
	fmt.Fprintf(p, ".\\\" Made by TestManual in cmd/ctview; do not edit.\n.Dd November 26, 2026\n.Dt %s %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n",
		strings.ToUpper(name), section, name, escape(what))
	return p
}

func commandPage(c *cobra.Command, all []string) string {
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	p := newPage(name, "1", c.Short)
	p.section("SYNOPSIS")
	p.synopsis(c)
	for _, s := range shown(c) {
		if c.HasParent() {
			p.synopsis(s)
		}
	}
	p.section("DESCRIPTION")
	p.text(long(c))
	p.flags("The options are:", c.LocalNonPersistentFlags())
	for _, s := range shown(c) {
		if c.HasParent() {
			fmt.Fprintf(p, ".Ss %s\n", escape(s.CommandPath()))
			p.text(long(s))
			p.flags("Its options are:", s.LocalNonPersistentFlags())
		}
	}
	if !c.HasParent() {
		p.section("COMMANDS")
		p.WriteString(".Bl -tag -width Ds\n")
		for _, n := range all {
			sub, _, _ := c.Find([]string{n})
			fmt.Fprintf(p, ".It Xr ctview-%s 1\n", n)
			p.fill(sub.Short)
		}
		p.WriteString(".El\n")
		p.flags("Every command has these options:", c.PersistentFlags())
	} else {
		p.text("The options that every command has are told in ctview(1).")
	}
	p.environment()
	p.files()
	p.section("EXIT STATUS")
	p.exitStatus(c)
	examples := []string{c.Example}
	for _, s := range shown(c) {
		examples = append(examples, s.Example)
	}
	if text := strings.Trim(strings.Join(examples, "\n"), "\n"); text != "" && c.HasParent() || !c.HasParent() && c.Example != "" {
		p.section("EXAMPLES")
		p.literal(text)
	}
	if c.HasParent() {
		p.see("ctview 1", "ctview-filter 7", "ctview.toml 5")
	} else {
		p.see("conntrack 8", "nft 8", "ctview-filter 7", "ctview.toml 5")
	}
	return p.String()
}

// shown returns the commands below c that people see.
func shown(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(s *cobra.Command) bool { return s.Hidden || !s.Runnable() })
}

func long(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

func (p *page) section(name string) { fmt.Fprintf(p, ".Sh %s\n", name) }

func (p *page) synopsis(c *cobra.Command) {
	words := strings.Fields(c.Use)
	fmt.Fprintf(p, ".Nm %s\n", c.CommandPath())
	if c.HasAvailableLocalFlags() {
		p.WriteString(".Op Ar option ...\n")
	}
	p.fill(strings.Join(words[1:], " "))
}

// valueNames are what flags without a name of their own for their value take.
var valueNames = map[string]string{"string": "TEXT", "strings": "LIST", "stringArray": "TEXT", "int": "N", "uint": "N", "uint16": "N", "uint32": "N",
	"int64": "N", "uint64": "N", "duration": "DURATION", "float": "N", "count": ""}

func (p *page) flags(intro string, fs *pflag.FlagSet) {
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
			fmt.Fprintf(p, " Ns Op = Ns Ar %s", escape(value))
		case value != "":
			fmt.Fprintf(p, " Ar %s", escape(value))
		}
		p.WriteString("\n")
		p.fill(usage)
	})
	p.WriteString(".El\n")
}

// text writes paragraphs; lines that are indented stay as they are.
func (p *page) text(s string) {
	for i, block := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		var plain, kept []string
		flush := func() {
			if len(plain) > 0 {
				p.fill(strings.Join(plain, " "))
			}
			if len(kept) > 0 {
				p.literal(strings.Join(kept, "\n"))
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

// fill writes a paragraph, a sentence to a line at least, as mdoc wants it.
func (p *page) fill(s string) {
	var line string
	end := func() {
		if line != "" {
			p.WriteString(escape(line) + "\n")
		}
		line = ""
	}
	for _, w := range strings.Fields(s) {
		if len(escape(line))+len(escape(w)) > 75 {
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

func (p *page) literal(s string) {
	p.WriteString(".Bd -literal\n")
	for line := range strings.Lines(strings.TrimRight(s, "\n") + "\n") {
		p.WriteString(escape(strings.TrimRight(line, " \n")) + "\n")
	}
	p.WriteString(".Ed\n")
}

func (p *page) list(rows ...[2]string) {
	p.WriteString(".Bl -tag -width Ds\n")
	for _, r := range rows {
		fmt.Fprintf(p, ".It %s\n", r[0])
		p.fill(r[1])
	}
	p.WriteString(".El\n")
}

func (p *page) environment() {
	p.section("ENVIRONMENT")
	p.list([2]string{"Ev CTVIEW_NETNS", "Stands for --netns where that is not given."},
		[2]string{"Ev CTVIEW_CONFIG", "Stands for --config where that is not given."},
		[2]string{"Ev NO_COLOR", "If set, no colours."},
		[2]string{"Ev TERM", "The terminal; dumb has no colours and no screen."},
		[2]string{"Ev XDG_CONFIG_HOME", "Where the configuration is; ~/.config if not set."},
		[2]string{"Ev LC_ALL , Ev LC_CTYPE , Ev LANG", "Without UTF-8 in them the screen is drawn with ASCII."})
}

func (p *page) files() {
	p.section("FILES")
	p.list([2]string{"Pa /etc/ctview/config.toml", "The configuration of the machine, see ctview.toml(5)."},
		[2]string{"Pa ~/.config/ctview/config.toml", "The user's, which is read on top of it."},
		[2]string{"Pa ~/.config/ctview/themes/NAME.toml", "Themes of one's own."},
		[2]string{"Pa /etc/xtables/connlabel.conf", "The names of labels."})
}

func (p *page) exitStatus(c *cobra.Command) {
	if c.Name() == conntrackName {
		p.text("As conntrack(8): 0, or 1 where it failed, or 2 where the command line is wrong.")
		return
	}
	rows := [][2]string{}
	for _, r := range []struct {
		code int
		what string
	}{
		{exitOK, "Done, also when nothing matched."}, {exitFailed, "An operation failed, or nothing matched with --exit-code."},
		{exitUsage, "The command line, a filter or the configuration is wrong; nothing was done."}, {exitKernel, "The kernel refused."},
		{exitPermission, "Not permitted."}, {exitNoConntrack, "This kernel has no connection tracking, or it is not loaded."},
	} {
		rows = append(rows, [2]string{fmt.Sprint(r.code), r.what})
	}
	p.list(append(rows, [2]string{fmt.Sprintf("%d + n", exitSignalOffset), "Ended by signal n."})...)
}

func (p *page) see(pages ...string) {
	p.section("SEE ALSO")
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

// escape makes text of what roff would take for commands.
func escape(s string) string {
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
