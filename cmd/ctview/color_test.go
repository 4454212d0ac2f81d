package main

import (
	"strings"
	"testing"
)

// TestColours: --color, NO_COLOR, CLICOLOR and CLICOLOR_FORCE decide about colours of what is printed; without any of them a pipe
// has none and a terminal has. Columns stand as they do without.
func TestColours(t *testing.T) {
	ns := trackingNS(t)
	addFlow(t, ns, "10.0.0.1", "192.168.100.7")
	list := func(env string, args ...string) string {
		t.Helper()
		cmd := ctview(t, append([]string{"list", "--columns", "proto,state,dst", "--netns", ns.Path()}, args...)...)
		cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=", "CLICOLOR=", "CLICOLOR_FORCE=")
		cmd.Env = append(cmd.Env, strings.Fields(env)...)
		return string(must(cmd.Output())(t))
	}
	plain := list("")
	for _, tt := range []struct {
		env, args string
		coloured  bool
	}{
		{"", "--color always", true},
		{"NO_COLOR=1", "--color always", true},
		{"CLICOLOR_FORCE=1", "--color auto", true},
		{"CLICOLOR_FORCE=1 NO_COLOR=1", "", false},
		{"CLICOLOR_FORCE=1", "--color never", false},
		{"CLICOLOR_FORCE=1", "--no-colour", false},
		{"CLICOLOR_FORCE=0", "", false},
	} {
		got := list(tt.env, strings.Fields(tt.args)...)
		if coloured := strings.Contains(got, "\x1b["); coloured != tt.coloured {
			t.Errorf("%s list %s: %q", tt.env, tt.args, got)
		}
		bare := strings.NewReplacer("\x1b[1m", "", "\x1b[33m", "", "\x1b[m", "").Replace(got)
		if bare != plain {
			t.Errorf("%s list %s: without colours it is %q, want %q", tt.env, tt.args, bare, plain)
		}
	}
	if out := list("", "--color", "always", "-o", "json", "--columns", "proto"); out != `{"proto":"udp"}`+"\n" {
		t.Errorf("JSON: %q", out)
	}
	for _, tt := range []struct{ env, want string }{{"CLICOLOR=", "\x1b[1m"}, {"CLICOLOR=0", ""}, {"TERM=dumb", ""}} {
		tm := newTerminal(t, ctview(t, "list", "--netns", ns.Path()), 120, 10, tt.env)
		tm.shows("192.168.100.7")
		if code := tm.ended(); code != 0 || strings.Contains(tm.output(), "\x1b[1m") != (tt.want != "") {
			t.Errorf("on a terminal with %s: %d %q", tt.env, code, tm.output())
		}
	}
	for args, want := range map[string]string{"--color sometimes": "it takes auto, always, never", "--color nevr": "did you mean never?", "--no-color --color always": "leave one of them out"} {
		if code, _, diag := runIn(t, ctview(t, append(strings.Fields(args), "list", "--netns", ns.Path())...)); code != 2 || !strings.Contains(diag, want) {
			t.Errorf("%s: %d %s", args, code, diag)
		}
	}
}
