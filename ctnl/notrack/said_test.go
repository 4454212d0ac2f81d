package notrack

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"ctview/model"
)

// rounds is how often the tests of races and kills are repeated; 200 was tried once for each.
var rounds = flag.Int("rounds", 10, "rounds of the tests of races and kills")

// TestOverlap asks for rules that share packets with one that is there: all of it is refused, before and at installation.
func TestOverlap(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	c := open(t, ns, "nftables")
	one := rule(t, "tcp 10.0.0.1:1 > 10.0.0.2:2 one-way")
	old, err := c.Add(ctx(t), &Request{Rules: []model.Rule{one}})
	must(t, err)
	before := tool(t, ns, "nft", "-s", "list", "ruleset")
	for _, texts := range [][]string{
		{"tcp 10.0.0.1:1 > 10.0.0.2:2"}, // the same, both ways
		{"tcp 10.0.0.2:2 > 10.0.0.1:1"}, // from its other end
		{"tcp 10.0.0.1:5 > 10.0.0.2:2", "tcp 10.0.0.1:1 > 10.0.0.2:2", "tcp 10.0.0.1:6 > 10.0.0.2:2"}, // one of many flows
	} {
		var rs []model.Rule
		for _, s := range texts {
			rs = append(rs, rule(t, s))
		}
		q := &Request{Rules: rs}
		p, err := c.Preview(ctx(t), q, flowsOf(t, ns), nil)
		must(t, err)
		if !strings.Contains(p.Refused(), "rule "+old.ID) || !strings.Contains(p.Refused(), "a tuple belongs to one rule only") {
			t.Errorf("%v: preview %q", texts, p.Refused())
		}
		if _, err := c.Apply(ctx(t), q, flowsOf(t, ns), ApplyOptions{}); !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), old.ID) {
			t.Errorf("%v: %v", texts, err)
		}
	}
	if after := tool(t, ns, "nft", "-s", "list", "ruleset"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestConfirmBesideRemove confirms and extends a rule while another ctview removes it: it is gone after.
func TestConfirmBesideRemove(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		t.Run(be, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			nftRules(t, ns, ctState)
			a, b := open(t, ns, be), open(t, ns, be)
			n := *rounds
			if be != "nftables" {
				n = min(n, *rounds/2) // each runs programs
			}
			back := 0
			for i := range n {
				rules := []model.Rule{rule(t, fmt.Sprintf("tcp 10.0.0.1:%d > 10.0.0.2:2", i+1)), rule(t, fmt.Sprintf("udp any > any:%d", i+1))}
				r, err := a.Add(ctx(t), &Request{Rules: rules})
				must(t, err)
				done := make(chan error)
				go func() { done <- a.Confirm(ctx(t), r.ID, nil) }()
				time.Sleep(time.Duration(i%5) * time.Millisecond / 2)
				removed := b.Remove(ctx(t), r.ID)
				if err := <-done; err != nil && !errors.Is(err, ErrNoRule) {
					t.Errorf("confirm: %v", err)
				}
				if removed != nil {
					t.Errorf("remove: %v", removed)
				}
				if rs, err := a.List(ctx(t)); err != nil || len(rs) != 0 {
					back++
					must(t, a.Remove(ctx(t), r.ID))
				}
			}
			if back > 0 {
				t.Errorf("the rule came back in %d of %d", back, n)
			}
		})
	}
}

// TestUndoWithinASecond makes three rules at once and takes them back, last first, from another ctview.
func TestUndoWithinASecond(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		t.Run(be, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			c := open(t, ns, be)
			for range max(1, *rounds/10) {
				var ids []string
				for _, port := range []int{7, 3, 5} {
					r, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, fmt.Sprintf("udp any > any:%d", port))}})
					must(t, err)
					ids = append(ids, r.ID)
				}
				for i := len(ids) - 1; i >= 0; i-- {
					other := open(t, ns, be)
					r, _, err := other.Undo(ctx(t), "")
					must(t, err)
					if r.ID != ids[i] {
						t.Errorf("took %s back, want %s", r.ID, ids[i])
					}
				}
			}
		})
	}
}
