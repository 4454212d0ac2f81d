package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"

	"github.com/google/go-cmp/cmp"
)

// fromFlows are flows that the lines of docs/from-conntrack.md find some of, as conntrack(8) writes and reads them.
const fromFlows = `-A -p tcp -s 192.168.1.10 -d 203.0.113.7 --sport 51022 --dport 443 -n 198.51.100.2 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 600 -m 0x10
-A -p tcp -s 192.168.1.77 -d 203.0.113.200 --sport 41200 --dport 25 --state SYN_SENT -t 600
-A -p tcp -s 192.168.1.77 -d 203.0.113.201 --sport 41202 --dport 25 --state SYN_SENT -t 600
-A -p tcp -s 203.0.113.77 -d 198.51.100.2 --sport 60222 --dport 2222 -g 192.168.1.10:22 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 600
-A -p tcp -s 2001:db8:1::10 -d 2001:db8:2::7 --sport 50000 --dport 443 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 600
-A -p udp -s 192.168.1.60 -d 203.0.113.123 --sport 123 --dport 123 -t 600
-A -p udp -s 192.168.1.31 -d 203.0.113.99 --sport 5060 --dport 5060 -u SEEN_REPLY -t 600
-A -p udp -s 10.5.0.10 -d 203.0.113.53 --sport 5353 --dport 53 -w 5 -t 600
-A -p udp -s 2001:db8:1::10 -d 2001:db8:2::53 --sport 50001 --dport 53 -t 600
-A -p icmp -s 192.168.1.3 -d 203.0.113.1 --icmp-type 8 --icmp-code 0 --icmp-id 4711 -t 600
`

// A typed is a line of docs/from-conntrack.md: two command lines that say the same in substance.
type typed struct{ before, now string }

// typedLines are the lines of docs/from-conntrack.md.
func typedLines(t *testing.T) (lines []typed) {
	t.Helper()
	text := must(os.ReadFile("../../docs/from-conntrack.md"))(t)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)`.* \\|$").FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, typed{strings.ReplaceAll(m[1], `\|`, "|"), strings.ReplaceAll(m[2], `\|`, "|")})
	}
	if rows := strings.Count(string(text), "\n| `"); rows != len(lines) || rows < 40 {
		t.Fatalf("%d of %d lines are understood, want all of 40 at least", len(lines), rows)
	}
	return lines
}

// A fromTable runs the lines of docs/from-conntrack.md in a namespace with fromFlows, an FTP session, and a connection that it expects.
type fromTable struct {
	t    *testing.T
	ns   *lab.NS
	dir  string   // where the lines run: ctview is in its bin, fromFlows in table.save
	from []string // what the table is like before each, as state tells
}

// TestFromConntrack runs both sides of each line of docs/from-conntrack.md on the same flows: they show the same, or leave the same
// table behind. Questions are answered beforehand.
func TestFromConntrack(t *testing.T) {
	t.Parallel()
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	if err := ns.Sysctl("net/netfilter/nf_conntrack_timestamp", "1"); err != nil {
		t.Fatal(err)
	}
	f := &fromTable{t: t, ns: ns, dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(f.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(testBinary(t), filepath.Join(f.dir, "bin", "ctview")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "table.save"), []byte(fromFlows), 0o644); err != nil {
		t.Fatal(err)
	}
	f.restore()
	f.from = f.state()
	for _, l := range typedLines(t) {
		t.Run(l.before, func(t *testing.T) {
			f := *f
			f.t = t
			switch what := regexp.MustCompile(`conntrack -([A-Z])`).FindStringSubmatch(l.before); {
			case strings.HasPrefix(l.before, "watch"):
				f.watches(l)
			case what != nil && what[1] == "E":
				f.follows(l)
			case what != nil && strings.Contains("DFUIR", what[1]):
				f.changes(l)
			default:
				f.shows(l)
			}
		})
	}
	// What the last section says.
	f.run("ctview conntrack -L -z && ctview conntrack -L dying && ctview conntrack -L unconfirmed")
	for line, want := range map[string]int{"conntrack -D -s 192.0.2.1": 1, "ctview conntrack -D -s 192.0.2.1": 1, "ctview delete src 192.0.2.1 -y": 0} {
		cmd := f.command(line)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit code %d, want %d\n%s", line, got, want, out)
		}
	}
}

