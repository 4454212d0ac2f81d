package notrack

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ctview/model"
)

// TestLosses deletes ctview's rules with other programs and shows that it is noticed, with who did it, and that own
// removals and expiry are not mistaken for it.
func TestLosses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, backend, who string
		cmd                []string
	}{
		{"delete table", "nftables", "nft", []string{"nft", "delete", "table", "inet", "ctview"}},
		{"flush ruleset", "nftables", "nft", []string{"nft", "flush", "ruleset"}},
		{"delete element", "nftables", "nft", []string{"nft", "flush", "set", "inet", "ctview", "flows4"}},
		{"iptables-nft -F", "iptables-nft", "iptables", []string{"iptables-nft", "-t", "raw", "-F"}},
		{"iptables-legacy -F", "iptables-legacy", "", []string{"iptables-legacy", "-t", "raw", "-F"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			c := open(t, ns, tt.backend)
			add := func(text string, trial time.Duration) model.NotrackRule {
				r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, text)}, Trial: trial})
				must(t, err)
				return r
			}
			short := add("tcp 10.0.0.9:1 > 10.0.0.2:3", pace*3*time.Second)
			own := add("tcp 10.0.0.1:1 > 10.0.0.2:2", time.Minute)
			theirs := add("tcp 10.0.0.1:1 > 10.0.0.2:3", time.Minute)
			wctx, cancel := context.WithCancel(ctx(t))
			got, ready, done := make(chan model.NotrackLoss, 10), make(chan struct{}), make(chan error)
			go func() { done <- c.WatchLosses(wctx, ready, func(l model.NotrackLoss) { got <- l }) }()
			<-ready
			must(t, c.Remove(ctx(t), own.ID))
			eventually(t, "the first one expires", func() bool { _, err := c.find(ctx(t), short.ID); return errors.Is(err, ErrNoRule) })
			tool(t, ns, tt.cmd...)
			l := <-got
			if len(l.Rules) != 1 || l.Rules[0].ID != theirs.ID || !strings.HasPrefix(l.Name, tt.who) || (l.PID == 0) != (tt.who == "") {
				t.Errorf("loss: %+v", l)
			}
			cancel()
			if err := <-done; err != context.Canceled {
				t.Errorf("end: %v", err)
			}
			if len(got) > 0 {
				t.Errorf("another loss: %+v", <-got)
			}
		})
	}
}
