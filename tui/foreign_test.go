package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"ctview/model"
	"ctview/model/filter"
)

// evil is a text that a terminal obeys in every way there is.
const evil = "x\x1b[5m\x1b]0;t\a\u009b2J\r\n\t\x7f\xff\u202e\u200b\ufe0f=1+1 \"'日本"

// raw returns what a terminal obeys of a frame, from the first such character on; the colours of the theme are ours.
func raw(frame string) string {
	for l := range strings.SplitSeq(frame, "\n") {
		for l != "" {
			if n := len("\x1b["); strings.HasPrefix(l, "\x1b[") {
				end := strings.IndexFunc(l[n:], func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
				if end < 0 || l[n+end] != 'm' || strings.HasPrefix(l, "\x1b[5m") {
					return l
				}
				l = l[n+end+1:]
				continue
			}
			r, size := utf8.DecodeRuneInString(l)
			if r < 0x20 || r >= 0x7f && r < 0xa0 || model.Reorders(r) || r == utf8.RuneError && size == 1 {
				return l
			}
			l = l[size:]
		}
	}
	return ""
}

type evilNamespaces struct{}

func (evilNamespaces) List(context.Context) ([]Namespace, error) {
	return []Namespace{{Name: evil, About: evil}}, nil
}
func (evilNamespaces) Switch(context.Context, string) (Session, error) {
	return Session{}, errors.New(evil)
}

// evilRig is a screen to which everything that comes from outside is evil: from the kernel, the network, files, the
// configuration, and errors of each.
func evilRig(t *testing.T, w, h int) *rig {
	rules, st := mockRules(t), mockStates(t)
	rules.list[0].ID, rules.list[0].Who, rules.list[0].Hooks, rules.list[0].Table = evil, evil, evil, evil
	rules.list[0].Rules[0].Iface = evil
	rules.others = []model.ForeignRule{{Place: evil, Hook: evil, Match: evil}}
	rules.preview.Why, rules.preview.Commands, rules.preview.Session = evil, []string{evil}, evil
	rules.preview.Warnings = []model.NotrackWarning{{Text: evil}, {Text: evil, Ask: true}}
	rules.applyErr = errors.New(evil)
	st.counts.Source = evil
	for i := range st.samples {
		st.samples[i].In, st.samples[i].Out, st.samples[i].Reason = evil, evil, evil
	}
	rows := mockFlows()
	for i := range rows {
		rows[i].Flow.Helper, rows[i].Extra.Secctx = model.HelperFor([]byte(evil)), evil
		rows[i].Extra.Labels.Set(1)
	}
	g := newRig(t, w, h, rows, func(o *Options) {
		o.Host, o.Netns, o.Config, o.Version, o.ASCII = evil, evil, evil, "1", false
		o.Rules, o.States, o.Namespaces = rules, st, evilNamespaces{}
		o.Columns = []string{"state", "helper", "labels", "secctx", "src", "dst"}
		o.LabelName = func(int) string { return evil }
		o.Lookup, o.Names = func(context.Context, netip.Addr) (string, error) { return evil, nil }, true
		o.ServiceName = func(model.Proto, uint16) string { return evil }
		o.About = func(context.Context, *model.Row) []string { return []string{"process: " + evil, evil} }
		o.Views = map[string]SavedView{evil: {Filter: "tcp", Group: "dst"}, "v": {Filter: evil, Group: evil}}
		o.Parse.Saved = map[string]string{evil: "tcp"}
		o.CustomThemes = map[string]map[string]string{evil: {}}
		o.SaveView = func(string, SavedView) error { return errors.New(evil) }
		o.SaveFilter = func(string, string) error { return errors.New(evil) }
		o.Create = func(string) (io.WriteCloser, error) {
			return nil, &os.PathError{Op: "open", Path: evil, Err: os.ErrExist}
		}
	})
	g.kernel.errs = []error{errors.New(evil)}
	g.kernel.sys.Host = evil
	g.kernel.event.Flow, g.kernel.event.Has, g.kernel.event.Extra = rows[0].Flow, ^model.Fields(0), rows[0].Extra
	g.kernel.expects = []model.Expect{{Helper: evil, Fn: evil, Tuple: rows[0].Flow.Orig(), Master: rows[0].Flow.Orig()}}
	withEvents(g)
	withPast(g, rows[0])
	g.tick(time.Second)
	return g
}

// TestForeignTextOnScreens goes through every screen, dialog and menu with evil text in every place that is filled from
// outside: no frame passes on what a terminal obeys or shows as nothing, and no line is wider than the screen.
func TestForeignTextOnScreens(t *testing.T) {
	walks := [][]string{
		{"j", "space", "k", "enter", "j", "pgdown", "esc"}, {"f", "j", "esc"}, {"c", "esc"}, {"s", "esc"}, {"y", "x"}, {"y", "j"}, {"r"}, {"D", "y"},
		{"2", "b", "B", "ctrl+u", "helper", "enter", "j", "enter", "esc"}, {"b", "y", "esc"}, {"3", "k", "enter", "esc", "f", "esc"},
		{"4", "j", "pgdown"}, {"5", "j", "enter", "esc", "D", "y"}, {"6", "j", "enter", "esc", "D", "y", "u", "y"}, {"e", "j", "enter", "esc"}, {"v", "esc"},
		{"N", "y", "enter"}, {"w", "name", "enter"}, {"?", "pgdown", "esc"}, {"/", "state ", "tab"}, {"/", "helper ", "tab"}, {"/", "@", "tab"},
		{"/", "zone x", "enter"}, {"m", "esc"}, {"n"}, {"a"}, {"t"}, {"o"}, {"i"},
	}
	commands := []string{"netns", "netns x", "set theme ", "set theme y", "view ", "view v", "write x", "filter x", "save x", "columns helper,labels,secctx",
		"label", "notrack src 1.2.3.4", "sort helper", "group helper,labels", "mark 1", "help", "nothing"}
	for _, size := range []struct{ w, h int }{{80, 24}, {200, 60}} {
		n := 0
		look := func(g *rig, after ...string) {
			t.Helper()
			n++
			c := g.a.View().Content
			if r := raw(c); r != "" {
				t.Errorf("%dx%d after %q: %.200q", size.w, size.h, after, r)
			}
			for l := range strings.SplitSeq(c, "\n") {
				if w := ansi.StringWidth(l); w > size.w {
					t.Errorf("%dx%d after %q: a line of %d cells: %.300q", size.w, size.h, after, w, l)
				}
			}
		}
		for _, keys := range walks {
			g := evilRig(t, size.w, size.h)
			look(g)
			for i, k := range keys {
				g.keys(k)
				look(g, keys[:i+1]...)
			}
		}
		for _, c := range commands {
			g := evilRig(t, size.w, size.h)
			g.keys(":")
			g.keys(c)
			look(g, ":", c)
			g.keys("tab")
			look(g, ":", c, "tab")
			g.keys("esc")
			g.command(c)
			look(g, ":", c, "enter")
		}
		g := evilRig(t, size.w, size.h)
		for _, say := range []func(){func() { g.a.say(evil) }, func() { g.a.fail(evil) }, func() { g.a.sysErr = errors.New(evil) }} {
			say()
			g.a.dirty = true
			look(g, "a message")
		}
		if _, err := filter.Parse(evil, filter.Options{}); err == nil || raw(fmt.Sprint(err)) != "" {
			t.Errorf("the filter's error: %v", err)
		}
		if n < 150 {
			t.Errorf("%d frames", n)
		}
	}
}
