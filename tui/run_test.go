package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"

	"ctview/model"

	"ctview/tui/draw"
)

func TestDressFor(t *testing.T) {
	type dress struct {
		NoColor, ASCII bool
		Profile        colorprofile.Profile
	}
	for _, tt := range []struct {
		env  string
		want dress
	}{
		{"TERM=xterm-256color LANG=C.UTF-8", dress{false, false, colorprofile.ANSI256}},
		{"TERM=xterm-256color LANG=C.UTF-8 COLORTERM=truecolor", dress{false, false, colorprofile.TrueColor}},
		{"TERM=xterm LANG=de_DE.utf8", dress{false, false, colorprofile.ANSI}},
		{"TERM=linux LANG=C", dress{false, true, colorprofile.ANSI}},
		{"TERM=linux LANG=C.UTF-8", dress{false, false, colorprofile.ANSI}},
		{"TERM=xterm LANG=C.UTF-8 LC_ALL=C", dress{false, true, colorprofile.ANSI}},
		{"TERM=xterm LANG=C.UTF-8 NO_COLOR=yes", dress{true, false, colorprofile.ASCII}},
		{"TERM=xterm LANG=C.UTF-8 NO_COLOR=1", dress{true, false, colorprofile.ASCII}},
		{"TERM=xterm LANG=C.UTF-8 NO_COLOR=", dress{false, false, colorprofile.ANSI}},
		{"TERM=vt100 LANG=C.UTF-8", dress{true, true, colorprofile.ASCII}},
		{"TERM=vt220", dress{true, true, colorprofile.ASCII}},
		{"TERM=dumb LANG=C.UTF-8", dress{true, true, colorprofile.ASCII}},
		{"TERM=emacs LANG=C.UTF-8", dress{true, true, colorprofile.ASCII}},
		{"TERM=xterm-mono LANG=C.UTF-8", dress{true, true, colorprofile.ASCII}},
		{"", dress{true, true, colorprofile.ASCII}},
		{"TERM=vte-256color LANG=C.UTF-8", dress{false, false, colorprofile.ANSI256}},
		{"TERM=xterm LANG=C.UTF-8 CLICOLOR=0", dress{true, false, colorprofile.ASCII}},
		{"TERM=xterm LANG=C.UTF-8 CLICOLOR=1", dress{false, false, colorprofile.ANSI}},
		{"TERM=xterm LANG=C.UTF-8 CLICOLOR=0 CLICOLOR_FORCE=1", dress{false, false, colorprofile.ANSI}},
		{"TERM=xterm LANG=C.UTF-8 CLICOLOR=0 CLICOLOR_FORCE=0", dress{true, false, colorprofile.ASCII}},
		{"TERM=xterm LANG=C.UTF-8 NO_COLOR=1 CLICOLOR_FORCE=1", dress{true, false, colorprofile.ASCII}},
		{"TERM=vt100 LANG=C.UTF-8 CLICOLOR_FORCE=1", dress{false, true, colorprofile.ANSI}},
	} {
		t.Run(tt.env, func(t *testing.T) {
			var o Options
			p := dressFor(&o, strings.Fields(tt.env))
			if diff := cmp.Diff(tt.want, dress{o.NoColor, o.ASCII, p}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFrameSize(t *testing.T) {
	for _, tt := range []struct {
		w, h         int
		env          string
		wantW, wantH int
	}{
		{120, 35, "COLUMNS=7", 120, 35},
		{0, 0, "", 80, 24},
		{0, 0, "COLUMNS=132 LINES=50", 132, 50},
		{0, 0, "COLUMNS=x LINES=-3", 80, 24},
		{65535, 30, "", 80, 30},
		{2000, 2000, "", maxWidth, maxHeight},
		{2000, 30, "", maxWidth, 30},
		{0, 0, "COLUMNS=5000 LINES=5000", maxWidth, maxHeight},
	} {
		if w, h := frameSize(tt.w, tt.h, strings.Fields(tt.env)); w != tt.wantW || h != tt.wantH {
			t.Errorf("%dx%d %s: %dx%d, want %dx%d", tt.w, tt.h, tt.env, w, h, tt.wantW, tt.wantH)
		}
	}
}

// colours reports whether a frame has SGR sequences that set a colour.
func colours(content string) bool {
	for part := range strings.SplitSeq(content, "\x1b[") {
		sgr, _, ok := strings.Cut(part, "m")
		if !ok {
			continue
		}
		for n := range strings.SplitSeq(sgr, ";") {
			if len(n) == 2 && (n[0] == '3' || n[0] == '4') {
				return true
			}
		}
	}
	return false
}

// TestThemes: a monochrome terminal gets attributes only, the default theme none but the sixteen colours, and what is
// chosen, marked and finished looks different in each.
func TestThemes(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(*Options)
		colour     bool
		index, dim bool
	}{
		{"ansi", func(*Options) {}, true, false, true},
		{"none", func(o *Options) { o.Theme = "none" }, false, false, true},
		{"NO_COLOR", func(o *Options) { o.NoColor = true }, false, false, true},
		{"256", func(o *Options) { o.Theme = "256" }, true, true, true},
		{"light256", func(o *Options) { o.Theme = "light256" }, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), tt.change)
			g.keys("j", "space")
			c := g.a.View().Content
			if got := colours(c); got != tt.colour {
				t.Errorf("colours: %v, want %v", got, tt.colour)
			}
			if got := strings.Contains(c, "38;5;"); got != tt.index {
				t.Errorf("indexed colours: %v, want %v", got, tt.index)
			}
			for _, sgr := range []string{"\x1b[7m", "\x1b[1m", "\x1b[2m"} { // chosen, marked, finished
				if !tt.index && !strings.Contains(c, sgr) {
					t.Errorf("no %q in the frame", sgr)
				}
			}
		})
	}
	if _, err := New(Options{Theme: "pink"}); err == nil {
		t.Error("an unknown theme was taken")
	}
}

// TestBackground: the answer of the terminal changes the theme, and nothing waits for it.
func TestBackground(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Theme = "256" })
	dark := g.a.View().Content
	g.a.profile = colorprofile.ANSI256
	g.send(tea.BackgroundColorMsg{Color: white{}})
	if light := g.a.View().Content; light == dark {
		t.Error("a light background changes nothing")
	}
	if d, l := cellsOf(dark, 120, 35), cellsOf(g.a.View().Content, 120, 35); cmp.Diff(d, l) != "" {
		t.Error("the background changes the text")
	}
}

