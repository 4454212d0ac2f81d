package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func set(v int64) model.Setting { return model.Setting{Value: v, OK: true} }

// healthy is a machine without anything to complain about.
func healthy() exam {
	x := exam{release: "6.18.0", netAdmin: true, entries: set(10), rcvbuf: 128 << 20, forced: true, logInvalid: set(0)}
	x.sys = model.System{Max: set(100), Buckets: set(100), Acct: set(1), Timestamp: set(1), Events: set(1)}
	x.firewall = ruleset.Firewall{NFTables: true, Rules: 2, Tracks: "inet t c: ct state new"}
	x.cpus = []model.CPUStats{{Has: 1<<9 | 1<<10 | 1<<11}}
	return x
}

func TestJudge(t *testing.T) {
	denied := fmt.Errorf("ctnl: count: %w", ctnl.ErrPermission)
	for _, tt := range []struct {
		name string
		sick func(x *exam)
		want []string // sign, check and the beginning of the value of all that is not ok
		code int
	}{
		{"healthy", func(*exam) {}, nil, exitOK},
		{"not permitted", func(x *exam) { x.probe, x.join, x.firewallErr, x.uid, x.netAdmin = denied, denied, denied, 7, false },
			[]string{"!! permission: uid 7 may not", "? ctnetlink: not asked", "? buffer: not tried", "? nf_tables: ", "? iptables: "}, exitPermission},
		{"events not permitted", func(x *exam) { x.join = denied },
			[]string{"!! permission: flows can be listed, events not", "? ctnetlink", "? buffer"}, exitPermission},
		{"no ctnetlink", func(x *exam) { x.probe, x.join = ctnl.ErrNoConntrack, ctnl.ErrNoConntrack },
			[]string{"!! ctnetlink: the kernel has no", "? buffer"}, exitNoConntrack},
		{"no event socket", func(x *exam) { x.join = errors.New("too many open files") },
			[]string{"!! ctnetlink: events cannot be received: too many", "? buffer"}, exitFailed},
		{"tracking off", func(x *exam) { x.firewall.Tracks, x.entries = "", set(0) }, []string{"! tracking: not active in this namespace"}, exitOK},
		{"legacy tables without a tool", func(x *exam) {
			x.firewall = ruleset.Firewall{NFTables: true, Legacy: []string{"filter"}, Unread: true}
			x.entries = set(0)
		}, []string{"? tracking: no entries; the rules of the legacy tables cannot"}, exitOK},
		{"tracking without a rule", func(x *exam) { x.firewall.Tracks = "" }, nil, exitOK},
		{"nearly full", func(x *exam) { x.entries = set(80) }, []string{"! table: 80 of 100 entries (80.0 %)"}, exitOK},
		{"full", func(x *exam) { x.entries = set(100) }, []string{"! table: 100 of 100 entries (100.0 %), 100 buckets: full"}, exitOK},
		{"drops", func(x *exam) { x.cpus[0].Values[10] = 4 }, []string{"! counters: drop 4, early_drop 0, insert_failed 0"}, exitOK},
		{"no statistics", func(x *exam) { x.cpus = nil }, []string{"? counters"}, exitOK},
		{"events off", func(x *exam) { x.sys.Events = set(0) }, []string{"! events: nf_conntrack_events=0"}, exitOK},
		{"events on demand", func(x *exam) { x.sys.Events = set(2) }, nil, exitOK},
		{"small buffer", func(x *exam) { x.forced, x.rcvbuf = false, 16<<20 }, []string{"! buffer: 16.8M for events, some 13107 of them: net.core.rmem_max"}, exitOK},
		{"large buffer by rmem_max", func(x *exam) { x.forced = false }, nil, exitOK},
		{"acct off", func(x *exam) { x.sys.Acct = set(0) }, []string{"! acct: nf_conntrack_acct=0"}, exitOK},
		{"timestamp unknown", func(x *exam) { x.sys.Timestamp = model.Setting{} }, []string{"? timestamp: "}, exitOK},
		{"no nf_tables", func(x *exam) { x.firewall.NFTables = false }, []string{"! nf_tables: not in this kernel"}, exitOK},
		{"logged to nobody", func(x *exam) { x.logInvalid, x.loggers = set(255), [2]string{"NONE", "NONE"} },
			[]string{"! log_invalid: nf_conntrack_log_invalid=255: packets of every protocol that cannot be tracked are logged, but"}, exitOK},
		{"no user namespaces", func(x *exam) { x.userns = unix.EPERM }, []string{"! demo: this user can make no"}, exitOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := healthy()
			tt.sick(&x)
			all := x.judge()
			var got []string
			for _, f := range all {
				if f.Mark != markOK {
					got = append(got, markSigns[f.Mark]+" "+f.Check+": "+f.Value)
				}
				if f.Mark == markBad && f.Cure == "" && !strings.Contains(f.Value, "too many open files") {
					t.Errorf("%s: bad, and no cure", f.Check)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("findings %q, want %q", got, tt.want)
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("finding %q, want %q…", got[i], w)
				}
			}
			if code := doctorExit(all); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}

func TestDoctorCures(t *testing.T) {
	for spec, want := range map[string]string{
		"":                  "sysctl -w net.netfilter.nf_conntrack_acct=1",
		"blue":              "ip netns exec blue sysctl -w net.netfilter.nf_conntrack_acct=1",
		"123":               "nsenter --net --target 123 sysctl -w net.netfilter.nf_conntrack_acct=1",
		"/proc/self/ns/net": "nsenter --net=/proc/self/ns/net sysctl -w net.netfilter.nf_conntrack_acct=1",
	} {
		x := exam{netns: spec}
		if diff := cmp.Diff(want, x.sysctl("nf_conntrack_acct", "1")); diff != "" {
			t.Errorf("cure in %q (-want +got):\n%s", spec, diff)
		}
	}
}

// marksOf runs a doctor and returns the mark of each check, and the exit code.
func marksOf(t *testing.T, cmd *exec.Cmd) (marks map[string]string, code int) {
	t.Helper()
	out, err := cmd.Output()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	marks = map[string]string{}
	for line := range strings.Lines(string(out)) {
		if sign := strings.TrimSpace(line[:4]); sign != "" {
			marks[strings.Fields(line[4:])[0]] = sign
		}
	}
	return marks, cmd.ProcessState.ExitCode()
}

// TestDoctorUnprivileged runs doctor as a user without capabilities, in a namespace of the test's own: it tells what
// /proc tells anybody and that the rest is not permitted.
func TestDoctorUnprivileged(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	cmd := asNobody(t, "doctor")
	var marks map[string]string
	var code int
	// The child is nobody's in the namespace of this thread; nobody may not enter one by itself.
	if err := ns.Do(func() error { marks, code = marksOf(t, cmd); return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"permission": "!!", "ctnetlink": "?", "buffer": "?", "nf_tables": "?", "iptables": "?",
		"table": "ok", "counters": "ok", "events": "ok", "acct": "ok", "timestamp": "ok", "log_invalid": "ok", "kernel": "ok"}
	for check, m := range want {
		if marks[check] != m {
			t.Errorf("%s is %q, want %q", check, marks[check], m)
		}
	}
	if code != exitPermission {
		t.Errorf("exit code %d, want %d", code, exitPermission)
	}
}

// TestDoctorWithoutNetlink runs doctor on a kernel that has no NETLINK_NETFILTER.
func TestDoctorWithoutNetlink(t *testing.T) {
	cmd := ctview(t, "doctor")
	cmd.Env = append(cmd.Env, asBlind+"=1")
	marks, code := marksOf(t, cmd)
	if marks["ctnetlink"] != "!!" || code != exitNoConntrack {
		t.Errorf("ctnetlink is %q and the exit code %d, want !! and %d", marks["ctnetlink"], code, exitNoConntrack)
	}
}

func newNS(t *testing.T) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}