// command is a line as a shell in the namespace runs it.
func (f *fromTable) command(line string) *lab.Cmd {
	f.t.Helper()
	cmd := f.ns.Command("sh", "-c", line)
	cmd.Dir = f.dir
	cmd.Env = append(ctview(f.t).Env, "PATH="+filepath.Join(f.dir, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// run runs a line, which must succeed, and returns its standard output.
func (f *fromTable) run(line string) string {
	f.t.Helper()
	cmd := f.command(line)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", line, err, &errs)
	}
	return string(out)
}

// restore makes the table what it was.
func (f *fromTable) restore() {
	f.t.Helper()
	f.run(`set -e
		conntrack -F
		conntrack -R table.save
		ctview add tcp 192.168.1.44:39124 203.0.113.21:21 --timeout 600 --state ESTABLISHED --status assured,seen_reply --helper ftp
		ctview expect add tcp 203.0.113.21:0 192.168.1.44:5022 --master 'tcp 192.168.1.44:39124 203.0.113.21:21' --timeout 600`)
}

// state is what is in both tables, in whole minutes where it is time: -o save has zone, mark, status and NAT.
func (f *fromTable) state() []string {
	f.t.Helper()
	minutes := regexp.MustCompile(`-t \d+`).ReplaceAllStringFunc(f.run("ctview list -o save"), func(s string) string {
		n, _ := strconv.Atoi(s[3:])
		return fmt.Sprint("-t ", (n+59)/60*60)
	})
	entries := slices.DeleteFunc(lines(minutes), func(l string) bool { return strings.HasPrefix(l, "#") })
	return slices.Sorted(slices.Values(append(entries, expectations(f.run("conntrack -L expect"))...)))
}

// shows wants the same shown by both, and nothing changed.
func (f *fromTable) shows(l typed) {
	f.t.Helper()
	want, got := substance(f.run(l.before)), substance(f.run(l.now))
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		f.t.Errorf("%d things of %s (-) and %s (+):\n%s", len(want), l.before, l.now, diff)
	}
	if diff := cmp.Diff(f.from, f.state()); diff != "" {
		f.t.Errorf("the table was changed:\n%s", diff)
	}
}

// watches wants what a listing shows on the screen.
func (f *fromTable) watches(l typed) {
	f.t.Helper()
	want := substance(f.run(strings.TrimPrefix(l.before, "watch ")))
	tm := newTerminal(f.t, ctview(f.t, append(strings.Fields(l.now)[1:], "--netns", f.ns.Path())...), 160, 40, "NO_COLOR=1")
	tm.until("the flows of "+l.before, func(s string) bool { return slices.Equal(substance(strings.Join(rows(s), "\n")), want) })
	tm.send("q")
}

// changes wants the same table left behind by both, and not the one that was.
func (f *fromTable) changes(l typed) {
	f.t.Helper()
	after := func(line string) []string {
		f.run(line)
		is := f.state()
		f.restore()
		return is
	}
	before, now := l.before, l.now
	if !strings.Contains(now, "ctview add") {
		now += " -y"
	}
	if strings.Contains(before, " -R ") {
		before, now = "conntrack -F && "+before, "conntrack -F && "+now
	}
	want, got := after(before), after(now)
	if slices.Equal(want, f.from) {
		f.t.Errorf("%s changes nothing", l.before)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("what %s leaves (-) and %s (+):\n%s", l.before, l.now, diff)
	}
}

// follows wants the same events told by both while flows and expectations come and go.
func (f *fromTable) follows(l typed) {
	f.t.Helper()
	var outs [2]string
	var cmds [2]*lab.Cmd
	for i, line := range []string{l.before, l.now} {
		outs[i] = filepath.Join(f.t.TempDir(), "out")
		cmds[i] = f.command("exec " + line + " >" + outs[i])
		if err := cmds[i].Start(); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = cmds[i].Process.Kill(); _ = cmds[i].Wait() })
		f.until(line+" listens", func() bool { return listeners(f.t, f.ns) == i+1 })
	}
	f.run(`conntrack -I -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 7 --dport 9 -t 60
		conntrack -I -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 7 --dport 9 -t 60 --state SYN_SENT
		conntrack -U -s 10.0.0.1 -m 7
		conntrack -D -s 192.168.1.77
		ctview expect add tcp 203.0.113.21:0 192.168.1.44:5023 --master 'tcp 192.168.1.44:39124 203.0.113.21:21' --timeout 60
		ctview expect delete -y tcp 203.0.113.21:0 192.168.1.44:5023
		conntrack -D -p tcp -s 10.0.0.1
		conntrack -D -p udp -s 10.0.0.1`)
	last := regexp.MustCompile(`(?i)destroy.*udp.*10\.0\.0\.1.*\n`)
	if strings.Contains(l.before, "expect") {
		last = regexp.MustCompile(`(?i)destroy.*5023.*\n`)
	}
	var told [2][]string
	for i, cmd := range cmds {
		var out []byte
		f.until("the last event", func() bool {
			var err error
			out, err = os.ReadFile(outs[i])
			return err == nil && last.Match(out)
		})
		told[i] = substance(string(out))
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			f.t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	f.restore()
	if diff := cmp.Diff(told[0], told[1]); diff != "" || len(told[0]) == 0 {
		f.t.Errorf("%d events of %s (-) and %s (+):\n%s", len(told[0]), l.before, l.now, diff)
	}
}

func (f *fromTable) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited too long: %s", what)
		}
	}
}

func lines(s string) []string {
	return slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
}

