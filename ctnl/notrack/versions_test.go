package notrack

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ctview/model"
)

// TestOlderCtview works on what ctview of commit 264009a wrote, before marks told nanoseconds and rules of iptables when they
// begin: it is listed, known as the same rule, confirmed, removed and added to as this one's own.
func TestOlderCtview(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		t.Run(be, func(t *testing.T) {
			t.Parallel()
			ns := testNS(t)
			nftRules(t, ns, ctState)
			file := "testdata/written-by-264009a."
			if be == "nftables" {
				b, err := os.ReadFile(file + "nft")
				must(t, err)
				nftRules(t, ns, string(b))
			} else {
				b, err := os.ReadFile(file + "rules")
				must(t, err)
				restore(t, ns, be+"-restore", string(b))
			}
			c := open(t, ns, be)
			rs, err := c.List(ctx(t))
			must(t, err)
			if len(rs) != 2 {
				t.Fatalf("listed: %+v", rs)
			}
			want := map[string]string{"baffaa": "tcp 10.0.0.1:1 > 10.0.0.2:2", "2d7c5f": "udp any > any:53"}
			for i := range rs {
				if r := &rs[i]; want[r.ID] != r.Text() || !r.Pending || r.Who != "root" || r.Keep != 600 {
					t.Errorf("listed: %+v", r)
				}
				if _, err := c.Add(ctx(t), &Request{Rules: rs[i].Rules}); !errors.Is(err, ErrExists) {
					t.Errorf("the same again: %v", err)
				}
			}
			beside, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "tcp 10.0.0.1:3 > 10.0.0.2:4"), rule(t, "udp any > any:54")}})
			must(t, err)
			for i := range rs {
				must(t, c.Confirm(ctx(t), rs[i].ID, nil))
			}
			if rs, err = c.List(ctx(t)); err != nil || len(rs) != 3 || rs[0].Pending || rs[1].Pending || !rs[2].Pending {
				t.Errorf("confirmed: %+v %v", rs, err)
			}
			if others, err := c.Others(ctx(t)); err != nil || len(others) != 0 {
				t.Errorf("taken for others': %+v %v", others, err)
			}
			must(t, c.Remove(ctx(t), "baffaa"))
			must(t, c.Remove(ctx(t), beside.ID, "2d7c5f"))
			out := tool(t, ns, "nft", "list", "ruleset")
			if be == "iptables-legacy" {
				out += tool(t, ns, "iptables-legacy", "-t", "raw", "-S")
			}
			if strings.Contains(out, `"ctview `) {
				t.Errorf("left:\n%s", out)
			}
		})
	}
}
