package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func set(v int64) model.Setting { return model.Setting{Value: v, OK: true} }

// healthy is a machine without anything to complain about.
func healthy() Exam {
	x := Exam{release: "6.18.0", netAdmin: true, entries: set(10), confines: true, landlock: 7, looks: true, rcvbuf: 128 << 20, advised: 64 << 20, forced: true, logInvalid: set(0)}
	x.sys = model.System{Max: set(100), Buckets: set(100), Acct: set(1), Timestamp: set(1), Events: set(1)}
	x.firewall = ruleset.Firewall{NFTables: true, Rules: 2, Tracks: "inet t c: ct state new"}
	x.cpus = []model.CPUStats{{Has: 1<<9 | 1<<10 | 1<<11}}
	return x
}

func TestJudge(t *testing.T) {
	errFiles := errors.New("too many open files")
	denied := fmt.Errorf("ctnl: count: %w", ctnl.ErrPermission)
	for _, tt := range []struct {
		name string
		sick func(x *Exam)
		want []string // sign, check and the beginning of the value of all that is not ok
		err  error    // of the first that is bad
	}{
		{"healthy", func(*Exam) {}, nil, nil},
		{"not permitted", func(x *Exam) { x.probe, x.join, x.firewallErr, x.uid, x.netAdmin = denied, denied, denied, 7, false },
			[]string{"!! permission: uid 7 may not", "? ctnetlink: not asked", "? buffer: not tried", "? nf_tables: ", "? iptables: "}, ctnl.ErrPermission},
		{"events not permitted", func(x *Exam) { x.join = denied },
			[]string{"!! permission: flows can be listed, events not", "? ctnetlink", "? buffer"}, ctnl.ErrPermission},
		{"no ctnetlink", func(x *Exam) { x.probe, x.join = ctnl.ErrNoConntrack, ctnl.ErrNoConntrack },
			[]string{"!! ctnetlink: the kernel has no", "? buffer"}, ctnl.ErrNoConntrack},
		{"no event socket", func(x *Exam) { x.join = errFiles },
			[]string{"!! ctnetlink: events cannot be received: too many", "? buffer"}, errFiles},
		{"tracking off", func(x *Exam) { x.firewall.Tracks, x.entries = "", set(0) }, []string{"! tracking: not active in this namespace"}, nil},
		{"legacy tables without a tool", func(x *Exam) {
			x.firewall = ruleset.Firewall{NFTables: true, Legacy: []string{"filter"}, Unread: true}
			x.entries = set(0)
		}, []string{"? tracking: no entries; the rules of the legacy tables cannot"}, nil},
		{"tracking because of ctview", func(x *Exam) { x.firewall.Tracks, x.firewall.Own = "", "inet ctview" },
			[]string{"! tracking: active, because of ctview itself (table inet ctview)"}, nil},
		{"tracking without a rule", func(x *Exam) { x.firewall.Tracks = "" }, nil, nil},
		{"nearly full", func(x *Exam) { x.entries = set(80) }, []string{"! table: 80 of 100 entries (80.0 %)"}, nil},
		{"full", func(x *Exam) { x.entries = set(100) }, []string{"! table: 100 of 100 entries (100.0 %), 100 buckets: full"}, nil},
		{"drops", func(x *Exam) { x.cpus[0].Values[10] = 4 }, []string{"! counters: drop 4, early_drop 0, insert_failed 0"}, nil},
		{"no statistics", func(x *Exam) { x.cpus = nil }, []string{"? counters"}, nil},
		{"events off", func(x *Exam) { x.sys.Events = set(0) }, []string{"! events: nf_conntrack_events=0"}, nil},
		{"events on demand", func(x *Exam) { x.sys.Events = set(2) }, nil, nil},
		{"small buffer", func(x *Exam) { x.forced, x.rcvbuf = false, 16<<20 }, []string{"! buffer: 16.8M for events, some 13107 of them: net.core.rmem_max"}, nil},
		{"large buffer by rmem_max", func(x *Exam) { x.forced = false }, nil, nil},
		{"acct off", func(x *Exam) { x.sys.Acct = set(0) }, []string{"! acct: nf_conntrack_acct=0"}, nil},
		{"timestamp unknown", func(x *Exam) { x.sys.Timestamp = model.Setting{} }, []string{"? timestamp: "}, nil},
		{"no nf_tables", func(x *Exam) { x.firewall.NFTables = false }, []string{"! nf_tables: not in this kernel"}, nil},
		{"logged to nobody", func(x *Exam) { x.logInvalid, x.loggers = set(255), [2]string{"NONE", "NONE"} },
			[]string{"! log_invalid: nf_conntrack_log_invalid=255: packets of every protocol that cannot be tracked are logged, but"}, nil},
		{"built with cgo", func(x *Exam) { x.confines = false }, []string{"! privileges: kept, all that ctview is started with"}, nil},
		{"no Landlock", func(x *Exam) { x.landlock = 0 }, nil, nil},
		{"others' processes", func(x *Exam) { x.looks = false }, []string{"! processes: of flows that end here the user is seen"}, nil},
		{"no sock_diag", func(x *Exam) { x.sockets = fmt.Errorf("ctnl: sockets: %w", ctnl.ErrUnsupported) }, []string{"! processes: who holds the socket of a flow that ends here is not seen: sockets: "}, nil},
		{"no user namespaces", func(x *Exam) { x.userns = unix.EPERM }, []string{"! demo: this user can make no"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := healthy()
			tt.sick(&x)
			all := x.Judge()
			var got []string
			var first error
			for _, f := range all {
				if f.Mark != OK {
					got = append(got, markSigns[f.Mark]+" "+f.Check+": "+f.Value)
				}
				if (f.Mark == Bad) != (f.Err != nil) {
					t.Errorf("%s: mark %v with the error %v", f.Check, f.Mark, f.Err)
				}
				if first == nil {
					first = f.Err
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
			if !errors.Is(first, tt.err) {
				t.Errorf("error %v, want %v", first, tt.err)
			}
		})
	}
}

func TestCures(t *testing.T) {
	for spec, want := range map[string]string{
		"":                  "sysctl -w net.netfilter.nf_conntrack_acct=1",
		"blue":              "ip netns exec blue sysctl -w net.netfilter.nf_conntrack_acct=1",
		"123":               "nsenter --net --target 123 sysctl -w net.netfilter.nf_conntrack_acct=1",
		"/proc/self/ns/net": "nsenter --net=/proc/self/ns/net sysctl -w net.netfilter.nf_conntrack_acct=1",
	} {
		x := Exam{netns: spec}
		if diff := cmp.Diff(want, x.sysctl("nf_conntrack_acct", "1")); diff != "" {
			t.Errorf("cure in %q (-want +got):\n%s", spec, diff)
		}
	}
}

// TestBufferFollowsMemory: doctor says when the buffer is as small as it is for want of memory.
func TestBufferFollowsMemory(t *testing.T) {
	x := healthy()
	x.rcvbuf, x.advised = 8<<20, 4<<20
	const want = "8.4M for events, some 6553 of them (SO_RCVBUFFORCE works), an eighth of the memory that is free"
	if f := x.buffer(); f.Value != want || f.Mark != OK {
		t.Errorf("%v %q, want %q", f.Mark, f.Value, want)
	}
}
