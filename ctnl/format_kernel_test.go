package ctnl_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/format"

	"github.com/google/go-cmp/cmp"
)

// The time zone that conntrack(8) and our formatters are given: one that is a whole number of nothing.
var formatZone = time.FixedZone("XXX", 5*3600+1800)

const formatTZ = "TZ=XXX-5:30"

// formatLabels is the connlabel.conf of these tests; bits 1 and 100 stay without a name.
const formatLabels = "# bit name\n0 eth0-in\n3 eth0 out\n127 last\n"

// labelRules makes the kernel keep labels in the namespace: it does so only while a rule uses one.
const labelRules = `table inet formats {
	chain c {
		type filter hook input priority 0
		ct label set 1
	}
}
table ip natfmt {
	chain c {
		type nat hook postrouting priority 100
	}
}
table ip6 natfmt6 {
	chain c {
		type nat hook postrouting priority 100
	}
}
`

// formatSpecs returns flows of every shape that can be made by request. Each has a tuple of its own.
func formatSpecs() []*ctnl.Spec {
	var all []*ctnl.Spec
	n := 0
	add := func(p model.Proto, v6 bool, change func(s *ctnl.Spec)) {
		n++
		src, dst := fmt.Sprintf("10.%d.0.%d:%d", n/200, n%200+1, 1000+n), "192.0.2.7:443"
		if v6 {
			src, dst = fmt.Sprintf("[fd00:%x::%x]:%d", n%3, n, 1000+n), "[2001:db8:0:0:1::7]:443"
		}
		s := spec(key(p, src, dst))
		s.Timeout = 100000
		switch p {
		case model.ProtoICMP:
			s.Flow.Dport = 8 << 8
		case model.ProtoICMPv6:
			s.Flow.Dport = 128 << 8
		case model.ProtoSCTP:
			s.Flow.State, s.Has = 4, s.Has|model.HasProtoinfo
			s.SCTP.VTag = [2]uint32{0x5555, uint32(n)}
		case 50, 112:
			s.Flow.Sport, s.Flow.Dport = 0, 0
		}
		if change != nil {
			change(s)
		}
		all = append(all, s)
	}
	for _, v6 := range []bool{false, true} {
		icmp := model.ProtoICMP
		if v6 {
			icmp = model.ProtoICMPv6
		}
		for _, p := range []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoUDPLite, model.ProtoSCTP, model.ProtoDCCP,
			model.ProtoGRE, icmp, 50, 112} {
			add(p, v6, nil)
			for _, change := range formatChanges(p) {
				add(p, v6, change)
			}
		}
		for state := range model.State(10) {
			add(model.ProtoTCP, v6, func(s *ctnl.Spec) { s.Flow.State = state })
			if state < 9 { // the kernel takes no HEARTBEAT_ACKED, which it no longer has
				add(model.ProtoSCTP, v6, func(s *ctnl.Spec) { s.Flow.State = state })
			}
		}
	}
	return all
}

// formatChanges returns what is done, each to another flow of protocol p.
func formatChanges(p model.Proto) []func(s *ctnl.Spec) {
	changes := []func(s *ctnl.Spec){
		withStatus(model.StatusSeenReply), withStatus(model.StatusAssured), withStatus(model.StatusSeenReply | model.StatusAssured),
		withStatus(model.StatusFixedTimeout), withStatus(model.StatusSeenReply | model.StatusAssured | model.StatusFixedTimeout),
		inZone(5, model.ZoneBoth), inZone(65535, model.ZoneBoth), inZone(6, model.ZoneOrig), inZone(7, model.ZoneReply),
		marked(1), marked(0xffffffff), labelled(0), labelled(0, 1, 3, 100, 127), labelled(1),
		natted(true, false, 0), natted(false, true, 0), natted(true, true, 0),
		func(s *ctnl.Spec) { // a reply that no NAT explains
			s.Has |= model.HasReply
			r := s.Flow.Orig().Invert()
			s.Flow.ReplySrc, s.Flow.ReplyDst, s.Flow.ReplySport, s.Flow.ReplyDport = r.Src, r.Dst, r.Sport, r.Dport
			s.Flow.ReplyDst = elsewhere(s, "203.0.113.9", "2001:db8:3::9").As16()
		},
		func(s *ctnl.Spec) { // several at once
			marked(42)(s)
			inZone(5, model.ZoneBoth)(s)
			labelled(3)(s)
			withStatus(model.StatusSeenReply | model.StatusAssured)(s)
			natted(true, false, 0)(s)
		},
	}
	if p.HasPorts() && p != model.ProtoDCCP {
		changes = append(changes, natted(true, false, 777), natted(false, true, 8080),
			func(s *ctnl.Spec) { // the ports alone
				s.SrcNAT = &ctnl.NATRange{Min: s.Flow.Family.Addr(s.Flow.Src), PortMin: 778}
				s.DstNAT = &ctnl.NATRange{Min: s.Flow.Family.Addr(s.Flow.Dst), PortMin: 8081}
			})
	}
	if p == model.ProtoTCP {
		changes = append(changes,
			func(s *ctnl.Spec) { s.HelperName, s.Has = "ftp", s.Has|model.HasHelper; s.Flow.Dport = 21 })
	}
	return changes
}

