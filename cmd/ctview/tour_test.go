package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctview/model"
)

var updateTour = flag.Bool("update-tour", false, "write docs/tour.md anew")

// A stop of the tour through the demo: what the page says, what is typed, and what then is on the screen.
type stop struct {
	text  string
	keys  []string // each with what is on the screen after it
	shows []string // regular expressions, one for each of keys, or for the screen as it is
	lines int      // of the screen that the page shows, beside the last; 0: none
}

var tour = []stop{
	{"In five minutes from nothing to the first diagnosis, on any Linux machine with Go and git, without root. `make demo` builds ctview and starts it on " +
		"a router of its own, with real traffic from clients to a server through NAT, two zones and an FTP helper; nothing outside is touched, and " +
		"nothing is left behind. Where ctview is installed, `ctview demo` does the same. What you see is the table of that router, live:",
		nil, []string{`(?s)LIVE.*(kB/s.*){3}`}, 11},
	{"The first line says how it is: LIVE, events a second, how many were lost, how full the table is. The third is the filter, and how many of how many flows " +
		"are shown. The last says which keys make sense here; **`?` has them all, `Esc` always leads back.** `j` `k` or the arrows move, `s` sorts, `c` " +
		"chooses columns. **`Enter`** shows the flow under the cursor in full:",
		[]string{"\r"}, []string{`(?s)Flow 1 of .*original .*NAT .*timeout .*started `}, 12},
	{"Both directions, what NAT made of it, how long it stays, its rate, and what happened to it. `Esc`. Now **`/`** and a condition: what completes it is offered " +
		"while you type (`Tab`), with how many flows there are of it here; `Enter` applies it. Connections that nobody answers:",
		[]string{"\x1b", "/", "state syn_sent"}, []string{`\[1 Flows\]`, `Enter applies`, `(?s)/ state syn_sent.*SYN_SENT`}, 9},
	{"Many from one client would be a scan, many to one server a dead server. **`b`** groups what the filter left, by source; `b` again by the next key, here " +
		"by destination. `Enter` on a group shows its flows:",
		[]string{"\r", "b", "b"}, []string{`\d of \d+ match`, `(?s)\[2 Groups\].*SRC +FLOWS`, `(?s)\[dst\].*DST +FLOWS.*203\.0\.113\.`}, 9},
	{"Every condition is a word: `zone 5 and helper ftp`, `bytes > 10M`, `not assured` ([filter.md](filter.md)). **`f`** makes one of the flow under the cursor. " +
		"**`3`** are the events, as the kernel tells them, through the same filter; `p` stops the screen, `t` chooses the types. **`7`** is what began and " +
		"ended lately, and for how long each had lived:",
		[]string{"3", "7"}, []string{`(?s)\[3 Events\].*NEW `, `(?s)\[7 Recent\].*LIVED.*syn_sent|(?s)\[7 Recent\].*begun, \d+ ended`}, 8},
	{"Now something is to go wrong. `1` leads back to the flows, and `Esc` takes the filter away. **`4`** are the statistics, where `a` turns the counting of bytes " +
		"off in the demo's kernel, after a question. That is how most machines are before somebody turns it on. On `1`:",
		[]string{"1", "\x1b", "4", "a", "y", "1"}, []string{`\[1 Flows\]`, `\n / +1-\d+ of \d+ `, `\[4 Stats\]`, `\[y\] turn off`, `acct off`, `(?s)\[1 Flows\].*nf_conntrack_acct`}, 8},
	{"No rates any more, and a line that says why. Wherever you are, **`!`** is the list of what is wrong, the worst first, each with its proof and the line that mends it:",
		[]string{"!"}, []string{`(?s)nf_conntrack_acct=0.*sysctl -w net\.netfilter\.nf_conntrack_acct=1`}, 8},
	{"**`y`** copies that line, here with the way into the demo's router before it. **`Enter`** leads to the proof: the flows concerned, or as here the screen " +
		"where it can be mended: `a` and `y`, and new flows are counted again.",
		[]string{"y", "\r", "a", "y"}, []string{`copied: .*sysctl`, `\[4 Stats\]`, `\[y\] turn on`, `acct on`}, 0},
}

