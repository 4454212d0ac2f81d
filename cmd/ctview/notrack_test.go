package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
	"ctview/model/filter"
	"ctview/tui"
)

// trackingNS makes a namespace that tracks connections.
func trackingNS(t *testing.T) *lab.NS {
	t.Helper()
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { _ = ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	return ns
}

// runIn runs ctview on a namespace.
func runIn(t *testing.T, cmd *exec.Cmd) (code int, out, diag string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// nftRuleset returns the nftables rules of a namespace.
func nftRuleset(t *testing.T, ns *lab.NS) string {
	t.Helper()
	c := ns.Command("nft", "list", "ruleset")
	c.SysProcAttr = nil
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestNotrackMaybeTranslated: --yes does not say yes to what may be translated, --nat does.
func TestNotrackMaybeTranslated(t *testing.T) {
	ns := trackingNS(t)
	nft := ns.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader("table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan\" masquerade; }\n}\n")
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	before := nftRuleset(t, ns)
	add := func(more ...string) (int, string) {
		code, _, diag := runIn(t, ctview(t, slices.Concat([]string{"--netns", ns.Path(), "notrack", "add", "--yes"}, more, []string{"tcp", "10.9.0.0/16", "to", "any:80"})...))
		return code, diag
	}
	if code, diag := add(); code != exitUsage || !strings.Contains(diag, "a rule may translate some of this traffic (ip nat/post") || !strings.Contains(diag, "--yes does not answer that") {
		t.Errorf("--yes: %d %s", code, diag)
	}
	if after := nftRuleset(t, ns); after != before {
		t.Errorf("the ruleset was changed:\n%s", after)
	}
	if code, diag := add("--nat"); code != 0 {
		t.Errorf("--yes --nat: %d %s", code, diag)
	}
}

// TestAnyCommandTidies lets rules expire that no ctview watches, and takes the firewall away: the next command takes what is
// left, whichever it is; not with --read-only, and doctor, which changes nothing, names it.
func TestAnyCommandTidies(t *testing.T) {
	for _, backend := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		for _, command := range [][]string{{"list"}, {"conntrack", "-L"}, {"stats"}} {
			t.Run(backend+" "+command[0], func(t *testing.T) {
				t.Parallel()
				ns := must(lab.NewNS())(t)
				t.Cleanup(func() { _ = ns.Close() })
				labtest.Rules(t, ns, labtest.Tracking)
				run := func(args ...string) string {
					code, out, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, args...)...))
					if code != 0 {
						t.Fatalf("%q: %d %s", args, code, diag)
					}
					return out
				}
				stands := func() (out string) {
					out = nftRuleset(t, ns)
					if backend == "iptables-legacy" {
						for _, p := range []string{"iptables-legacy", "ip6tables-legacy"} {
							b, err := ns.Command(p, "-t", "raw", "-S").Output()
							out += string(must(b, err)(t))
						}
					}
					return out
				}
				run("notrack", "add", "--backend", backend, "--yes", "--cut", "--for", "6s", "--verify", "0", "tcp", "10.9.0.0/16", "to", "any:80")
				before := stands()
				if !strings.Contains(before, "ctview") {
					t.Fatalf("installed:\n%s", before)
				}
				table, _, _ := strings.Cut(strings.TrimPrefix(labtest.Tracking, "table "), " {")
				labtest.Rules(t, ns, "delete table "+table+"\n")
				const alone = "because of ctview itself (table inet ctview)"
				if out := run("doctor"); strings.Contains(out, alone) != (backend == "nftables") {
					t.Errorf("doctor: %s", out)
				}
				if run("list"); !strings.Contains(stands(), "ctview") || strings.Contains(stands(), "_verify") {
					t.Errorf("while the rule lives, no leak counter of it may keep tracking on:\n%s", stands())
				}
				for end := time.Now().Add(patience); !strings.Contains(run("--read-only", "notrack", "list"), "no rule of ctview's"); time.Sleep(100 * time.Millisecond) {
					if time.Now().After(end) { // it lives for seconds
						t.Fatal("the rule did not expire")
					}
				}
				left := stands()
				if run("--read-only", "list"); command[0] != "conntrack" { // which knows no such option
					run(append([]string{"--read-only"}, command...)...)
				}
				run("doctor", "--json")
				if stands() != left || !strings.Contains(left, "ctview") {
					t.Errorf("--read-only or doctor changed:\n%s\nto:\n%s", left, stands())
				}
				run(command...)
				if out := stands(); strings.Contains(out, "ctview") || strings.Contains(out, "table ip") {
					t.Errorf("left after %q:\n%s", command, out)
				}
			})
		}
	}
}