type white struct{}

func (white) RGBA() (r, g, b, a uint32) { return 0xffff, 0xffff, 0xffff, 0xffff }

func TestMouse(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	click := func(x, y int) { g.send(tea.MouseClickMsg{X: x, Y: y, Button: tea.MouseLeft}) }
	click(10, 6)
	if g.a.flows.at != 2 {
		t.Errorf("a click on the third row chose row %d", g.a.flows.at)
	}
	click(20, 3)
	if g.a.flows.sort != "src" {
		t.Errorf("a click on SOURCE sorts by %s", g.a.flows.sort)
	}
	g.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	if at := g.a.flows.at + g.a.flows.top; at != 5 && at != 0+3 {
		t.Logf("the wheel took the cursor to %d", at)
	}
	click(14, 1)
	if g.a.screen().name() != "Groups" {
		t.Errorf("a click on a view shows %s", g.a.screen().name())
	}
	if v := g.a.View(); v.MouseMode == tea.MouseModeNone {
		t.Error("the mouse is off")
	}
	off := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.NoMouse = true })
	if v := off.a.View(); v.MouseMode != tea.MouseModeNone {
		t.Error("--no-mouse leaves it on")
	}
}

func TestUnicodeScreens(t *testing.T) {
	uni := func(o *Options) { o.ASCII = false }
	atSizes(t, "unicode-flows", func(g *rig) { g.keys("j", "space", "k") }, uni)
	atSizes(t, "unicode-detail", func(g *rig) { withPast(g, mockFlows()[1]); g.keys("j", "enter") }, uni)
	atSizes(t, "unicode-menu", func(g *rig) { g.keys("f") }, uni)
}

func TestCustomTheme(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) {
		o.Theme = "mine"
		o.CustomThemes = map[string]map[string]string{"mine": {"open": "bold #ff8000 on 17", "zone": "bright-red", "title": "plain"}}
	})
	c := g.a.View().Content
	for _, want := range []string{"\x1b[1;38;2;255;128;0;48;5;17mESTABLISHED", "\x1b[91m5"} {
		if !strings.Contains(c, want) {
			t.Errorf("no %q in the frame", want)
		}
	}
	for _, tt := range []struct{ role, look, want string }{
		{"opn", "red", `unknown role "opn": did you mean open?`},
		{"open", "pink", `open: unknown colour or attribute "pink"`},
		{"open", "red on", `open: a colour is missing behind "on"`},
		{"open", "#12345", `open: unknown colour or attribute "#12345"`},
		{"open", "256", `open: unknown colour or attribute "256"`},
		{"open", "bold 255 on bright-black", ""},
	} {
		got := ""
		if err := draw.CheckTheme(map[string]string{tt.role: tt.look}); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s = %q: %q, want %q", tt.role, tt.look, got, tt.want)
		}
	}
}

