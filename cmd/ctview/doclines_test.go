package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ctview/cmd/ctview/doclines"
	"ctview/ctnl/lab"

	"github.com/spf13/cobra"
)

// notRun are the command lines of the documents that no lab can run, by how they begin, and why.
var notRun = []struct{ prefix, why string }{
	{"setcap ", "of this machine's files"},
	{"chgrp ", "of this machine's files"},
	{"apt ", "make test-packages installs the package"},
	{"rpm ", "make test-packages installs the package"},
	{"apk ", "wants an Alpine"},
	{"opkg ", "wants an OpenWrt"},
	{"modprobe ", "of this machine's kernel"},
	{"systemctl ", "wants a service manager"},
	{"sysctl -w net.netfilter.nf_conntrack_max=", "for the whole machine; TestTroubleshooting reads it off the screen"},
	{"nft flush ruleset", "what others do, and ctview outlives"},
	{"nft replace rule inet lab srcnat handle ", "the handle is that of TestTroubleshooting's rule"},
	{"ip netns del", "what others do, and ctview outlives"},
	{"clickhouse-client ", "TestClickHouse asks what they ask"},
	{"journalctl ", "TestEventsJournal reads it"},
	{"load.sh ", "TestClickHouse runs it"},
	{"go run ", "loads a program from the network"},
	{"go test -race", "wants a C compiler; make race"},
	{"ctview-exporter", "cmd/ctview/exporter: TestDocumentLines"},
	{"ctview diagnose --watch --for 10m", "takes ten minutes"},
	{"ctview bench:", "the heading of what the bench prints"},
}

// documentLines returns what the documents and the examples of the manual pages show, each line once: where it says how it ends,
// if it does so anywhere.
func documentLines(t *testing.T) (lines []doclines.Line) {
	t.Helper()
	all := must(doclines.Read(append(documents(t), "../../CONTRIBUTING.md")...))(t)
	all = slices.DeleteFunc(all, func(l doclines.Line) bool { // TestFromConntrack runs those, on flows of its own
		return strings.HasPrefix(l.Place, "docs/from-conntrack.md:")
	})
	for _, c := range everyCommand() {
		all = append(all, doclines.Parse(c.CommandPath(), "```sh\n"+c.Example+"\n```")...)
	}
	at, both := map[string]int{}, map[string]bool{}
	for _, l := range typedLines(t) {
		both[l.now] = true
	}
	for _, l := range all {
		if strings.HasPrefix(l.Place, "docs/from-conntrack.md:") && both[l.Text] { // TestFromConntrack runs it, on flows that it finds
			continue
		}
		switch i, seen := at[l.Text]; {
		case !seen:
			at[l.Text] = len(lines)
			lines = append(lines, l)
		case exitSaid.MatchString(l.Comment):
			lines[i] = l
		}
	}
	return lines
}

// TestDocumentLines runs every command line that README, CONTRIBUTING, docs and the examples of the manual pages show, as a person
// does: in a terminal, as root of a router, with an answer to what is asked. What follows something is ended by Ctrl-C. A
// line must end with 0, or as it says. In a pipeline ctview's parts are run.
func TestDocumentLines(t *testing.T) {
	t.Parallel()
	d := newDocumentLab(t)
	left := map[string]bool{}
	for _, n := range notRun {
		left[n.prefix] = true
	}
	for _, l := range documentLines(t) {
		if prefix := notRunAs(l.Text); prefix != "" {
			delete(left, prefix)
			continue
		}
		t.Run(l.Text, func(t *testing.T) {
			t.Parallel()
			if !d.run(t, l) {
				t.Errorf("%s: %q is not run: make it a line that can be, or say in notRun why not", l.Place, l.Text)
			}
		})
	}
	for prefix := range left {
		t.Errorf("notRun: no line begins with %q any more", prefix)
	}
}

// notRunAs returns the prefix by which a line is in notRun, "" for none.
func notRunAs(line string) string {
	for _, n := range notRun {
		if strings.HasPrefix(line, n.prefix) {
			return n.prefix
		}
	}
	return ""
}

// A documentLab is what the lines are run on.
type documentLab struct {
	router *lab.NS // of a lab with traffic, for what only reads
	flows  string  // its flows, for namespaces in which lines may change something
	dir    string  // has ctview in it, under all its names
	rec    string  // a recording
}