// talking opens a connection in ns, 127.0.0.1:4000 to :5000, and returns what tries whether it still lives.
func talking(t *testing.T, ns *lab.NS) (lives func() bool) {
	t.Helper()
	l := must(ns.Listen("tcp", "127.0.0.1:5000"))(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
		}
	}()
	conn := must(ns.Dial(t.Context(), "tcp4", "127.0.0.1:4000", "127.0.0.1:5000"))(t)
	t.Cleanup(func() { _ = conn.Close() })
	lives = func() bool {
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, err := conn.Write([]byte("x"))
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		return err == nil
	}
	if !lives() {
		t.Fatal("no connection")
	}
	return lives
}

// TestNotrackCut has a connection that will be cut when the rule ends, or by it: --yes does not say yes to that, --cut does.
func TestNotrackCut(t *testing.T) {
	for _, tt := range []struct {
		name, rules, says string
		atOnce            bool
	}{
		{"when it ends", "ct state new tcp flags & (fin|syn|rst|ack) != syn drop;", "this connection will be cut when the rule ends", false},
		{"at once", "policy drop; ct state established accept; ct state new tcp dport 5000 accept; meta l4proto != tcp accept;", "untracked packets of it will be dropped", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := trackingNS(t)
			lives := talking(t, ns)
			labtest.Rules(t, ns, "table inet f { chain c { type filter hook input priority 0; "+tt.rules+" }; }\n")
			before := nftRuleset(t, ns)
			run := func(args ...string) (int, string) {
				code, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path(), "notrack"}, args...)...))
				return code, diag
			}
			add := []string{"add", "--yes", "--nat", "tcp", "127.0.0.1:4000", "to", "127.0.0.1:5000"}
			if code, diag := run(add...); code != exitUsage || !strings.Contains(diag, tt.says) || !strings.Contains(diag, "--yes does not answer that") ||
				!strings.Contains(diag, "--cut") || nftRuleset(t, ns) != before || !lives() {
				t.Errorf("--yes: %d %s", code, diag)
			}
			code, diag := run(append(add, "--cut")...)
			if code != 0 || lives() == tt.atOnce || strings.Contains(diag, "(connections will be cut then)") == tt.atOnce {
				t.Errorf("--yes --cut: %d %s", code, diag)
			}
			if tt.atOnce { // nothing is left that the end could cut
				if code, diag := run("remove", "--all"); code != 0 {
					t.Errorf("remove: %d %s", code, diag)
				}
				return
			}
			if code, diag := run("confirm", "--keep", "10m"); code != 0 || !strings.Contains(diag, "it ends in 10m0s: connections will be cut then") {
				t.Errorf("confirm: %d %s", code, diag)
			}
			id := regexp.MustCompile(`rule ([0-9a-f]{6}) installed`).FindStringSubmatch(diag)[1]
			for _, end := range [][]string{{"remove", id}, {"remove", "--all"}, {"undo"}} {
				code, out, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path(), "notrack"}, end...)...))
				if code != exitUsage || !strings.Contains(out, tt.says) || !strings.Contains(diag, "remove 1 rule in namespace") || !strings.Contains(diag, "not confirmed") ||
					!strings.Contains(diag, "--cut answers beforehand") {
					t.Errorf("%v: %d %s%s", end, code, out, diag)
				}
				if code, diag := run(append(end, "--yes")...); code != exitUsage || !strings.Contains(diag, tt.says) ||
					!strings.Contains(diag, "--yes does not answer that: answer at a terminal, or add --cut") {
					t.Errorf("%v --yes: %d %s", end, code, diag)
				}
				if code, out, _ := runIn(t, ctview(t, slices.Concat([]string{"--netns", ns.Path(), "--read-only", "notrack"}, end, []string{"--dry-run"})...)); code != 0 ||
					!strings.Contains(out, "rule "+id) || !strings.Contains(out, tt.says) {
					t.Errorf("%v --dry-run: %d %s", end, code, out)
				}
				tm := newTerminal(t, ctview(t, append([]string{"--netns", ns.Path(), "notrack"}, end...)...), 160, 30)
				tm.shows("[y] yes [Enter] no")
				tm.send("\r")
				if code := tm.ended(); code != 1 || !strings.Contains(nftRuleset(t, ns), "127.0.0.1") || !lives() {
					t.Errorf("%v, answered by Enter: %d", end, code)
				}
			}
			tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "notrack", "undo"), 160, 30)
			tm.shows("this connection will be cut when the rule ends")
			labtest.Rules(t, ns, "delete table inet f\ntable inet g { chain c { type filter hook input priority 0; ct state new tcp flags ack drop; }; }\n")
			tm.shows("[y] yes [Enter] no")
			tm.send("y\r")
			tm.shows("while you answered, this has changed:")
			tm.send("\r")
			tm.ended()
			if code, diag := run("undo", "--cut"); code != 0 || lives() {
				t.Errorf("it was not cut when the rule ended: %d %s", code, diag)
			}
		})
	}
}

