package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
)

// TestQuitDoesNotWait: while a question is open that does not come back, q quits, and closes what is open; where a text may be what it
// is for, it waits like the other keys.
func TestQuitDoesNotWait(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []string
		quit bool
	}{
		{"q alone", []string{"q"}, true},
		{"behind a key that waits", []string{"G", "enter", "q"}, true},
		{"behind several", []string{"G", "enter", "j", "k", "D", "q"}, true},
		{"in a text", []string{"G", "enter", "/", "q"}, false},
		{"Ctrl-C in a text", []string{"G", "enter", "/", "ctrl+c"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 120, 30, manyFlows(5000), nil)
			_ = g.a.ask(false) // a question that nobody answers
			g.keys(tt.keys...)
			quit := false
			for _, m := range g.raw {
				_, is := m.(tea.QuitMsg)
				quit = quit || is
			}
			if quit != tt.quit {
				t.Errorf("quits: %v, want %v", quit, tt.quit)
			}
		})
	}
}

// TestKeysDoNotWaitForEver: keys for a row that does not come are given up after a while, with a word; those behind them are not.
func TestKeysDoNotWaitForEver(t *testing.T) {
	g := newRig(t, 120, 30, manyFlows(5000), nil)
	var due []tea.Msg
	g.a.after = func(d time.Duration, m tea.Msg) tea.Cmd {
		if _, ok := m.(heldMsg); ok && d > time.Second {
			t.Errorf("keys wait for %v", d)
		}
		due = append(due, m)
		return nil
	}
	late := g.a.ask(false)
	g.keys("G", "enter", "D", "?")
	if len(g.a.stack) != 0 || len(due) != 1 {
		t.Fatalf("%d pop-ups, %d timers; want the keys to wait, once", len(g.a.stack), len(due))
	}
	g.send(due[0])
	if _, ok := g.a.top().(*help); !ok || g.line("") == "" {
		t.Errorf("? behind them was given up, too:\n%s", g.screen())
	}
	g.keys("esc")
	if len(g.a.stack) != 0 || len(g.a.held) != 0 {
		t.Errorf("something else was done, too:\n%s", g.screen())
	}
	g.run(late)
	g.keys("G", "enter")
	if _, ok := g.a.top().(*detail); !ok {
		t.Errorf("once the kernel answers, keys do not work:\n%s", g.screen())
	}
}

// TestKeysWaitForTheFirstRows: a key right behind the one that opened a screen meets its rows.
func TestKeysWaitForTheFirstRows(t *testing.T) {
	for _, tt := range []struct {
		keys, want string
	}{{"6j", "> d4e5f6"}, {"5j", "> ftp"}, {"ej", "wan0"}, {"2j", "> 192.168.2.0"}, {"4j", ">tcp SYN_SENT"}} {
		g := newRig(t, 120, 35, mockFlows(), nil)
		g.a.opt.Rules, g.a.opt.States = mockRules(t), mockStates(t)
		withFlood(g)
		late := g.a.ask(false)
		g.keys(tt.keys)
		g.run(late)
		if l := g.line(tt.want); l == "" || !strings.Contains(l, ">") {
			t.Errorf("%s: the cursor is not on %q:\n%s", tt.keys, tt.want, g.screen())
		}
	}
}

// slowKernel answers what the detail asks only when it is given up.
type slowKernel struct {
	*fakeKernel
	asked, ended chan struct{}
}

func (k *slowKernel) Detail(ctx context.Context, _ model.Key) (model.Event, error) {
	close(k.asked)
	<-ctx.Done()
	close(k.ended)
	return model.Event{}, ctx.Err()
}

func (k *slowKernel) System(ctx context.Context) (model.System, error) { return k.sys, ctx.Err() }

// TestLeftQuestionIsGivenUp: a screen does not wait for what the one before it asked, and its end is no error of the kernel's.
func TestLeftQuestionIsGivenUp(t *testing.T) {
	g := newRig(t, 120, 35, mockFlows(), nil)
	k := &slowKernel{g.kernel, make(chan struct{}), make(chan struct{})}
	g.a.opt.Kernel = k
	withFlood(g)
	stands := g.now
	g.a.opt.Now = func() time.Time { return stands } // the rig's clock is moved by keys, and the question is asked beside them
	_, open := g.a.Update(press("enter")[0])
	answer := make(chan tea.Msg, 1)
	go func() { answer <- open() }()
	<-k.asked
	g.keys("esc", "2", "j")
	<-k.ended
	g.send(<-answer)
	if l := g.line("> "); !strings.Contains(l, "192.168.2.0") || g.line("canceled") != "" {
		t.Errorf("groups are not there:\n%s", g.screen())
	}
}
