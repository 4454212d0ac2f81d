package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ctview/model"
	"ctview/model/table"
)

// command types a : line and presses Enter.
func (g *rig) command(text string) { g.keys(":", text, "enter") }

func TestCommands(t *testing.T) {
	for _, tt := range []struct {
		line string
		ok   func(*rig) bool
	}{
		{"filter zone 5", func(g *rig) bool { return g.a.text == "zone 5" }},
		{"and helper ftp", func(g *rig) bool { return g.a.text == "helper ftp" }},
		{"not helper ftp", func(g *rig) bool { return g.a.text == "not helper ftp" }},
		{"sort bytes:asc", func(g *rig) bool { return g.a.flows.sort == "bytes" && !g.a.flows.desc }},
		{"sort bytes", func(g *rig) bool { return g.a.flows.sort == "bytes" && g.a.flows.desc }},
		{"cols src,dst,avgpkt", func(g *rig) bool { return len(g.a.flows.cols) == 3 && g.line("AVGPKT") != "" }},
		{"group dst,dport", func(g *rig) bool { return g.a.screen().name() == "Groups" && g.line("DST, DPORT") != "" }},
		{"view stats", func(g *rig) bool { return g.a.screen().name() == "Stats" }},
		{"view night", func(g *rig) bool { return g.a.text == "udp" && g.a.flows.sort == "age" }},
		{"set refresh 5s", func(g *rig) bool { return g.line("refresh 5s") != "" }},
		{"set refresh 5", func(g *rig) bool { return g.line("refresh 5s") != "" }},
		{"set refresh 2m", func(g *rig) bool { return g.line("refresh 2m") != "" }},
		{"set refresh 5x", func(g *rig) bool { return g.line(`"5x" is no interval between 100ms and 1h`) != "" }},
		{"set theme light256", func(g *rig) bool { return g.a.opt.Theme == "light256" }},
		{"set bits on", func(g *rig) bool { return g.line("Mbit") != "" }},
		{"pause", func(g *rig) bool { return g.a.paused }},
		{"reverse", func(g *rig) bool { return !g.a.flows.desc }},
		{"delete zone 7", func(g *rig) bool { return g.line("Delete this flow?") != "" }},
		{"help", func(g *rig) bool { return g.line("ctview help") != "" }},
		{"filtr zone 5", func(g *rig) bool { return g.line(`unknown command "filtr": did you mean filter?`) != "" }},
		{"filter zone 70000", func(g *rig) bool { return g.a.text == "" && g.line("70000") != "" && g.line(":filter zone") != "" }},
		{"sort colour", func(g *rig) bool { return g.line(`unknown column "colour"`) != "" }},
		{"set theme pink", func(g *rig) bool { return g.line(`unknown theme "pink"`) != "" && g.a.opt.Theme == "" }},
		{"view nowhere", func(g *rig) bool { return g.line(`no screen and no saved view is called "nowhere"`) != "" }},
		{"netns x", func(g *rig) bool { return g.line("the namespace cannot be changed here") != "" }},
	} {
		t.Run(tt.line, func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
				o.Views = map[string]SavedView{"night": {Filter: "udp", Sort: "age:asc"}}
			})
			g.command(tt.line)
			if !tt.ok(g) {
				t.Errorf("screen:\n%s", g.screen())
			}
		})
	}
}

// TestEveryActionIsACommand: what a key does can be typed as well.
func TestEveryActionIsACommand(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	names := g.a.commandNames()
	for _, b := range flowsBindings {
		found := false
		for _, n := range names {
			found = found || n == b.id
		}
		if !found {
			t.Errorf("%s has a key but no command", b.id)
		}
	}
}