func FuzzParseLook(f *testing.F) {
	f.Add("bold #ff8000 on 17")
	f.Add("plain")
	f.Add("on on red")
	f.Fuzz(func(t *testing.T, s string) {
		sgr, err := draw.ParseLook(s)
		if err != nil || sgr == "" {
			return
		}
		if body := strings.TrimSuffix(strings.TrimPrefix(sgr, "\x1b["), "m"); strings.Trim(body, "0123456789;") != "" {
			t.Errorf("parseLook(%q) = %q", s, sgr)
		}
	})
}

func TestActions(t *testing.T) {
	as := Actions()
	for _, id := range []string{"filter", "delete", "quit", "notrack", "view2", "by", "follow"} {
		if as[id].Does == "" || len(as[id].Keys) == 0 {
			t.Errorf("no action %q", id)
		}
	}
}

func TestTableFull(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.kernel.cpus = []model.CPUStats{{Values: [16]uint32{9: 10, 10: 20}}}
	g.tick(3e9)
	g.kernel.sys.Entries, g.kernel.sys.Max.Value = 15, 15
	g.kernel.cpus = []model.CPUStats{{Values: [16]uint32{9: 4, 10: 100}}, {Values: [16]uint32{10: 26}}}
	g.tick(3e9)
	if g.line("!! table full: 15 of 15, kernel dropped 100 packets since 12:04 (insert_failed, drop). Groups shows who holds it.") == "" {
		t.Errorf("not told:\n%s", g.screen())
	}
}

// TestLongMessage: what does not fit into the message line takes the one above it, too.
func TestLongMessage(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.kernel.sys.Acct.Value = 0
	g.tick(3e9)
	if g.line("bytes need net.netfilter.nf_conntrack_acct=1") == "" || g.line(`than that stay at "-".`) == "" {
		t.Errorf("screen:\n%s", g.screen())
	}
}

// TestEyeFindsRateAndDanger: a rate has a look of its own and none stands back; views that are not shown stand back; a question
// about what cannot be taken back has other edges than a menu.
func TestEyeFindsRateAndDanger(t *testing.T) {
	for _, p := range []colorprofile.Profile{colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
		t.Run(p.String(), func(t *testing.T) {
			g := newRig(t, 120, 35, mockFlows(), nil)
			g.a.profile = p
			if err := g.a.dress(); err != nil {
				t.Fatal(err)
			}
			th := g.a.theme
			has := func(what, want string) {
				t.Helper()
				if c := g.a.View().Content; !strings.Contains(c, want) {
					t.Errorf("%s: no %q in the frame", what, want)
				}
			}
			has("a rate", th[draw.Busy]+"1.2MB/s"+draw.ResetSGR)
			has("a trickle", " 84B/s ")
			has("no rate", th[draw.Faint]+"0"+draw.ResetSGR)
			has("another view", th[draw.Faint]+"2 Groups"+draw.ResetSGR)
			has("this view", th[draw.Strong]+"[1 Flows]"+draw.ResetSGR)
			g.keys("D")
			has("a question", th[draw.Warn]+"+-"+draw.ResetSGR+" "+th[draw.Warn])
			g.keys("esc", "s")
			has("a menu", th[draw.FrameLine]+"+-"+draw.ResetSGR)
		})
	}
}

// TestCurrentRowKeepsItsState: on the current row the state has its colour, on the row's background; what is not known
// stands back elsewhere; a terminal with 256 colours gets that by itself.
func TestCurrentRowKeepsItsState(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	g.a.profile = colorprofile.ANSI256
	if err := g.a.dress(); err != nil {
		t.Fatal(err)
	}
	g.keys("j", "k")
	lines := strings.Split(g.a.View().Content, "\n")
	current := lines[4]
	if !strings.HasPrefix(current, "\x1b[38;5;255;48;5;237m") || !strings.Contains(current, "\x1b[38;5;114mESTABLISHED\x1b[m\x1b[38;5;255;48;5;237m") {
		t.Errorf("the current row: %q", current)
	}
	if next := lines[5]; !strings.Contains(next, "\x1b[38;5;246m") {
		t.Errorf("nothing stands back: %q", next)
	}
}