// TestNotrackHeldExpires lets a rule of the session expire by which its connection is then cut: that was told.
func TestNotrackHeldExpires(t *testing.T) {
	ns := trackingNS(t)
	lives := talking(t, ns)
	labtest.Rules(t, ns, "table inet f { chain c { type filter hook input priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn drop; }; }\n")
	cmd := ctview(t, "--netns", ns.Path(), "notrack", "add", "--yes", "--cut", "--keep", "session", "--for", "10s", "--verify", "0", "tcp", "127.0.0.1:4000", "to", "127.0.0.1:5000")
	in := must(cmd.StdinPipe())(t)
	defer func() { _ = in.Close() }()
	code, out, diag := runIn(t, cmd)
	for _, w := range []string{"this connection will be cut when the rule ends", "without that it expires in 10s; connections will be cut then",
		"not confirmed: the rule has expired: see above what becomes of its connections"} {
		if !strings.Contains(out+diag, w) {
			t.Errorf("it does not say %q:\n%s%s", w, out, diag)
		}
	}
	if code != 1 || lives() {
		t.Errorf("code %d, or it lives", code)
	}
}

// TestNotrackEndScreen removes a rule on the screen whose connection the firewall then cuts: it says so, and has a word typed.
func TestNotrackEndScreen(t *testing.T) {
	for _, key := range []string{"D", "u"} {
		ns := trackingNS(t)
		lives := talking(t, ns)
		labtest.Rules(t, ns, "table inet f { chain c { type filter hook input priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn drop; }; }\n")
		if code, _, diag := runIn(t, ctview(t, "--netns", ns.Path(), "notrack", "add", "--yes", "--cut", "tcp", "127.0.0.1:4000", "to", "127.0.0.1:5000")); code != 0 {
			t.Fatal(diag)
		}
		tm := newTerminal(t, ctview(t, "--netns", ns.Path()), 80, 24)
		tm.shows("No flows")
		tm.send("6")
		tm.shows("tcp 127.0.0.1:4000")
		tm.send(key)
		tm.shows("this connection will be cut when the rule ends")
		tm.send("y\r")
		tm.shows("not cut")
		if !strings.Contains(nftRuleset(t, ns), "127.0.0.1") || !lives() {
			t.Errorf("%s: removed without the word", key)
		}
		tm.send("\x15cut\r")
		tm.until("the rule to go", func(string) bool { return !strings.Contains(nftRuleset(t, ns), "127.0.0.1") })
		if lives() {
			t.Errorf("%s: it lives", key)
		}
		tm.send("q")
		tm.ended()
	}
}

