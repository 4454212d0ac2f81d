package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/filter"
)

// fakeRules answers with what it was given and remembers what it was told.
type fakeRules struct {
	list     []model.NotrackRule
	others   []model.ForeignRule
	preview  model.NotrackPreview
	asked    []RuleRequest
	applied  []RuleRequest
	kept     []string
	removed  []string
	undone   []string
	applyErr error
	ending   []model.NotrackWarning
}

func (r *fakeRules) List(context.Context) ([]model.NotrackRule, error)   { return r.list, nil }
func (r *fakeRules) Others(context.Context) ([]model.ForeignRule, error) { return r.others, nil }
func (r *fakeRules) Preview(_ context.Context, q RuleRequest) (*model.NotrackPreview, error) {
	r.asked = append(r.asked, q)
	p := r.preview
	return &p, nil
}
func (r *fakeRules) Apply(_ context.Context, q RuleRequest) (model.NotrackResult, error) {
	r.applied = append(r.applied, q)
	return model.NotrackResult{Rule: model.NotrackRule{ID: "ab12cd", Rules: q.Rules, Keep: q.Keep, Pending: true}, Verified: true, Packets: 42}, r.applyErr
}
func (r *fakeRules) Confirm(_ context.Context, id string, keep *model.Keep) error {
	r.kept = append(r.kept, fmt.Sprint(id, " ", keep != nil && *keep == model.KeepUntilRemoved))
	return nil
}
func (r *fakeRules) Remove(_ context.Context, ids ...string) error {
	r.removed = append(r.removed, ids...)
	return nil
}
func (r *fakeRules) Ending(_ context.Context, ids ...string) (*model.NotrackEnd, error) {
	e := &model.NotrackEnd{Warnings: r.ending}
	for _, rule := range r.list {
		if slices.Contains(ids, rule.ID) {
			e.Rules = append(e.Rules, rule)
		}
	}
	return e, nil
}
func (r *fakeRules) Last(context.Context) (string, error) { return r.list[len(r.list)-1].ID, nil }
func (r *fakeRules) Undo(_ context.Context, only string) (model.NotrackRule, error) {
	r.undone = append(r.undone, only)
	return model.NotrackRule{}, nil
}