// The changes that formatChanges is made of.

func withStatus(bits model.Status) func(s *ctnl.Spec) {
	// IPS_CONFIRMED is set already when the kernel looks at the rest, and may not be taken away.
	return func(s *ctnl.Spec) { s.Flow.Status, s.Has = bits|model.StatusConfirmed, s.Has|model.HasStatus }
}

func inZone(id uint16, dir model.ZoneDir) func(s *ctnl.Spec) {
	return func(s *ctnl.Spec) { s.Flow.Zone, s.Flow.ZoneDir = id, dir }
}

func labelled(bits ...int) func(s *ctnl.Spec) {
	return func(s *ctnl.Spec) {
		for _, bit := range bits {
			s.Extra.Labels.Set(bit)
		}
		s.Has |= model.HasLabels
	}
}

func marked(m uint32) func(s *ctnl.Spec) {
	return func(s *ctnl.Spec) { s.Flow.Mark, s.Has = m, s.Has|model.HasMark }
}

// natted translates source, destination or both, ports too where port is not 0.
func natted(src, dst bool, port uint16) func(s *ctnl.Spec) {
	return func(s *ctnl.Spec) {
		if src {
			s.SrcNAT = &ctnl.NATRange{Min: elsewhere(s, "198.51.100.2", "2001:db8:2::2"), PortMin: port}
		}
		if dst {
			s.DstNAT = &ctnl.NATRange{Min: elsewhere(s, "198.51.100.80", "2001:db8:2::80"), PortMin: port}
		}
	}
}

// elsewhere returns the address of the family of s.
func elsewhere(s *ctnl.Spec, v4, v6 string) netip.Addr {
	if s.Flow.Family == model.IPv4 {
		return netip.MustParseAddr(v4)
	}
	return netip.MustParseAddr(v6)
}

// formatNS makes a namespace in which everything of formatSpecs can be made, and a folder with a connlabel.conf.
func formatNS(t *testing.T) (l *lab.NS, ns *ctnl.Netns, k *ctnl.Kernel, etc string) {
	t.Helper()
	l, ns, k = newKernel(t)
	rules := l.Command("nft", "-f", "-")
	rules.Stdin = strings.NewReader(labelRules)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	etc, err := os.MkdirTemp("", "etc") // t.TempDir may have a comma in its name, which overlay's options cannot
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(etc) })
	if err := os.MkdirAll(filepath.Join(etc, "up/xtables"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, "up/xtables/connlabel.conf"), []byte(formatLabels), 0o644); err != nil {
		t.Fatal(err)
	}
	return l, ns, k, etc
}

// fillFormatNS makes the flows, half of them with counters and times.
func fillFormatNS(t *testing.T, l *lab.NS, k *ctnl.Kernel) {
	t.Helper()
	specs := formatSpecs()
	for half, on := range []string{"0", "1"} {
		for _, name := range []string{"acct", "timestamp"} {
			if err := l.Sysctl("net/netfilter/nf_conntrack_"+name, on); err != nil {
				t.Fatal(err)
			}
		}
		var mine []*ctnl.Spec
		for i, s := range specs {
			if i%2 == half {
				mine = append(mine, s)
			}
		}
		failed, err := k.CreateMany(testContext(t), len(mine), func(i int, s *ctnl.Spec) { *s = *mine[i] })
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range failed {
			s := mine[f.Index]
			t.Errorf("create %v %v: %v", s.Flow.Key, s.Has, f.Err)
		}
	}
}

// conntrackCmd runs conntrack(8) in l with the test's time zone and, where etc is not "", its connlabel.conf.
func conntrackCmd(l *lab.NS, etc string, args ...string) *lab.Cmd {
	c := l.Command("conntrack", args...)
	if etc != "" {
		script := `mount -t overlay -o lowerdir="$0/up:/etc" overlay /etc && exec conntrack "$@"`
		c = l.Command("unshare", append([]string{"-m", "sh", "-c", script, etc}, args...)...)
	}
	c.Env = append(os.Environ(), formatTZ)
	return c
}

// sameMoment fails unless run prints what ours does, byte for byte. Timeouts and ages tick, so ours is asked before and
// after, and the round counts when both agree. On a machine so busy that a round takes longer than a tick they never do:
// then it counts when each number is between the two.
func sameMoment(t *testing.T, run func() ([]byte, error), ours func() []byte) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Second)
	for {
		before := ours()
		theirs, err := run()
		if err != nil {
			t.Fatalf("conntrack: %v", err)
		}
		after := ours()
		if !bytes.Equal(before, after) && time.Now().Before(deadline) {
			continue
		}
		if ticksBetween(before, theirs, after) {
			return
		}
		want, got := strings.Split(string(theirs), "\n"), strings.Split(string(before), "\n")
		if len(want) == len(got) { // show what differs, not all
			for i := len(want) - 1; i >= 0; i-- {
				if want[i] == got[i] {
					want, got = slices.Delete(want, i, i+1), slices.Delete(got, i, i+1)
				}
			}
		}
		t.Fatalf("not as conntrack prints it (-conntrack +ours):\n%s", cmp.Diff(want[:min(len(want), 5)], got[:min(len(got), 5)]))
	}
}