// TestKeysAreOfOneAction: no key of a screen means two things, and none means nothing.
func TestKeysAreOfOneAction(t *testing.T) {
	g := newRig(t, 120, 35, nil, nil)
	for _, b := range slices.Concat(g.a.views, g.a.always) {
		if b.run == nil {
			t.Errorf("%s does nothing", b.id)
		}
	}
	for _, m := range append(g.a.screens, &detail{}, &menu{}, &bar{}, &prompt{}, &help{}, &packetStates{}, &findings{}) {
		seen := map[string]string{}
		for _, b := range m.bindings() {
			if _, types := m.(typist); b.run == nil && !types {
				t.Errorf("%s: %s does nothing", m.name(), b.id)
			}
		}
		for _, b := range m.bindings() {
			for _, k := range b.keys {
				if was, ok := seen[k]; ok {
					t.Errorf("%s: %s is %s and %s", m.name(), k, was, b.id)
				}
				seen[k] = b.id
			}
		}
	}
}

func TestCommandCompletion(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.keys(":", "so", "tab", "by", "tab", "enter")
	if g.a.flows.sort != "bytes" {
		t.Errorf("sorted by %s:\n%s", g.a.flows.sort, g.screen())
	}
	g.keys(":", "filter zo", "tab")
	if g.line(":filter zone") == "" {
		t.Errorf("not completed:\n%s", g.screen())
	}
}

// A memFile is a file that is written.
type memFile struct{ bytes.Buffer }

func (*memFile) Close() error { return nil }

func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		keys, file, head string
		lines            int
	}{
		{"1", "x.csv", "family,proto,state", 16},
		{"1", "x.json", `{"family":"ipv4"`, 15},
		{"1", "x.txt", "tcp      6 ", 15},
		{"3", "x.csv", "time,event,family", 53},
		{"3", "x.txt", "", 52},
		{"2", "x.csv", "src,flows,unreplied", 0},
		{"2", "x.json", `{"src":"192.168.`, 0},
		{"5", "x.json", "{", 1},
		{"5", "x.txt", "298 proto=6", 1},
	} {
		t.Run(tt.keys+tt.file, func(t *testing.T) {
			var f memFile
			g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
				o.Create = func(string) (io.WriteCloser, error) { return &f, nil }
			})
			withEvents(g)
			g.kernel.expects = []model.Expect{{Helper: "ftp", Timeout: 298, HasTimeout: true, Tuple: mockFlows()[8].Flow.Orig(), Mask: mockFlows()[8].Flow.Orig(), Master: mockFlows()[8].Flow.Orig()}}
			g.keys(tt.keys, "w", "ctrl+u", tt.file, "enter")
			if !strings.HasPrefix(f.String(), tt.head) {
				t.Errorf("begins with %.80q, want %q", f.String(), tt.head)
			}
			if n := strings.Count(f.String(), "\n"); tt.lines > 0 && n != tt.lines {
				t.Errorf("%d lines, want %d", n, tt.lines)
			}
			if g.line(" written to x.") == "" {
				t.Errorf("not told:\n%s", g.screen())
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
		o.Create = func(string) (io.WriteCloser, error) { return nil, fs.ErrExist }
	})
	g.command("write x.csv")
	if g.line("x.csv is there already; nothing was written") == "" {
		t.Errorf("screen:\n%s", g.screen())
	}
	g.command("write x.doc")
	if g.line("the name ends in .csv") == "" {
		t.Errorf("screen:\n%s", g.screen())
	}
}

func TestSave(t *testing.T) {
	var got SavedView
	var filter string
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
		o.Filter = "zone 5"
		o.SaveView = func(_ string, v SavedView) error { got = v; return nil }
		o.SaveFilter = func(name, text string) error { filter = name + "=" + text; return nil }
	})
	g.command("save mine")
	if got.Filter != "zone 5" || got.Sort != "rate:desc" || len(got.Columns) != 12 {
		t.Errorf("saved %+v", got)
	}
	g.keys("esc", "v", "enter")
	if g.a.text != "zone 5" {
		t.Errorf("the view menu brought %q", g.a.text)
	}
	g.command("save @five")
	if filter != "five=zone 5" {
		t.Errorf("saved %q", filter)
	}
	g.command("filter @five and udp")
	if g.a.text != "@five and udp" {
		t.Errorf("the saved filter is not known: %q\n%s", g.a.text, g.screen())
	}
}