// TestNotrackMine: a rule of the operator's own session is not what --yes says yes to, --mine is.
func TestNotrackMine(t *testing.T) {
	n := &notracker{g: &globals{err: io.Discard}}
	p := &model.NotrackPreview{SessionHit: true}
	err := n.agree(p, &notrackAddOptions{change: change{yes: true}})
	var usage usageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "this rule covers your own ssh session") || !strings.Contains(usage.cure, "--mine allows it") {
		t.Errorf("--yes: %v", err)
	}
	if err := n.agree(p, &notrackAddOptions{change: change{yes: true}, mine: true}); err != nil {
		t.Errorf("--yes --mine: %v", err)
	}
}

// TestNotrackPutBack undoes a removal on the screen after the firewall has changed: what an addition would refuse or ask for is
// not put back.
func TestNotrackPutBack(t *testing.T) {
	for _, tt := range []struct{ name, rules, want string }{
		{"nothing changed", "", ""},
		{"a zone", "table inet z { chain z { type filter hook output priority -300; tcp dport 5000 ct zone set 5; }; }", "not put back: a rule puts this traffic in a zone"},
		{"untracked dropped", "table inet f { chain c { type filter hook input priority 0; policy drop; ct state established accept; }; }", "not put back: untracked packets of it will be dropped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := trackingNS(t)
			lives := talking(t, ns)
			at := must(ctnl.OpenNetns(ns.Path()))(t)
			defer func() { _ = at.Close() }()
			r := newScreenRules(at)
			defer func() { _ = r.conn.Close() }()
			q := tui.RuleRequest{Rules: []model.Rule{must(filter.ParseRule("tcp 127.0.0.1:4000 > 127.0.0.1:5000"))(t)}}
			res := must(r.Apply(t.Context(), q))(t)
			if err := r.Remove(t.Context(), res.Rule.ID); err != nil || !lives() {
				t.Fatal(err)
			}
			labtest.Rules(t, ns, tt.rules+"\n")
			_, err := r.Undo(t.Context(), "")
			if (err != nil) != (tt.want != "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("undo: %v, want %q", err, tt.want)
			}
			if stands := strings.Contains(nftRuleset(t, ns), "127.0.0.1"); stands != (tt.want == "") || !lives() {
				t.Errorf("it stands: %v", stands)
			}
		})
	}
}