func newDocumentLab(t *testing.T) *documentLab {
	t.Helper()
	l, ctx := newLab(t)
	exampleTraffic(t, ctx, l)
	if err := l.Router().Sysctl("net/netfilter/nf_conntrack_udp_timeout_stream", "14400"); err != nil { // for diagnose to find
		t.Fatal(err)
	}
	go l.Run(ctx)
	d := &documentLab{router: l.Router(), dir: t.TempDir()}
	d.rec = filepath.Join(d.dir, "example.pcap")
	for _, name := range []string{"ctview", "conntrack"} {
		if err := os.Symlink(testBinary(t), filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := ctview(t, "--netns", d.router.Path(), "record", d.rec, "--for", "300ms").CombinedOutput(); err != nil {
		t.Fatalf("record: %v: %s", err, out)
	}
	d.flows = string(ctviewList(t, d.router, "-o", "save"))
	return d
}

// fresh returns a namespace with the flows of the lab, and nothing else.
func (d *documentLab) fresh(t *testing.T) *lab.NS {
	t.Helper()
	ns := trackingNS(t)
	restore := ctview(t, "--netns", ns.Path(), "conntrack", "-R", "-")
	restore.Stdin = strings.NewReader(d.flows)
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("conntrack -R: %v: %s", err, out)
	}
	return ns
}

var (
	exitSaid = regexp.MustCompile(`exit code (\d+)`) // in a line's comment
	before   = regexp.MustCompile(`^(?:sudo |ssh (?:-t )?\S+ |ip netns exec \S+ )*((?:[A-Z_]+=\S+ )*)(?:\./)?(ctview|conntrack)( |$)`)
	pieces   = regexp.MustCompile(`\s*(?:\|\|?|&&|;)\s*`)
	question = regexp.MustCompile(`\[y\] yes \[Enter\] no: $|Type (\d+): $`)
)

// run runs a line in its way; it reports whether there is one.
func (d *documentLab) run(t *testing.T, l doclines.Line) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(l.Text, "sudo "), " ")
	switch first {
	case "make": // that there is such a target, and what it would do
		d.passes(t, l, exec.Command("sh", "-c", "cd ../.. && "+strings.Replace(strings.TrimPrefix(l.Text, "sudo "), "make", "make -n", 1)))
	case "go":
		goLine(t, l)
	case "nft": // checked, not installed, where the lab's chains are
		d.passes(t, l, exec.Command("nsenter", "--net="+d.router.Path(), "sh", "-c", strings.Replace(l.Text, "nft", "nft -c", 1)))
	case "sysctl":
		d.passes(t, l, exec.Command("nsenter", "--net="+d.fresh(t).Path(), "sh", "-c", l.Text))
	default:
		return d.ours(t, l)
	}
	return true
}

func (d *documentLab) passes(t *testing.T, l doclines.Line, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %s: %v\n%s", l.Place, l.Text, err, out)
	}
}

// goLine: what it tests is there. It is run by make test itself.
func goLine(t *testing.T, l doclines.Line) {
	t.Helper()
	words := shellWords(l.Text)
	var dirs []string
	kind, test := "Test", ""
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, "./"):
			dirs = append(dirs, "../../"+strings.TrimSuffix(w[2:], "/..."))
		case w == "-run":
			if kind == "Test" {
				test, _, _ = strings.Cut(words[i+1], "/")
			}
		case w == "-bench": // what -run says beside it is to match nothing
			kind = "Benchmark"
			test, _, _ = strings.Cut(strings.TrimPrefix(words[i+1], "."), "/") // "." is each of them
		}
	}
	found := false
	for _, dir := range dirs {
		files := must(filepath.Glob(dir + "/*_test.go"))(t)
		for _, f := range files {
			b := must(os.ReadFile(f))(t)
			found = found || regexp.MustCompile(`\nfunc `+kind+`\w*`+regexp.QuoteMeta(strings.TrimPrefix(test, kind))).Match(b)
		}
	}
	if len(dirs) == 0 || !found {
		t.Errorf("%s: %s: there is no such test", l.Place, l.Text)
	}
}

// ours runs what is ctview's of a line, one piece after the other; it reports whether there was anything.
func (d *documentLab) ours(t *testing.T, l doclines.Line) (ran bool) {
	want := 0
	if m := exitSaid.FindStringSubmatch(l.Comment); m != nil {
		want, _ = strconv.Atoi(m[1])
	}
	ns, home := d.router, t.TempDir()
	for _, piece := range cutLine(l.Text) {
		m := before.FindStringSubmatch(piece)
		if m == nil {
			continue
		}
		words := append([]string{m[2]}, shellWords(piece[len(m[0]):])...)
		cmd, rest, err := everyCommand()[0].Find(words[1:])
		if err != nil && words[0] == "ctview" {
			t.Errorf("%s: %s: %v", l.Place, piece, err)
			return true
		}
		if changes(words[0], cmd) && ns == d.router && !strings.Contains(piece, "bytes >") { // only real traffic is counted
			ns = d.fresh(t)
		}
		for _, first := range readies(cmd) {
			if code, _, diag := runIn(t, ctview(t, append([]string{"--netns", ns.Path()}, strings.Fields(first)...)...)); code != 0 {
				t.Fatalf("%s, before %s: %d: %s", first, piece, code, diag)
			}
		}
		line := d.standIn(t, ns, m[1]+words[0]+m[3]+piece[len(m[0]):])
		in := exec.Command("nsenter", "--net="+ns.Path(), "sh", "-c", line)
		in.Dir = home
		in.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CTVIEW_") || strings.HasPrefix(v, "XDG_") }),
			asMain+"=1", lab.InsideEnv+"=", "HOME="+home, "PATH="+d.dir+":"+os.Getenv("PATH"))
		if code, out := d.typed(t, in, follows(cmd, rest)); code != want && !(code == exitSignalOffset+2 && follows(cmd, rest)) {
			t.Errorf("%s: %s: exit code %d, want %d\n%s", l.Place, line, code, want, out)
		}
		ran = true
	}
	return ran
}

