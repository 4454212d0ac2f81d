//go:build kernels

package notrack

import (
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"
)

// flowtableRules hand established connections between lan and wan to a software flowtable.
const flowtableRules = `table inet user {
	flowtable fast { hook ingress priority 0; devices = { "lan", "wan" }; counter; }
	chain way { type filter hook forward priority 0; ct state established flow add @fast; }
}
`

// offloaded makes a connection through the router's flowtable and returns it as the kernel tells it.
func offloaded(t *testing.T, n *triple, p *pingPong) (f model.Event) {
	t.Helper()
	eventually(t, "a flow in the flowtable", func() bool {
		p.exchange(2)
		f = model.Event{}
		_, err := ctnl.Dump(ctx(t), netnsOf(t, n), ctnl.DumpOptions{}, func(evs []model.Event) error {
			for i := range evs {
				if evs[i].Flow.Offloaded() {
					f = evs[i]
				}
			}
			return nil
		})
		must(t, err)
		return f.Flow.Offloaded()
	})
	return f
}

func netnsOf(t *testing.T, n *triple) *ctnl.Netns {
	t.Helper()
	ns, err := ctnl.OpenNetns(n.router.Path())
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// TestOffloaded: a flow in a flowtable has no timeout and no state of its own, and is printed as conntrack(8) prints it.
func TestOffloaded(t *testing.T) {
	for _, proto := range []string{"tcp", "udp"} {
		t.Run(proto, func(t *testing.T) {
			n := newTriple(t)
			nftRules(t, n.router, flowtableRules)
			e := offloaded(t, n, traffic(t, n.client, n.server, proto+"4", "10.1.0.2:4000", "10.2.0.2:5000"))
			if e.Flow.Known&model.KnownTimeout != 0 || e.Flow.StateText() != "offload" || !e.Flow.Status.Has(model.StatusOffload) {
				t.Errorf("timeout known %v, state %q, status %v", e.Flow.Known&model.KnownTimeout != 0, e.Flow.StateText(), e.Flow.Status)
			}
			got := strings.Fields(string(format.AppendConntrack(nil, &e, format.Options{})))
			want := entries(t, n.router, "ipv4", "5000")
			if len(want) != 1 || !strings.Contains(want[0], "[OFFLOAD]") {
				t.Fatalf("conntrack(8): %q", want)
			}
			if i := strings.Index(want[0], " id="); i > 0 {
				want[0] = want[0][:i]
			}
			if g, w := uncount(got), uncount(strings.Fields(want[0])); g != w {
				t.Errorf("ctview    %s\nconntrack %s", g, w)
			}
		})
	}
}

// uncount joins the words that are not counters: the connection lives on between two looks.
func uncount(words []string) string {
	var keep []string
	for _, w := range words {
		if !strings.HasPrefix(w, "packets=") && !strings.HasPrefix(w, "bytes=") {
			keep = append(keep, w)
		}
	}
	return strings.Join(keep, " ")
}

// TestApplyOffloaded: the preview tells that the flowtable hides a flow from the rule; with its entry deleted the rule
// takes hold, and the connection lives on.
func TestApplyOffloaded(t *testing.T) {
	n := newTriple(t)
	nftRules(t, n.router, flowtableRules)
	p := traffic(t, n.client, n.server, "tcp4", "10.1.0.2:4000", "10.2.0.2:5000")
	offloaded(t, n, p)
	c := open(t, n.router, "nftables")
	q := &Request{Rules: []model.Rule{rule(t, "tcp 10.1.0.2:4000 > 10.2.0.2:5000")}}
	pre, err := c.Preview(ctx(t), q, flowsOf(t, n.router), nil)
	must(t, err)
	if w := warning(pre, model.WarnOffload); w != "the flow is offloaded to a flowtable: packets bypass the rule until the entry is deleted" {
		t.Errorf("preview: %q of %+v", w, pre.Warnings)
	}
	stop := p.keepTalking()
	res, err := c.Apply(ctx(t), q, flowsOf(t, n.router), ApplyOptions{Delete: true, Verify: 5 * time.Second})
	must(t, err)
	stop()
	if res.TakenBack != "" || !res.Verified || res.Deleted != 1 || res.Packets < 2 {
		t.Errorf("apply: %+v", res)
	}
	if es := entries(t, n.router, "ipv4", "5000"); len(es) != 0 {
		t.Errorf("still tracked: %q", es)
	}
	p.exchange(2)
}