func mustRule(t testing.TB, text string) model.Rule {
	t.Helper()
	r, err := filter.ParseRule(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mockRules are the rules and the preview of the Notrack screen in docs/screens.md.
func mockRules(t testing.TB) *fakeRules {
	at := start.Add(-6 * time.Minute)
	return &fakeRules{
		list: []model.NotrackRule{
			{ID: "a1b2c3", Rules: []model.Rule{mustRule(t, "udp and dport 53")}, Backend: "nftables", Table: "inet ctview", Hooks: "prerouting output",
				Packets: [2]uint64{91204, 90877}, Bytes: [2]uint64{6.1e6, 31.4e6}, Keep: model.KeepSession, Mine: true, Who: "root", When: at},
			{ID: "d4e5f6", Rules: []model.Rule{mustRule(t, "src 10.0.0.0/8 and tcp and dport 8080")}, Backend: "nftables", Table: "inet ctview",
				Hooks: "prerouting output", Pending: true, Left: 42 * time.Second, Who: "root", When: at},
		},
		others: []model.ForeignRule{{Place: "inet fw4/notrack_lan", Hook: "prerouting", Match: "udp dport 53\x1b[2J", Packets: 594, Bytes: 50100, HasCounter: true}},
		preview: model.NotrackPreview{Covered: 6101, Backend: "nftables", Why: "the kernel answers nf_tables",
			Commands: []string{"nft add rule inet ctview prerouting ip saddr 192.168.1.77 tcp dport 25 counter notrack",
				"nft add rule inet ctview prerouting ip daddr 192.168.1.77 tcp sport 25 counter notrack"},
			Warnings: []model.NotrackWarning{
				{Kind: model.WarnNAT, Count: 6101, Text: "6101 of them are source-NATed. Untracked packets are NOT translated: they would leave with source 192.168.1.77 and get no answer."},
				{Kind: model.WarnFirewall, Text: `inet filter/forward accepts "ct state established,related" and drops the rest; nothing accepts "ct state untracked". Matching traffic will be dropped.`}},
			Session: "ssh 192.0.2.9:50514 > 192.0.2.1:22"},
	}
}

func TestNotrackScreen(t *testing.T) {
	atSizes(t, "notrack", func(g *rig) { g.a.opt.Rules = mockRules(g.t); g.keys("6", "j") }, nil)
	atSizes(t, "notrack-add", func(g *rig) {
		g.a.opt.Rules = mockRules(g.t)
		g.command("notrack src 192.168.1.77 and tcp and dport 25")
		g.keys("61")
	}, nil)
}

func TestNotrackDialog(t *testing.T) {
	r := mockRules(t)
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("j", "N")
	if len(r.asked) != 1 || r.asked[0].Rules[0].String() != model.RuleFromFlow(&mockFlows()[1].Flow).String() {
		t.Fatalf("previewed %v", r.asked)
	}
	g.keys("6100", "enter")
	if len(r.applied) != 0 || g.line("not 6101") == "" {
		t.Fatalf("installed with a wrong count:\n%s", g.screen())
	}
	g.keys("tab", "space", "tab", "right", "tab", "space", "tab", "6101", "enter")
	if len(r.applied) != 1 || !r.applied[0].Rules[0].OneWay || r.applied[0].Keep != 600 || !r.applied[0].Leave {
		t.Fatalf("installed %+v\n%s", r.applied, g.screen())
	}
	if g.line("42 packets seen, none of them tracked") == "" || len(r.kept) != 0 {
		t.Fatalf("the second question is missing:\n%s", g.screen())
	}
	g.keys("y")
	if len(r.kept) != 1 || r.kept[0] != "ab12cd false" {
		t.Errorf("kept %v", r.kept)
	}
}

// TestNotrackWarnsOnTheFirstPage has more commands than fit on a small terminal: what warns is above them, and that there is
// more is said.
func TestNotrackWarnsOnTheFirstPage(t *testing.T) {
	r := mockRules(t)
	for range 4 {
		r.preview.Commands = append(r.preview.Commands, r.preview.Commands...)
	}
	g := newRig(t, 80, 24, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N")
	if g.line("matches now: 6101 flows") == "" || g.line("traffic will be dropped.") == "" || g.line("1-17 of 75, PgDn") == "" {
		t.Errorf("the first page:\n%s", g.screen())
	}
	for range 12 {
		g.keys("pgdown")
	}
	if g.line("matches now") != "" || g.line("counter notrack") == "" {
		t.Errorf("the last page:\n%s", g.screen())
	}
}

// TestNotrackLooksAgain changes what there is while somebody types: it is told and asked again. What is typed before the count
// is there is no answer to it.
func TestNotrackLooksAgain(t *testing.T) {
	r := mockRules(t)
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("j", "N")
	r.preview.Covered = 9000
	r.preview.Warnings = append(r.preview.Warnings, model.NotrackWarning{Kind: model.WarnZone, Text: "a rule puts it in a zone"})
	g.keys("6101", "enter")
	if len(r.applied) != 0 || g.line("it has changed while you typed") == "" || g.line("Type 9000 to install") == "" {
		t.Fatalf("installed %v:\n%s", r.applied, g.screen())
	}
	g.keys("9000", "enter")
	if len(r.applied) != 1 {
		t.Errorf("not installed:\n%s", g.screen())
	}
	d := &ruleDialog{}
	for _, k := range "yes" {
		d.typed(g.a, tea.KeyPressMsg{Code: k, Text: string(k)})
	}
	d.pasted(g.a, "yes")
	if s := d.typing.String(); s != "" {
		t.Errorf("typed %q before there was a question", s)
	}
}

func TestNotrackRefusedAndMine(t *testing.T) {
	r := mockRules(t)
	r.preview.SessionHit = true
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N", "6101", "enter")
	if len(r.applied) != 0 {
		t.Fatal("the own session was taken without its word")
	}
	g.keys("ctrl+u", "mine", "enter")
	if len(r.applied) != 1 {
		t.Fatalf("mine was not taken:\n%s", g.screen())
	}
	r = mockRules(t)
	r.preview.SessionHit, r.preview.Warnings[0].Ask, r.preview.Warnings[1].Ask = true, true, true
	g = newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N", "nat", "enter")
	if len(r.applied) != 0 || g.line("Type mine nat cut to install") == "" {
		t.Errorf("one word answered three questions:\n%s", g.screen())
	}
	g.keys("ctrl+u", "mine nat", "space", "cut", "enter")
	if len(r.applied) != 1 {
		t.Errorf("three words were not taken:\n%s", g.screen())
	}
	r = mockRules(t)
	r.preview.Warnings[0].Refuse = true
	g = newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N", "6101", "enter")
	if len(r.applied) != 0 || g.line("It cannot be installed") == "" {
		t.Errorf("a refused rule was installed:\n%s", g.screen())
	}
}

func TestNotrackKeys(t *testing.T) {
	r := mockRules(t)
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("6", "D", "y", "j", "c", "u")
	if strings.Join(r.removed, ",") != "a1b2c3" || strings.Join(r.kept, ",") != "d4e5f6 false" || strings.Join(r.undone, ",") != "d4e5f6" {
		t.Errorf("removed %v, kept %v, undone %v", r.removed, r.kept, r.undone)
	}
	g.keys("k", "enter")
	if g.a.text != "proto udp and dport 53" {
		t.Errorf("Enter shows %q", g.a.text)
	}
	ro := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r; o.ReadOnly = true })
	ro.keys("N", "6", "a", "D", "u", "c")
	ro.command("notrack udp and dport 53")
	if len(r.removed) != 1 || len(r.asked) != 0 || len(r.undone) != 1 {
		t.Error("--read-only changed something")
	}
}

// TestNotrackEnd removes rules of which connections are cut: what becomes of them is said, its word has to be typed, and what
// there is after the answer is looked at again.
func TestNotrackEnd(t *testing.T) {
	cut := func(text string) model.NotrackWarning {
		return model.NotrackWarning{Kind: model.WarnBack, Ask: strings.Contains(text, "will be"), Text: text}
	}
	for _, key := range []string{"D", "u"} {
		r := mockRules(t)
		g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
		done := func() int { return len(r.removed) + len(r.undone) }
		r.ending = []model.NotrackWarning{cut("this connection will be cut when the rule ends")}
		g.keys("6", "j", key, "y", "enter")
		if done() != 0 || g.line("! this connection will be cut when the rule ends") == "" || g.line("Type cut") == "" {
			t.Fatalf("%s: y was taken for the word:\n%s", key, g.screen())
		}
		g.keys("ctrl+u", "esc")
		g.keys(key)
		r.ending = append(r.ending, cut("these 2 connections may be cut"))
		g.keys("cut", "enter")
		if done() != 0 || g.line("it has changed while you answered") == "" || g.line("! these 2 connections may be cut") == "" {
			t.Fatalf("%s: what came meanwhile was not asked again:\n%s", key, g.screen())
		}
		g.keys("cut", "enter")
		if done() != 1 {
			t.Errorf("%s: not removed:\n%s", key, g.screen())
		}
		r.ending = []model.NotrackWarning{cut("this connection may be cut")}
		g.keys(key)
		if done() != 1 || g.line("! this connection may be cut") == "" {
			t.Fatalf("%s: not asked:\n%s", key, g.screen())
		}
		g.keys("y")
		if done() != 2 {
			t.Errorf("%s: y was not taken:\n%s", key, g.screen())
		}
	}
	r := mockRules(t)
	r.preview.Warnings = append(r.preview.Warnings, cut("these connections will be cut when the rule ends"))
	r.ending = r.preview.Warnings
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N", "cut", "enter")
	if g.line("goes by itself in 60 s unless you keep it; connections will be cut then") == "" {
		t.Errorf("the trial:\n%s", g.screen())
	}
	g.keys("esc", "q")
	if g.line("will be removed; connections will be cut then") == "" {
		t.Errorf("quitting:\n%s", g.screen())
	}
}

func TestNotrackQuit(t *testing.T) {
	quits := func(g *rig) bool {
		for _, m := range g.raw {
			if _, ok := m.(tea.QuitMsg); ok {
				return true
			}
		}
		return false
	}
	for _, tt := range []struct {
		keys []string
		quit bool
		kept int
	}{{[]string{"q"}, false, 0}, {[]string{"q", "q"}, true, 0}, {[]string{"q", "k"}, true, 1}, {[]string{"q", "esc"}, false, 0}, {[]string{"q", "esc", "q"}, false, 0}, {[]string{"ctrl+c", "ctrl+c"}, true, 0}} {
		r := mockRules(t)
		g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
		g.keys("N", "6101", "enter", "esc")
		g.keys(tt.keys...)
		if quits(g) != tt.quit || len(r.kept) != tt.kept {
			t.Errorf("%v: quit %v, kept %v\n%s", tt.keys, quits(g), r.kept, g.screen())
		}
		if !tt.quit && len(tt.keys) == 1 && g.line("1 temporary NOTRACK rule will be removed") == "" {
			t.Errorf("not asked:\n%s", g.screen())
		}
	}
}

func TestNotrackError(t *testing.T) {
	r := mockRules(t)
	r.applyErr = errors.New("notrack: no nf_tables\x1b[2J")
	g := newRig(t, 120, 35, mockFlows(), func(o *Options) { o.Rules = r })
	g.keys("N", "6101", "enter")
	if g.line(`notrack: no nf_tables\x1b[2J`) == "" {
		t.Errorf("screen:\n%s", g.screen())
	}
}