const tourEnd = `That is how it goes on a real router, too: ` + "`!`" + `, ` + "`Enter`" + `, ` + "`y`" + `. **` + "`q`" + `** ends it. Then:

` + "```sh" + `
sudo ctview                   # this machine; without sudo: install.md
ctview diagnose               # the same list without a screen, exit code 1
ctview list state syn_sent --group-by dst
` + "```" + `

[Troubleshooting](troubleshooting.md) has what is found, trouble by trouble; [from-conntrack.md](from-conntrack.md) what to type in place of conntrack's
options; [screens.md](screens.md) every screen in three sizes.
`

// TestTour goes the way of docs/tour.md in the real demo, without root. The page has the texts that stand here, and screens on which is
// what was on the real ones (-update-tour writes it).
func TestTour(t *testing.T) {
	const width = 100
	cmd := asNobody(t, "demo")
	cmd.Env = append(cmd.Env, "HOME=/nonexistent")
	tm := newTerminal(t, cmd, width, 24)
	const file = "../../docs/tour.md"
	page, err := os.ReadFile(file)
	if err != nil && !*updateTour {
		t.Fatal(err)
	}
	old := regexp.MustCompile("(?s)```text\n(.*?)```\n").FindAllStringSubmatch(string(page), -1)
	var b strings.Builder
	b.WriteString("<!-- Made of the real screen by TestTour in cmd/ctview (-update-tour); do not edit. -->\n# A tour of five minutes\n\n```sh\nmake demo\n```\n")
	if *updateTour { // for the page, when there is more to see
		tm.until("hundred flows", regexp.MustCompile(`flows 1\d\d/`).MatchString)
	}
	blocks := 0
	for _, s := range tour {
		b.WriteString("\n" + wrapped(s.text, "", "", 140))
		var screen string
		for i, want := range s.shows {
			if i < len(s.keys) {
				tm.send(s.keys[i])
			}
			re := regexp.MustCompile(want)
			screen = tm.until(want, re.MatchString)
			if last := i == len(s.shows)-1; last && s.lines > 0 && !*updateTour {
				if blocks >= len(old) {
					t.Fatalf("%s has only %d screens", file, len(old))
				}
				shown := unframed(old[blocks][1])
				if !re.MatchString(shown) {
					t.Errorf("screen %d of %s lacks %s:\n%s", blocks+1, file, want, shown)
				}
				screen = shown
			}
		}
		if s.lines > 0 {
			b.WriteString("\n```text\n" + framed(screen, s.lines, width+1) + "```\n")
			blocks++
		}
	}
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.WriteString("\n" + tourEnd)
	if *updateTour {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(page) {
		t.Errorf("%s is not what stands here: -update-tour writes it", file)
	}
}

// framed is what a page shows of a screen: the first lines, and what stands together at its end, without the name of the machine.
func framed(screen string, n, width int) string {
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	tail := len(lines) - 1
	for tail > max(n, len(lines)-3) && strings.TrimSpace(lines[tail-1]) != "" {
		tail--
	}
	if tail > n {
		lines = append(slices.Clip(lines[:n]), lines[tail:]...)
	}
	lines[0] = regexp.MustCompile(`^ ctview  \S+ +ns `).ReplaceAllString(lines[0], " ctview  rtr1   ns ")
	var b strings.Builder
	for _, l := range lines {
		l = strings.TrimRight(l, " ")
		fmt.Fprintf(&b, "|%s%s|\n", l, strings.Repeat(" ", max(0, width-model.Width(l))))
	}
	return b.String()
}

// unframed takes away what framed put around a screen.
func unframed(block string) string {
	return regexp.MustCompile(`(?m)^\||\|$`).ReplaceAllString(block, "")
}