// cutLine returns the commands of a line of a shell, without what their output goes to.
func cutLine(line string) (out []string) {
	var quoted []string
	keep := regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllStringFunc(line, func(q string) string {
		quoted = append(quoted, q)
		return "\x00"
	})
	for _, piece := range pieces.Split(keep, -1) {
		piece = regexp.MustCompile(`\s*\d?>>?.*`).ReplaceAllString(piece, "")
		for strings.Contains(piece, "\x00") {
			piece, quoted = strings.Replace(piece, "\x00", quoted[0], 1), quoted[1:]
		}
		out = append(out, piece)
	}
	return out
}

// changes reports whether a command is run where nothing else is.
func changes(program string, cmd *cobra.Command) bool {
	return program == "conntrack" || regexp.MustCompile(`^ctview (add|update|delete|flush|expect|notrack|conntrack)\b`).MatchString(cmd.CommandPath())
}

// readies returns what has to be done before a command finds what it is about.
func readies(cmd *cobra.Command) []string {
	switch cmd.CommandPath() {
	case "ctview notrack confirm", "ctview notrack undo", "ctview notrack remove", "ctview notrack print":
		return []string{"notrack add --yes --cut --verify 0 tcp 10.9.0.0/16 to any:80"}
	}
	return nil
}

// follows reports whether a command goes on until it is ended.
func follows(cmd *cobra.Command, args []string) bool {
	if cmd == nil || cmd.ParseFlags(args) != nil {
		return false
	}
	for _, end := range []string{"for", "max", "read"} {
		if f := cmd.Flags().Lookup(end); f != nil && f.Changed {
			return false
		}
	}
	for _, on := range []string{"watch", "samples"} {
		if f := cmd.Flags().Lookup(on); f != nil && f.Changed {
			return true
		}
	}
	return regexp.MustCompile(`^ctview (events|expect events|record)$`).MatchString(cmd.CommandPath())
}

// standIn puts what is there in place of what a line names by kind.
func (d *documentLab) standIn(t *testing.T, ns *lab.NS, line string) string {
	t.Helper()
	if line == "ctview delete" { // the name of the command alone; it deletes nothing that is not said
		line += " FILTER"
	}
	if strings.Contains(line, " ID") {
		var rule struct{ ID string }
		out := must(ctview(t, "--netns", ns.Path(), "notrack", "list", "-j").Output())(t)
		if err := json.Unmarshal(out, &rule); err != nil {
			t.Fatalf("notrack list -j: %v: %s", err, out)
		}
		line = strings.Replace(line, " ID", " "+rule.ID, 1)
	}
	return strings.NewReplacer("FILTER", "tcp", "ARGS…", "-L", "FILE", d.rec, "--netns blue", "--netns "+ns.Path()).Replace(line)
}

// typed runs a command in a terminal, answers what it asks, and ends what goes on once it has said something.
func (d *documentLab) typed(t *testing.T, cmd *exec.Cmd, follows bool) (code int, out string) {
	t.Helper()
	tm := newTerminal(t, cmd, 120, 35)
	ended := false
	seen := 0 // of the output, up to the question answered last
	tm.until("the end", func(s string) bool {
		tm.mu.Lock()
		ended = tm.eof
		tm.mu.Unlock()
		raw := tm.output()
		switch m := question.FindStringSubmatch(raw[seen:]); {
		case ended:
			return true
		case m != nil:
			seen = len(raw)
			answer := "y"
			if m[1] != "" {
				answer = m[1]
			}
			tm.send(answer + "\r")
		case strings.Contains(raw, "\x1b[?1049h"):
			if strings.Contains(s, "LIVE") || strings.Contains(s, "REPLAY") {
				tm.send("q")
				return true
			}
		case follows && raw != "":
			tm.send("\x03")
			return true
		}
		return false
	})
	return tm.ended(), tm.output()
}
