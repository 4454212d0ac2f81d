package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ctview/model"
)

func testLab(t *testing.T, o Options) *Lab {
	t.Helper()
	began := time.Now()
	l, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the lab was up after %v", time.Since(began))
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// entry returns conntrack -L's line for k in the router.
func entry(t *testing.T, l *Lab, k model.Key) string {
	t.Helper()
	tuple := k.OrigTuple()
	family, want := "ipv4", fmt.Sprintf("src=%s dst=%s ", tuple.SrcAddr(), tuple.DstAddr())
	if k.Family == model.IPv6 {
		family = "ipv6"
	}
	switch {
	case k.Proto.HasPorts():
		want += fmt.Sprintf("sport=%d dport=%d ", k.Sport, k.Dport)
	case k.Proto.IsICMP():
		want += fmt.Sprintf("type=%d code=0 id=%d ", k.Dport>>8, k.Sport)
	}
	out, err := l.Router().Command("conntrack", "-L", "-f", family, "-p", k.Proto.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, want) {
			return line
		}
	}
	t.Fatalf("no flow %sin\n%s", want, out)
	return ""
}

// Every kind of flow, from every zone, over both families, is in the router as promised when its method returns.
func TestKinds(t *testing.T) {
	l := testLab(t, Options{})
	finish := func(open func(context.Context, From) (*Conn, error)) func(context.Context, From) (model.Key, error) {
		return func(ctx context.Context, f From) (model.Key, error) {
			c, err := open(ctx, f)
			if err != nil {
				return model.Key{}, err
			}
			return c.Key, c.Finish(ctx)
		}
	}
	web := func(ctx context.Context, f From) (*Conn, error) { return l.TCP(ctx, f, 443) }
	tests := []struct {
		name  string
		make  func(context.Context, From) (model.Key, error)
		want  []string
		zones bool // made from hosts, which exist in every zone
	}{
		{"tcp", finish(web), []string{"TIME_WAIT", "[ASSURED]", "mark=16", "packets="}, true},
		{"dnat", finish(l.DNAT), []string{"TIME_WAIT", "dport=80", "sport=8080", "mark=16"}, true},
		{"half closed", func(ctx context.Context, f From) (model.Key, error) {
			c, err := web(ctx, f)
			if err != nil {
				return model.Key{}, err
			}
			return c.Key, c.HalfClose(ctx)
		}, []string{"CLOSE_WAIT", "[ASSURED]"}, true},
		{"reset", func(ctx context.Context, f From) (model.Key, error) {
			c, err := web(ctx, f)
			if err != nil {
				return model.Key{}, err
			}
			return c.Key, c.Reset(ctx)
		}, []string{" CLOSE "}, true},
		{"dead syn", l.DeadSYN, []string{"SYN_SENT", "[UNREPLIED]"}, true},
		{"dns", l.DNS, []string{"mark=53"}, true},
		{"udp stream", func(ctx context.Context, f From) (model.Key, error) {
			return l.UDPStream(ctx, f, 2, 100, time.Millisecond)
		}, []string{"packets=2"}, true},
		{"one way", l.OneWay, []string{"[UNREPLIED]"}, true},
		{"refused", l.Refused, []string{"[UNREPLIED]"}, true},
		{"ping", func(ctx context.Context, f From) (model.Key, error) { return l.Ping(ctx, f, 2, time.Millisecond) },
			[]string{"packets=2"}, true},
		{"gre", l.GRE, []string{"packets=1"}, false},
		{"udplite", l.UDPLite, []string{"packets=1"}, false},
		{"sctp", l.SCTP, []string{"ESTABLISHED", "packets=2"}, false},
	}
	for _, tt := range tests {
		for _, f := range []From{{}, {V6: true}, {Zone: 5}, {V6: true, Zone: 7}} {
			if f.Zone != 0 && !tt.zones {
				continue
			}
			t.Run(fmt.Sprintf("%s/v6=%v,zone=%d", tt.name, f.V6, f.Zone), func(t *testing.T) {
				k, err := tt.make(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				want := tt.want
				if f.Zone != 0 {
					want = append(want, fmt.Sprintf(" zone=%d ", f.Zone))
				} else if !f.V6 {
					want = append(want, "dst=192.0.2.1 ") // masqueraded
				}
				line := entry(t, l, k)
				for _, w := range want {
					if !strings.Contains(line, w) {
						t.Errorf("%q not in\n%s", w, line)
					}
				}
			})
		}
	}
}

// Crafted segments bring a flow into every state there is.
func TestStates(t *testing.T) {
	l := testLab(t, Options{})
	for s := model.TCPSynSent; s <= model.TCPSynSent2; s++ {
		for _, f := range []From{{}, {V6: true}} {
			k, err := l.State(t.Context(), f, s)
			if err != nil {
				t.Error(err)
				continue
			}
			if line := entry(t, l, k); !strings.Contains(line, " "+model.StateName(model.ProtoTCP, s)+" ") {
				t.Errorf("want %s in\n%s", model.StateName(model.ProtoTCP, s), line)
			}
		}
	}
	if _, err := l.State(t.Context(), From{}, 0); err == nil {
		t.Error("a flow in state NONE was made")
	}
}

// Packets that have no flow are counted by the router's own rules.
func TestPacketsWithoutFlow(t *testing.T) {
	l := testLab(t, Options{Zones: [2]uint16{9, 11}})
	for _, f := range []From{{}, {V6: true}, {Zone: 9}, {V6: true, Zone: 11}} {
		if err := l.Untracked(t.Context(), f); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
		if err := l.Invalid(t.Context(), f); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
	out, err := l.Router().Command("conntrack", "-L").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("flows of packets that have none: %v\n%s", err, out)
	}
}

func TestMoreNAT(t *testing.T) {
	l := testLab(t, Options{})
	tests := []struct {
		name string
		open func(context.Context) (*Conn, error)
		want string
	}{
		{"nat66", l.NAT66, "dst=2001:db8:2::1 "},
		{"inbound", l.Inbound, "src=192.168.1.10 "},
	}
	for _, tt := range tests {
		c, err := tt.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Download(1<<20, 0); err != nil {
			t.Error(err)
		}
		if line := entry(t, l, c.Key); !strings.Contains(line, tt.want) {
			t.Errorf("%s: %q not in\n%s", tt.name, tt.want, line)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Rate: -1}, {Rate: MaxRate + 1}, {Zones: [2]uint16{5, 5}}, {Zones: [2]uint16{0, 5}}} {
		if l, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
			_ = l.Close()
		}
	}
}

func TestNth(t *testing.T) {
	for _, tt := range []struct {
		p    string
		i    int
		want string
	}{
		{"192.168.1.0/24", 17, "192.168.1.17"},
		{"192.168.1.128/25", 1, "192.168.1.129"},
		{"2001:db8:1::/64", 1, "2001:db8:1::1"},
		{"2001:db8:1::/64", 17, "2001:db8:1::17"},
	} {
		if got := nth(netip.MustParsePrefix(tt.p), tt.i); got.String() != tt.want {
			t.Errorf("nth(%s, %d) = %s; want %s", tt.p, tt.i, got, tt.want)
		}
	}
}
