package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ctview/cmd/ctview/mdoc"

	"github.com/spf13/cobra"
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
	p := page{mdoc.New("cmd/ctview", "ctview-filter", "7", "the filter language and the columns of ctview")}
	p.Section("DESCRIPTION")
	p.filter()
	p.Section("COLUMNS")
	p.Text(columnsTopic())
	p.See("ctview 1", "ctview.toml 5")
	pages["ctview-filter.7"] = p.String()
	p = page{mdoc.New("cmd/ctview", "ctview.toml", "5", "configuration of ctview")}
	p.Section("DESCRIPTION")
	for i, text := range configIntro {
		if i > 0 {
			p.WriteString(".Pp\n")
		}
		p.Fill(plainText(text))
	}
	p.Text("The default configuration, with every key:")
	p.Literal(defaultConfig)
	p.files()
	p.See("ctview 1", "ctview-config 1", "ctview-filter 7")
	pages["ctview.toml.5"] = p.String()
	return pages
}

// filter writes what the filter language is.
func (p page) filter() {
	for i, s := range filterIntro {
		if i > 0 {
			p.WriteString(".Pp\n")
		}
		p.Fill(plainText(s))
	}
	p.Section("WORDS")
	var words, examples [][2]string
	for _, w := range filterWords {
		words = append(words, [2]string{strings.ReplaceAll(w[0], "`", ""), plainText(w[1])})
	}
	p.terms(words)
	p.points(filterNotes)
	p.Section("RULES")
	p.points(filterRules)
	p.Section("EXAMPLES")
	for _, e := range filterExamples {
		examples = append(examples, [2]string{e.text, plainText(e.finds)})
	}
	p.terms(examples)
}

// terms writes a list of literal terms and what they mean.
func (p page) terms(rows [][2]string) {
	for i := range rows {
		rows[i][0] = `Li "` + strings.ReplaceAll(mdoc.Escape(rows[i][0]), `"`, `""`) + `"`
	}
	p.List(rows...)
}

func (p page) points(points []string) {
	p.WriteString(".Bl -bullet\n")
	for _, s := range points {
		p.WriteString(".It\n")
		p.Fill(plainText(s))
	}
	p.WriteString(".El\n")
}

// A page has besides what only pages about ctview have.
type page struct{ *mdoc.Page }

func commandPage(c *cobra.Command, all []string) string {
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	p := page{mdoc.New("cmd/ctview", name, "1", c.Short)}
	p.Section("SYNOPSIS")
	p.synopsis(c)
	for _, s := range shown(c) {
		if c.HasParent() {
			p.synopsis(s)
		}
	}
	p.Section("DESCRIPTION")
	p.Text(long(c))
	p.Flags("The options are:", c.LocalNonPersistentFlags())
	for _, s := range shown(c) {
		if c.HasParent() {
			fmt.Fprintf(p, ".Ss %s\n", mdoc.Escape(s.CommandPath()))
			p.Text(long(s))
			p.Flags("Its options are:", s.LocalNonPersistentFlags())
		}
	}
	if !c.HasParent() {
		p.Section("COMMANDS")
		p.WriteString(".Bl -tag -width Ds\n")
		for _, n := range all {
			sub, _, _ := c.Find([]string{n})
			fmt.Fprintf(p, ".It Xr ctview-%s 1\n", n)
			p.Fill(sub.Short)
		}
		p.WriteString(".El\n")
		p.Flags("Every command has these options:", c.PersistentFlags())
	} else {
		p.Text("The options that every command has are told in ctview(1).")
	}
	p.environment()
	p.files()
	p.Section("EXIT STATUS")
	p.exitStatus(c)
	examples := []string{c.Example}
	for _, s := range shown(c) {
		examples = append(examples, s.Example)
	}
	if text := strings.Trim(strings.Join(examples, "\n"), "\n"); text != "" && c.HasParent() || !c.HasParent() && c.Example != "" {
		p.Section("EXAMPLES")
		p.Literal(text)
	}
	if c.HasParent() {
		p.See("ctview 1", "ctview-filter 7", "ctview.toml 5")
	} else {
		p.See("conntrack 8", "nft 8", "ctview-filter 7", "ctview.toml 5")
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

func (p page) synopsis(c *cobra.Command) {
	words := strings.Fields(c.Use)
	fmt.Fprintf(p, ".Nm %s\n", c.CommandPath())
	if c.HasAvailableLocalFlags() {
		p.WriteString(".Op Ar option ...\n")
	}
	p.Fill(strings.Join(words[1:], " "))
}

func (p page) environment() {
	p.Section("ENVIRONMENT")
	p.List([2]string{"Ev CTVIEW_NETNS", "Stands for --netns where that is not given."},
		[2]string{"Ev CTVIEW_CONFIG", "Stands for --config where that is not given."},
		[2]string{"Ev NO_COLOR , Ev CLICOLOR , Ev CLICOLOR_FORCE", "No colours if NO_COLOR is not empty or CLICOLOR is 0; colours in a pipe, too, if CLICOLOR_FORCE is neither empty nor 0."},
		[2]string{"Ev TERM", "The terminal; dumb has no colours and no screen."},
		[2]string{"Ev XDG_CONFIG_HOME", "Where the configuration is; ~/.config if not set."},
		[2]string{"Ev LC_ALL , Ev LC_CTYPE , Ev LANG", "Without UTF-8 in them the screen is drawn with ASCII."})
}

func (p page) files() {
	p.Section("FILES")
	p.List([2]string{"Pa /etc/ctview/config.toml", "The configuration of the machine, see ctview.toml(5)."},
		[2]string{"Pa ~/.config/ctview/config.toml", "The user's, which is read on top of it."},
		[2]string{"Pa ~/.config/ctview/themes/NAME.toml", "Themes of one's own."},
		[2]string{"Pa /etc/xtables/connlabel.conf", "The names of labels."})
}

func (p page) exitStatus(c *cobra.Command) {
	if c.Name() == conntrackName {
		p.Text("As conntrack(8): 0, or 1 where it failed, or 2 where the command line is wrong.")
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
	p.List(append(rows, [2]string{fmt.Sprintf("%d + n", exitSignalOffset), "Ended by signal n."})...)
}