// TestNotrackRefused holds the texts and exit codes of what notrack will not do; nothing is changed by any of them.
func TestNotrackRefused(t *testing.T) {
	ns := trackingNS(t)
	before := nftRuleset(t, ns)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string // on stderr
	}{
		{"nothing said", []string{"notrack"}, 2, []string{"notrack: say what to do", "hint: add, list, remove, confirm, undo or print"}},
		{"no traffic", []string{"notrack", "add"}, 2, []string{"notrack add: say which traffic"}},
		{"a zone", []string{"notrack", "add", "zone", "5"}, 2, []string{
			`a NOTRACK rule cannot match "zone 5": the zone is given to a packet by tracking, after NOTRACK has decided. Exact rules for the flows that match now can: --flows`, "  ^~~~~~"}},
		{"a port without protocol", []string{"notrack", "add", "dport", "80"}, 2, []string{"a port needs a protocol: write tcp or udp with it"}},
		{"a port without protocol in a tuple", []string{"notrack", "add", "10.0.0.1:5", ">", "10.0.0.2:6"}, 2, []string{"a port needs a protocol that has ports"}},
		{"an IPv4 mask on IPv6", []string{"notrack", "add", "tcp", "2001:db8::/255.255.0.0", ">", "any:80"}, 2, []string{
			"255.255.0.0 is an IPv4 mask, 2001:db8:: an IPv6 address: write a length, as in 2001:db8::/64"}},
		{"two families", []string{"notrack", "add", "tcp", "[2001:db8::1]:5", ">", "10.0.0.0/8:6"}, 2, []string{"both sides of a rule are of one family"}},
		{"everything", []string{"notrack", "add", "any", ">", "any"}, 2, []string{"the rule matches every packet"}},
		{"no terminal", []string{"notrack", "add", "tcp", "any", "to", "any:80"}, 2, []string{
			"notrack: install this rule (0 flows covered) in namespace " + ns.Path() + "? not confirmed: there is no terminal to ask on", "--yes answers beforehand"}},
		{"read-only", []string{"--read-only", "notrack", "add", "--yes", "tcp", "any", "to", "any:80"}, 2, []string{"notrack add: --read-only forbids changes"}},
		{"read-only removal", []string{"--read-only", "notrack", "remove", "--all"}, 2, []string{"notrack remove: --read-only forbids changes"}},
		{"a short life", []string{"notrack", "add", "--for", "10ms", "tcp", "any", "to", "any:80"}, 2, []string{"--for: too short"}},
		{"an odd life", []string{"notrack", "add", "--keep", "soon", "tcp", "any", "to", "any:80"}, 2, []string{`--keep: "soon" is neither a time nor removed nor session`}},
		{"a backend", []string{"notrack", "--backend", "pf", "list"}, 2, []string{`--backend: unknown backend "pf"`, "hint: nftables, iptables, iptables-nft or iptables-legacy"}},
		{"an id", []string{"notrack", "remove", "abcdef"}, 1, []string{"abcdef: no such rule"}},
		{"nothing to confirm", []string{"notrack", "confirm"}, 1, []string{"no rule waits to be confirmed"}},
		{"nothing to undo", []string{"notrack", "undo"}, 1, []string{"nothing to undo"}},
		{"nothing to print", []string{"notrack", "print"}, 1, []string{"nothing to print"}},
		{"a form", []string{"notrack", "print", "--form", "pf", "tcp", "any", "to", "any:80"}, 2, []string{`unknown form "pf": nft, iptables or openwrt`}},
		{"no flow", []string{"notrack", "add", "--flows", "zone", "5"}, 1, []string{"notrack: no flow matches"}},
		{"states", []string{"states", "--reasons"}, 2, []string{"--reasons without --samples"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, tt.args...)...))
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(diag, w) {
					t.Errorf("stderr lacks %q:\n%s", w, diag)
				}
			}
		})
	}
	if after := nftRuleset(t, ns); after != before {
		t.Errorf("the ruleset was changed:\n%s", after)
	}
	for _, args := range [][]string{{"notrack", "add", "--yes", "tcp", "any", "to", "any:80"}, {"notrack", "list"}, {"states", "--watch"}} {
		code, _, diag := runIn(t, asNobody(t, args...))
		if code != exitPermission || !strings.Contains(diag, "not permitted") || !strings.Contains(diag, "hint: run it with sudo") {
			t.Errorf("%v without permission: %d %s", args, code, diag)
		}
	}
	inactive := must(lab.NewNS())(t)
	defer inactive.Close()
	code, _, diag := runIn(t, ctview(t, "--netns", inactive.Path(), "states", "--watch"))
	if code != 1 || !strings.Contains(diag, "connection tracking is not active in this namespace") || nftRuleset(t, inactive) != "" {
		t.Errorf("states --watch where nothing is tracked: %d %s", code, diag)
	}
}

