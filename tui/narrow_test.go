package tui

import (
	"strings"
	"testing"
)

// TestColumnsWithoutRoom: columns that do not fit are told, with the key that chooses among them, and which they are.
func TestColumnsWithoutRoom(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		keys string
		want string
	}{
		{80, 24, "", "1-15 of 15   5 more: c"},
		{300, 24, "", ""},
		{80, 24, "l", "more: c"},
		{80, 24, "2", "2 more columns"},
		{80, 24, "3", "2 more columns"},
		{200, 24, "3", ""},
	} {
		g := newRig(t, tt.w, tt.h, mockFlows(), nil)
		withFlood(g)
		withEvents(g)
		g.keys(tt.keys)
		if got := g.line(" more"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%dx%d %q: %q, want %q\n%s", tt.w, tt.h, tt.keys, got, tt.want, g.screen())
		}
	}
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("c")
	if g.line("[x] age   no room") == "" || g.line("[x] rate   no room") != "" {
		t.Errorf("the menu does not tell which:\n%s", g.screen())
	}
}

// TestValuesOfferHelpers: f on a flow without a helper offers the helpers that others have, f on one with a helper its own.
func TestValuesOfferHelpers(t *testing.T) {
	g := newRig(t, 80, 24, mockFlows(), nil)
	g.keys("f")
	if g.line("helper ftp   1 flow here") == "" || g.line("helper pptp   1 flow here") == "" {
		t.Fatalf("they are not offered:\n%s", g.screen())
	}
	g.keys("end", "enter")
	if g.a.text != "helper ftp" && g.a.text != "helper pptp" {
		t.Errorf("the last one leads to the filter %q", g.a.text)
	}
	g.keys("f")
	if g.line("flow here") != "" {
		t.Errorf("a flow with a helper is offered others:\n%s", g.screen())
	}
}
