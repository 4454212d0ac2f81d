package notrack

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/model"
)

// shiftDates does to the rules of the raw table what setting the clock by d does: it moves their dates the other way. The
// clock is one for the whole machine, so the machine's is left alone.
func shiftDates(t *testing.T, ns *lab.NS, variant string, d time.Duration) {
	t.Helper()
	date := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`)
	out := tool(t, ns, variant+"-save", "-t", "raw")
	text := date.ReplaceAllStringFunc(out, func(s string) string {
		at, err := time.Parse(stampForm, s)
		must(t, err)
		return at.Add(-d).Format(stampForm)
	})
	if text == out {
		t.Fatalf("no dates in:\n%s", out)
	}
	c := command(ns, variant+"-restore", "-T", "raw")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
}

// TestClockIsSet sets the clock forward and back beside a rule of iptables, which ends by the clock on the wall: never does
// it live longer than it was given, in the kernel nor in the list, and what has ended goes.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"iptables-nft", "iptables-legacy"} {
		for _, tt := range []struct {
			name  string
			by    time.Duration
			lives bool
			left  time.Duration // about
		}{
			{"forward", 30 * time.Second, true, 30 * time.Second},
			{"forward past its end", 2 * time.Minute, false, 0},
			{"forward by a year", 365 * 24 * time.Hour, false, 0},
			{"back by a second", -time.Second, true, time.Minute},
			{"back by a minute", -time.Minute, false, 0},
			{"back by a year", -365 * 24 * time.Hour, false, 0},
		} {
			t.Run(variant+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				ns := testNS(t)
				nftRules(t, ns, ctState)
				c := open(t, ns, variant)
				_, err := c.Add(ctx(t), &Request{Rules: []model.Rule{rule(t, "udp any > any:5000")}})
				must(t, err)
				p := traffic(t, ns, ns, "udp4", "127.0.0.1:4000", "127.0.0.1:5000")
				p.exchange(2)
				if es := entries(t, ns, "ipv4", "5000"); len(es) != 0 {
					t.Errorf("tracked before: %q", es)
				}
				shiftDates(t, ns, variant, tt.by)
				shiftDates(t, ns, "ip6"+strings.TrimPrefix(variant, "ip"), tt.by)
				p.exchange(2)
				if es := entries(t, ns, "ipv4", "5000"); (len(es) == 0) != tt.lives {
					t.Errorf("after the clock was set: %q", es)
				}
				for _, be := range []string{variant, ""} {
					rs, err := open(t, ns, be).List(ctx(t))
					must(t, err)
					if tt.lives != (len(rs) == 1) {
						t.Fatalf("%q lists %+v", be, rs)
					}
					if tt.lives && (rs[0].Left > tt.left+2*time.Second || rs[0].Left < tt.left-pace*20*time.Second) {
						t.Errorf("%q: left %v, want about %v", be, rs[0].Left, tt.left)
					}
				}
				must(t, open(t, ns, "").Tidy(ctx(t)))
				if out := tool(t, ns, variant, "-t", "raw", "-S"); strings.Contains(out, "ctview ") != tt.lives {
					t.Errorf("after tidying:\n%s", out)
				}
			})
		}
	}
}