// TestNotrackCommands takes a rule through its life on the command line.
func TestNotrackCommands(t *testing.T) {
	ns := trackingNS(t)
	do := func(code int, args ...string) (out, diag string) {
		t.Helper()
		c, out, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, args...)...))
		if c != code {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, c, code, out, diag)
		}
		return out, diag
	}
	out, _ := do(0, "notrack", "add", "--dry-run", "udp", "any", "to", "127.0.0.1:5000-5010")
	for _, w := range []string{"nft 'add table inet ctview'", "nft 'add rule inet ctview pre meta nfproto @live_", "ip daddr 127.0.0.1 udp dport 5000-5010 counter notrack",
		"covers 0 flows now", "! wide: ", "lives 1m0s unless confirmed, then until removed"} {
		if !strings.Contains(out, w) {
			t.Errorf("the preview lacks %q:\n%s", w, out)
		}
	}
	if strings.Contains(nftRuleset(t, ns), "table inet ctview") {
		t.Fatal("--dry-run changed something")
	}
	_, diag := do(0, "notrack", "add", "--yes", "udp", "any", "to", "127.0.0.1:5000-5010")
	id := regexp.MustCompile(`rule ([0-9a-f]{6}) installed`).FindStringSubmatch(diag)
	if id == nil || !strings.Contains(diag, "it expires in 1m0s unless: ctview notrack confirm "+id[1]) {
		t.Fatalf("add: %s", diag)
	}
	if _, diag := do(1, "notrack", "add", "--yes", "udp", "any", "to", "127.0.0.1:5000-5010"); !strings.Contains(diag, "is installed already") {
		t.Errorf("again: %s", diag)
	}
	if _, diag := do(0, "notrack", "confirm", "--keep", "10m"); !strings.Contains(diag, "rule "+id[1]+" confirmed") {
		t.Errorf("confirm: %s", diag)
	}
	out, _ = do(0, "notrack", "list", "-o", "json")
	var r ruleJSON
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.ID != id[1] || r.Left == nil || *r.Left < 590 || !*r.Confirmed || r.Match[0] != "udp any > 127.0.0.1:5000-5010" {
		t.Errorf("list: %s %v", out, err)
	}
	if out, _ := do(0, "notrack", "list"); !strings.Contains(out, id[1]) || !strings.Contains(out, "udp any > 127.0.0.1:5000-5010") {
		t.Errorf("list: %s", out)
	}
	if out, _ := do(0, "notrack", "print", id[1], "--form", "iptables"); !strings.Contains(out, "-A PREROUTING -4 -d 127.0.0.1/32 -p udp -m udp --dport 5000:5010 -j CT --notrack") {
		t.Errorf("print: %s", out)
	}
	do(0, "notrack", "undo")
	if strings.Contains(nftRuleset(t, ns), "table inet ctview") {
		t.Error("left behind")
	}
	if out, _ := do(0, "states", "-o", "json"); !strings.Contains(out, `"source":"table and statistics","new":{"flows":0}`) {
		t.Errorf("states: %s", out)
	}
	out, _ = do(0, "states", "--watch", "--for", "1700ms", "--interval", "100ms", "-o", "json")
	first, _, _ := strings.Cut(out, "\n")
	if !strings.Contains(out, `"source":"watch table"`) || strings.Contains(first, "packets_per_second") || !strings.Contains(out, "packets_per_second") {
		t.Errorf("states --watch: want rates, and none before a second has passed: %s", out)
	}
}

// TestNotrackSession holds a rule of the session with the command that made it, and kills it.
func TestNotrackSession(t *testing.T) {
	ns := trackingNS(t)
	cmd := ctview(t, "--netns", ns.Path(), "notrack", "add", "--yes", "--keep", "session", "udp", "any", "to", "any:5000")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(what string, ok func(string) bool) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); !ok(nftRuleset(t, ns)); {
			if time.Now().After(end) {
				t.Fatalf("%s: %s", what, nftRuleset(t, ns))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	wait("installed", func(s string) bool { return strings.Contains(s, "expires") })
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	wait("confirmed", func(s string) bool { return strings.Contains(s, "live_") && !strings.Contains(s, "expires") })
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	wait("gone", func(s string) bool { return !strings.Contains(s, "ctview") })
}

// TestSamplesCommand lists INVALID and UNTRACKED packets of the lab with the kernel's reason.
func TestSamplesCommand(t *testing.T) {
	l, ctx := newLab(t)
	cmd := ctview(t, "--netns", l.Router().Path(), "states", "--samples", "--reasons", "-o", "json", "--for", "60s")
	pipe := must(cmd.StdoutPipe())(t)
	var diag bytes.Buffer
	cmd.Stderr = &diag
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	traffic, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for _, v6 := range []bool{false, true, false, true} {
			for range 500 {
				_ = l.Invalid(traffic, lab.From{V6: v6})
				_ = l.Untracked(traffic, lab.From{V6: v6})
				if traffic.Err() != nil {
					return
				}
			}
		}
	}()
	const invalid, untracked = "invalid invalid tcp flag combination FIN,SYN", "untracked  "
	seen := map[string]bool{}
	for sc := bufio.NewScanner(pipe); !(seen[invalid] && seen[untracked]) && sc.Scan(); {
		var s sampleJSON
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			t.Fatalf("%q: %v", sc.Text(), err)
		}
		seen[s.State+" "+s.Reason+" "+s.Flags] = true
	}
	stop()
	_ = cmd.Process.Signal(syscall.SIGINT)
	_, _ = io.Copy(io.Discard, pipe)
	_ = cmd.Wait()
	if !seen[invalid] || !seen[untracked] {
		t.Errorf("seen %v; stderr: %s", seen, &diag)
	}
	if s := nftRuleset(t, l.Router()); strings.Contains(s, "ctview") {
		t.Errorf("left behind: %s", s)
	}
}