// ticksBetween reports whether text differs from before and after in numbers only, each from that of the one to that of the
// other.
func ticksBetween(before, text, after []byte) bool {
	b, x, a := digits.FindAllString(string(before), -1), digits.FindAllString(string(text), -1), digits.FindAllString(string(after), -1)
	if len(b) != len(x) || len(a) != len(x) || !bytes.Equal(digits.ReplaceAll(before, nil), digits.ReplaceAll(text, nil)) {
		return false
	}
	for i := range x {
		vb, errB := strconv.ParseUint(b[i], 10, 64)
		vx, errX := strconv.ParseUint(x[i], 10, 64)
		va, errA := strconv.ParseUint(a[i], 10, 64)
		if b[i] == a[i] && x[i] != b[i] || errors.Join(errB, errX, errA) != nil || vx < min(vb, va) || vx > max(vb, va) {
			return false
		}
	}
	return true
}

var digits = regexp.MustCompile("[0-9]+")

func TestTicksBetween(t *testing.T) {
	for _, tt := range []struct {
		before, text, after string
		want                bool
	}{
		{"tcp 600 a=1", "tcp 600 a=1", "tcp 600 a=1", true},
		{"tcp 600 a=1", "tcp 599 a=1", "tcp 598 a=1", true},
		{"tcp 600 a=1", "tcp 600 a=2", "tcp 599 a=1", false},
		{"tcp 600 a=1", "tcp 597 a=1", "tcp 598 a=1", false},
		{"tcp 600 a=1", "udp 600 a=1", "tcp 599 a=1", false},
		{"tcp 600 a=1", "tcp 600", "tcp 599 a=1", false},
	} {
		if got := ticksBetween([]byte(tt.before), []byte(tt.text), []byte(tt.after)); got != tt.want {
			t.Errorf("ticksBetween(%q, %q, %q) = %v", tt.before, tt.text, tt.after, got)
		}
	}
}

// TestFormatAsConntrack holds every text form against conntrack(8) on the same table.
func TestFormatAsConntrack(t *testing.T) {
	l, ns, k, etc := formatNS(t)
	fillFormatNS(t, l, k)
	names := format.ParseLabels(formatLabels)
	type form func(dst []byte, e *model.Event, o format.Options) []byte
	for _, tt := range []struct {
		output     string
		form       form
		o          format.Options
		head, tail string
	}{
		{"", format.AppendConntrack, format.Options{}, "", ""},
		{"extended", format.AppendConntrack, format.Options{Extended: true}, "", ""},
		{"id", format.AppendConntrack, format.Options{ID: true}, "", ""},
		{"ktimestamp", format.AppendConntrack, format.Options{KernelTime: true}, "", ""},
		{"timestamp,userspace", format.AppendConntrack, format.Options{Timestamp: true}, "", ""},
		{"labels", format.AppendConntrack, format.Options{Labels: names}, "", ""},
		{"extended,id,ktimestamp,labels", format.AppendConntrack, format.Options{Extended: true, ID: true, KernelTime: true, Labels: names}, "", ""},
		{"xml", format.AppendXML, format.Options{}, format.XMLHead + "\n", format.XMLTail + "\n"},
		{"xml,ktimestamp,timestamp,extended", format.AppendXML, format.Options{KernelTime: true, Timestamp: true}, format.XMLHead + "\n", format.XMLTail + "\n"},
		{"xml,labels", format.AppendXML, format.Options{Labels: names}, format.XMLHead + "\n", format.XMLTail + "\n"},
		{"save", format.AppendSave, format.Options{}, "", ""},
	} {
		t.Run(tt.output, func(t *testing.T) {
			args := []string{"-L"}
			if tt.output != "" {
				args = append(args, "-o", tt.output)
			}
			labels := ""
			if tt.o.Labels != nil {
				labels = etc
			}
			tt.o.Location = formatZone
			lines := 0
			sameMoment(t, func() ([]byte, error) { return conntrackCmd(l, labels, args...).Output() }, func() []byte {
				tt.o.Now = time.Now().UnixNano()
				out := []byte(tt.head)
				lines = 0
				err := ctnl.DumpTo(testContext(t), ns, model.KernelFilter{}, func(batch []model.Event) error {
					for i := range batch {
						out = append(tt.form(out, &batch[i], tt.o), '\n')
						lines++
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				return append(out, tt.tail...)
			})
			if want := len(formatSpecs()); lines != want {
				t.Errorf("compared %d lines, made %d flows", lines, want)
			}
		})
	}
}