// substance is what an output says, whatever its form, sorted: flows and events of flows, expectations, statistics, groups, a number.
func substance(out string) []string {
	for _, read := range []func(string) []string{expectations, groups, flowsOf, statistics, number} {
		if s := read(out); len(s) > 0 {
			return slices.Sorted(slices.Values(s))
		}
	}
	return nil
}

const (
	conntrackTuple = `src=(\S+) dst=(\S+)(?: sport=(\d+) dport=(\d+))?`
	event          = `(?i:(new|update|destroy)\W\s*)?`
)

var (
	plainFlow = regexp.MustCompile(event + `\b(?:ipv\d +\d+ )?(tcp|udp|icmp) +\d+ (?:\d+ )?.*?` + conntrackTuple)
	tableFlow = regexp.MustCompile(event + `\b(tcp|udp|icmp) +(?:[A-Z_]+ +|replied +|unreplied +)?(\S+)(?: id \d+)? +(\S+)`)
	xmlFlow   = regexp.MustCompile(`<flow>.*?<src>(.*?)</src><dst>(.*?)</dst>.*?protoname="(\w+)">(?:<sport>(\d+)</sport><dport>(\d+)</dport>)?`)
	jsonFlow  = regexp.MustCompile(`"proto":"(\w+)".*?"orig":\{"src":"(.*?)","dst":"(.*?)"(?:,"sport":(\d+),"dport":(\d+))?`)

	plainExpect = regexp.MustCompile(event + `\d+ proto=(\d+) ` + conntrackTuple)
	tableExpect = regexp.MustCompile(event + `(tcp) +(\S+) +(\S+) .*\btcp 192.168.1.44:39124`)
)

// flowsOf is an event, if it is one, protocol, source and destination of each flow in an output.
func flowsOf(out string) (flows []string) {
	for _, l := range lines(out) {
		if m := xmlFlow.FindStringSubmatch(l); m != nil {
			flows = append(flows, flowText("", m[3], m[1], m[2], m[4], m[5]))
		} else if m := jsonFlow.FindStringSubmatch(l); m != nil {
			flows = append(flows, flowText("", m[1], m[2], m[3], m[4], m[5]))
		} else if m := plainFlow.FindStringSubmatch(l); m != nil {
			flows = append(flows, flowText(m[1], m[2], m[3], m[4], m[5], m[6]))
		} else if m := tableFlow.FindStringSubmatch(l); m != nil {
			flows = append(flows, strings.TrimSpace(strings.ToLower(m[1])+" "+m[2]+" "+m[3]+" "+m[4]))
		}
	}
	return flows
}

func flowText(event, proto, src, dst, sport, dport string) string {
	end := func(addr, port string) string {
		if port == "" {
			return addr
		} else if strings.Contains(addr, ":") {
			addr = "[" + addr + "]"
		}
		return addr + ":" + port
	}
	return strings.TrimSpace(strings.ToLower(event) + " " + proto + " " + end(src, sport) + " " + end(dst, dport))
}

// expectations is what flowsOf is, of expectations.
func expectations(out string) (all []string) {
	for _, l := range lines(out) {
		if m := plainExpect.FindStringSubmatch(l); m != nil {
			all = append(all, flowText(m[1], map[string]string{"6": "tcp"}[m[2]], m[3], m[4], m[5], m[6]))
		} else if m := tableExpect.FindStringSubmatch(l); m != nil {
			all = append(all, strings.TrimSpace(strings.ToLower(m[1])+" "+m[2]+" "+m[3]+" "+m[4]))
		}
	}
	return all
}

// statistics are the counters of all CPUs.
func statistics(out string) (all []string) {
	sums := map[string]int{}
	for _, m := range regexp.MustCompile(`(\w+)=(\d+)`).FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[2])
		sums[m[1]] += n
	}
	delete(sums, "cpu")
	if _, meanings, ok := strings.Cut(out, "MEANING\n"); ok {
		for _, l := range lines(meanings) {
			w := strings.Fields(l)
			sums[w[0]], _ = strconv.Atoi(w[1])
		}
	}
	for name := range maps.Keys(sums) {
		all = append(all, fmt.Sprint(name, " ", sums[name]))
	}
	return all
}

// groups are what is counted, and how many: of uniq -c and of --group-by.
func groups(out string) (all []string) {
	if head, rest, ok := strings.Cut(out, "\n"); ok && strings.Contains(head, "FLOWS") {
		for _, l := range lines(rest) {
			w := strings.Fields(l)
			all = append(all, w[0]+" "+w[1])
		}
		return all
	}
	for _, l := range lines(out) {
		w := strings.Fields(l)
		if len(w) != 2 {
			return nil
		}
		all = append(all, strings.TrimPrefix(w[1], "src=")+" "+w[0])
	}
	return all
}

// number is the first in an output.
func number(out string) []string { return regexp.MustCompile(`\d+`).FindAllString(out, 1) }