// TestNotrackScreen takes a running connection out of tracking from the screen, confirms, and kills the program.
func TestNotrackScreen(t *testing.T) {
	l, ctx := newLab(t)
	conn := must(l.TCP(ctx, lab.From{V6: true}, 8080))(t)
	tm := newTerminal(t, ctview(t, "--netns", l.Router().Path(), "dport", "8080"), 120, 40)
	tm.until("the flow", func(s string) bool { return len(rows(s)) == 1 })
	tm.send("N")
	tm.shows("matches now: 1 flow")
	tm.shows("inet ctview")
	talking, stop := context.WithCancel(ctx)
	talked := make(chan error, 1)
	go func() {
		for {
			err := conn.Download(2000, 0) // a connection is for one goroutine
			if err != nil || talking.Err() != nil {
				talked <- err
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	defer stop()
	tm.send("1\r")
	tm.shows("Keep this NOTRACK rule?")
	tm.shows("none of them tracked")
	tm.until("the row to go", func(s string) bool { return len(rows(s)) == 0 })
	tm.send("y")
	tm.shows("confirmed")
	tm.send("6")
	tm.shows("until quit")
	tm.send("e")
	tm.shows("packets by state")
	tm.send("wy")
	tm.until("UNTRACKED packets", func(s string) bool { return regexp.MustCompile(`UNTRACKED +- +[1-9]`).MatchString(s) })
	tm.until("a sample with its rule", func(s string) bool { return regexp.MustCompile(`UNTRACKED .* rule [0-9a-f]{6}`).MatchString(s) })
	stop()
	if err := <-talked; err != nil {
		t.Errorf("the connection: %v", err)
	}
	if s := nftRuleset(t, l.Router()); !strings.Contains(s, "table inet ctview-") || !strings.Contains(s, "table inet ctview_watch_") {
		t.Errorf("tables: %s", s)
	}
	_ = tm.cmd.Process.Kill()
	tm.ended()
	for end := time.Now().Add(10 * time.Second); strings.Contains(nftRuleset(t, l.Router()), "ctview"); {
		if time.Now().After(end) {
			t.Fatalf("left behind: %s", nftRuleset(t, l.Router()))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestNotrackLossScreen deletes ctview's table with nft while the screen is open: it says who did it, and installs the
// rule again, unless the firewall would defeat it by now.
func TestNotrackLossScreen(t *testing.T) {
	ns := trackingNS(t)
	tm := newTerminal(t, ctview(t, "--netns", ns.Path()), 120, 35)
	tm.shows("No flows")
	tm.send("6")
	tm.shows("RULES CTVIEW INSTALLED")
	if code, _, diag := runIn(t, ctview(t, "--netns", ns.Path(), "notrack", "add", "--yes", "udp", "any", "to", "any:53")); code != 0 {
		t.Fatal(diag)
	}
	tm.shows("udp any > any:53")
	c := ns.Command("nft", "delete", "table", "inet", "ctview")
	c.SysProcAttr = nil
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	tm.until("who did it", func(s string) bool {
		return regexp.MustCompile(`nft \(pid \d+\) removed 1 NOTRACK rule`).MatchString(s)
	})
	tm.send("y")
	tm.shows("installed again, on trial")
	if s := nftRuleset(t, ns); !strings.Contains(s, "live_") {
		t.Errorf("not installed again: %s", s)
	}
	tm.send("u")
	tm.shows("taken back: udp any > any:53")
	if code, _, diag := runIn(t, ctview(t, "--netns", ns.Path(), "notrack", "add", "--yes", "udp", "127.0.0.1:4000", "to", "127.0.0.1:5000")); code != 0 {
		t.Fatal(diag)
	}
	tm.shows("udp 127.0.0.1:4000")
	labtest.Rules(t, ns, "delete table inet ctview\ntable inet z { chain c { type filter hook output priority -300; udp dport 5000 ct zone set 5; }; }\n")
	tm.shows("Rules are gone")
	tm.send("y")
	tm.shows("not installed again: a rule puts this traffic in a zone")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := nftRuleset(t, ns); strings.Contains(s, "ctview") {
		t.Errorf("left behind: %s", s)
	}
}

// TestNotrackAsksAgain changes the firewall while a question stands: what is new is told and asked again, or refused.
func TestNotrackAsksAgain(t *testing.T) {
	ns := trackingNS(t)
	nft := func(text string) {
		t.Helper()
		c := ns.Command("nft", "-f", "-")
		c.Stdin = strings.NewReader(text + "\n")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v %s", err, out)
		}
	}
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "notrack", "add", "udp", "127.0.0.1:4000", "to", "127.0.0.1:5000"), 160, 60)
	tm.shows("install this rule (0 flows covered) in namespace " + ns.Path() + "?")
	nft("table inet fw { chain c { type filter hook input priority 0; ct state untracked drop; }; }")
	tm.send("y\r")
	tm.shows("while you answered, this has changed:")
	tm.shows("ct state untracked drop")
	if s := nftRuleset(t, ns); strings.Contains(s, "table inet ctview") {
		t.Fatalf("installed all the same:\n%s", s)
	}
	nft("table inet z { chain c { type filter hook output priority -300; udp dport 5000 ct zone set 5; }; }")
	tm.send("y\r")
	tm.shows("refused: a rule puts this traffic in a zone")
	if code := tm.ended(); code != 1 || strings.Contains(nftRuleset(t, ns), "table inet ctview") {
		t.Errorf("code %d:\n%s", code, nftRuleset(t, ns))
	}
}

// TestNotrackTypedAhead types Enter twice at the first question: the second one is no answer to the question that follows.
func TestNotrackTypedAhead(t *testing.T) {
	ns := trackingNS(t)
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "notrack", "add", "--keep", "session", "udp", "127.0.0.1:4000", "to", "127.0.0.1:5000"), 160, 60)
	tm.shows("install this rule (0 flows covered) in namespace " + ns.Path() + "?")
	tm.send("y\r\r\r")
	tm.shows("Enter confirms it")
	for range 10 {
		if s := nftRuleset(t, ns); !strings.Contains(s, "expires") {
			t.Fatalf("confirmed by what was typed ahead:\n%s", s)
		}
		time.Sleep(20 * time.Millisecond)
	}
	tm.send("\r")
	tm.shows("confirmed until this command ends")
	tm.send("\x03")
	tm.ended()
}

// TestReasonsComeBack kills a ctview that has the kernel log INVALID packets; whichever command comes next puts that back.
func TestReasonsComeBack(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"count"}, {"stats"}, {"doctor"}, {"notrack", "list"}, {"explain", "tcp"}, {"conntrack", "-C"}} {
		ns := trackingNS(t)
		setting := func() string { return must(ns.ReadSysctl("net/netfilter/nf_conntrack_log_invalid"))(t) }
		before := setting()
		cmd := ctview(t, "--netns", ns.Path(), "states", "--samples", "--reasons")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(15 * time.Second); setting() != "255"; {
			if time.Now().After(end) {
				t.Fatal("not set")
			}
			time.Sleep(5 * time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s := setting(); s != "255" {
			t.Errorf("after the kill: %s", s)
		}
		_, _, _ = runIn(t, ctview(t, append([]string{"--read-only", "--netns", ns.Path()}, args...)...))
		if s := setting(); s != "255" {
			t.Errorf("%v --read-only wrote a setting", args)
		}
		_, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, args...)...))
		if s := setting(); s != before || !strings.Contains(diag, "put back what a killed ctview had left changed of nf_conntrack_log_invalid and the logger") {
			t.Errorf("after %v: %s, before %s\n%s", args, s, before, diag)
		}
	}
}