func TestNames(t *testing.T) {
	asked := map[netip.Addr]int{}
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
		o.Lookup = func(_ context.Context, a netip.Addr) (string, error) {
			asked[a]++
			if a.String() == "192.168.1.44" {
				return "evil\x1b[2J.example", nil
			}
			return "", errors.New("no such name")
		}
		o.ServiceName = func(_ model.Proto, port uint16) string {
			if port == 443 {
				return "https"
			}
			return ""
		}
	})
	g.keys("r")
	g.tick(2e9)
	g.tick(2e9)
	if g.line(`evil\x1b[2J.example`) == "" || g.line("203.0.113.7:https") == "" || g.line("[2001:db8:9::53]:https") == "" {
		t.Errorf("no names:\n%s", g.screen())
	}
	g.keys("enter")
	g.tick(2e9)
	if g.line(`is evil\x1b[2J.example`) == "" {
		t.Errorf("no names in the detail:\n%s", g.screen())
	}
	for _, r := range mockFlows() {
		g.store.Table.Apply(start.UnixNano(), []model.Event{{Kind: model.New, Has: model.HasOrig | model.HasReply, Flow: r.Flow}})
	}
	g.keys("esc", "2")
	g.tick(2e9)
	if g.line(`evil\x1b[2J.example`) == "" {
		t.Errorf("no names in the groups:\n%s", g.screen())
	}
	g.keys("1")
	g.tick(2e9)
	for a, n := range asked {
		if n > 1 {
			t.Errorf("%s was asked for %d times", a, n)
		}
	}
	g.keys("r")
	if g.line("https") != "" {
		t.Errorf("names stay:\n%s", g.screen())
	}
}

type fakeNamespaces struct{ g *rig }

func (f fakeNamespaces) List(context.Context) ([]Namespace, error) {
	return []Namespace{{Name: "blue", About: "named", Current: true}, {Name: "812", About: "container web\x1b"},
		{Name: "2", Title: "default", About: "the initial one"}}, nil
}

func (f fakeNamespaces) Switch(_ context.Context, name string) (Session, error) {
	if name == "2" || name == "default" {
		return Session{Store: &fakeStore{Table: table.New()}, Kernel: f.g.kernel, Inspector: f.g.kernel}, nil
	}
	if name != "blue" {
		return Session{}, errors.New("no such namespace")
	}
	s := &fakeStore{Table: table.New(), rows: manyFlows(3), stats: table.Stats{Loaded: true, New: 3}}
	return Session{Store: s, Kernel: f.g.kernel, Inspector: f.g.kernel, Netns: "blue"}, nil
}

func TestNetns(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.a.opt.Namespaces = fakeNamespaces{g}
	g.command("netns red")
	if g.line("no such namespace") == "" || g.line("192.168.1.44") == "" {
		t.Errorf("a wrong name changed something:\n%s", g.screen())
	}
	g.keys("ctrl+n", "enter")
	if g.line("ns blue") == "" || g.line("10.0.0.1:") == "" || g.line("3 of 3") == "" {
		t.Errorf("not in the new namespace:\n%s", g.screen())
	}
	g.keys("ctrl+n")
	if g.line("    default ") == "" {
		t.Errorf("the initial one is called by a number:\n%s", g.screen())
	}
	g.keys("down", "down", "enter")
	if g.line("ns default") == "" || g.line("now watching the initial namespace") == "" {
		t.Errorf("not in the initial one:\n%s", g.screen())
	}
	g.a.opt.Netns = "x"
	g.keys(":", "netns def", "tab", "enter")
	if g.line("ns default") == "" {
		t.Errorf("not by its name:\n%s", g.screen())
	}
}
